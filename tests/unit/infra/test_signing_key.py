"""The signing key and its JWKS."""

import json

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from moto import mock_aws

from infra import aws, signing_key
from infra.console import Failure
from infra.settings import load
from infra.signing_key import jwk, thumbprint

ON_AWS = {"TARGET": "aws", "STAGE": "unit"}


def der(curve: ec.EllipticCurve) -> bytes:
    return ec.generate_private_key(curve).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def test_the_thumbprint_of_the_key_of_rfc_7517_a_1() -> None:
    # the expected value is from openssl: dgst -sha256 -binary | base64, of the members as RFC 7638 §3 writes them
    x, y = "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"

    assert thumbprint(x, y) == "cn-I_WNMClehiVp51i_0VpOENW1upEerA8sEam5hn-s"


def test_the_jwk_is_one_that_a_verifier_reads() -> None:
    made = jwk(der(ec.SECP256R1()))

    assert jwt.PyJWK(made).key_type == "EC"
    assert made["kid"] == thumbprint(made["x"], made["y"])
    assert (made["use"], made["alg"]) == ("sig", "ES256")
    assert len(made["x"]) == len(made["y"]) == 43


def test_a_key_of_another_curve_is_refused() -> None:
    with pytest.raises(Failure, match="P256"):
        jwk(der(ec.SECP384R1()))


@mock_aws
def test_the_key_is_made_once_and_found_again_by_its_alias() -> None:
    first = signing_key.ensure(load(ON_AWS))
    again = signing_key.ensure(load(ON_AWS))
    other_stage = signing_key.ensure(load(ON_AWS | {"STAGE": "other"}))

    assert again == first
    assert other_stage.key_id != first.key_id
    assert [key["kty"] for key in json.loads(first.jwks)["keys"]] == ["EC"]
    aliases = aws.client(load(ON_AWS), "kms").list_aliases()["Aliases"]
    assert {"alias/billing-unit-jwt", "alias/billing-other-jwt"} <= {alias["AliasName"] for alias in aliases}
