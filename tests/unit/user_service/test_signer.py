"""KMS, through moto: what it signs verifies with its public key."""

import json
from collections.abc import Iterator
from datetime import timedelta

import boto3
import jwt
import pytest
from cryptography.hazmat.primitives.serialization import load_der_public_key
from moto import mock_aws
from mypy_boto3_kms import KMSClient

from functions.common.clock import SystemClock
from functions.common.errors import Unavailable
from functions.common.http.auth import TokenVerifier
from functions.common.settings import SettingsError
from functions.user_service.model import Email, Preferences, Role, SessionId, User, UserId
from functions.user_service.signer import KmsSigner, current_kid
from functions.user_service.tokens import AccessTokens

NOW = SystemClock().now()
ADA = User(
    user_id=UserId("usr_ada"),
    email=Email("ada@example.com"),
    preferences=Preferences(name="Ada"),
    password_hash="none",
    roles=frozenset({Role.ADMIN}),
    created_at=NOW,
    updated_at=NOW,
)


@pytest.fixture
def kms() -> Iterator[KMSClient]:
    with mock_aws():
        yield boto3.client("kms")


def test_an_access_token_verifies_on_every_service(kms: KMSClient) -> None:
    key_id = kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["KeyId"]
    public_key = load_der_public_key(kms.get_public_key(KeyId=key_id)["PublicKey"])
    jwk = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(public_key))  # type: ignore[arg-type]  # an EC key it is
    jwks = json.dumps({"keys": [{**jwk, "kid": "first"}, {**jwk, "kid": "older"}]})
    signer = KmsSigner(lambda: kms, key_id, current_kid(jwks))
    tokens = AccessTokens(signer, "billing-aggregator", "billing-api", timedelta(minutes=15))

    for _ in range(20):  # r and s are of varying length in DER
        token = tokens.issue(ADA, SessionId("ses_1"), NOW)
        principal = TokenVerifier(jwks, "billing-aggregator", "billing-api").verify(f"Bearer {token}")
        assert principal.user_id == "usr_ada"
        assert principal.roles == {"user", "admin"}
        assert principal.session_id == "ses_1"

    claims = jwt.decode(token, options={"verify_signature": False})
    assert claims["exp"] - claims["iat"] == 900
    assert claims["jti"]
    assert jwt.get_unverified_header(token) == {"alg": "ES256", "typ": "at+jwt", "kid": "first"}


def test_without_the_key_signing_is_unavailable(kms: KMSClient) -> None:
    with pytest.raises(Unavailable):
        KmsSigner(lambda: kms, "no-such-key", "first").sign(b"message")


@pytest.mark.parametrize("jwks", ["", "{}", "[]", '{"keys":[]}', '{"keys":[{}]}', '{"keys":[1]}'])
def test_the_jwks_must_name_the_signing_key(jwks: str) -> None:
    with pytest.raises(SettingsError):
        current_kid(jwks)
