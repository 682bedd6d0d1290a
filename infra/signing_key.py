"""The key that signs access tokens: made in KMS by the deploy step, found again by its alias.

Its public half goes to every function as a JWKS (RFC 7517), so verifying a token costs no call.
"""

import base64
import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

from infra.aws import client
from infra.console import Failure
from infra.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient


@dataclass(frozen=True)
class SigningKey:
    key_id: str
    jwks: str  # JSON, no white space


def ensure(settings: Settings) -> SigningKey:
    """The stage's key, made on the first call."""
    kms: KMSClient = client(settings, "kms")
    alias = f"alias/billing-{settings.stage}-jwt"
    try:
        key_id = kms.describe_key(KeyId=alias)["KeyMetadata"]["KeyId"]
    except ClientError as error:
        if error.response["Error"]["Code"] != "NotFoundException":
            raise
        made = kms.create_key(
            KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY", Description=f"Access tokens of {settings.stack_name}"
        )
        key_id = made["KeyMetadata"]["KeyId"]
        kms.create_alias(AliasName=alias, TargetKeyId=key_id)
    public_key = kms.get_public_key(KeyId=key_id)["PublicKey"]
    return SigningKey(key_id, json.dumps({"keys": [jwk(public_key)]}, separators=(",", ":")))


def jwk(der: bytes) -> dict[str, str]:
    """The JWK (RFC 7518 §6.2) of a P-256 public key in DER; `kid` is its thumbprint."""
    key = load_der_public_key(der)
    if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP256R1):
        raise Failure(
            "The signing key is not an ECC_NIST_P256 key.", "Point its alias to such a key, or delete the alias."
        )
    numbers = key.public_numbers()
    x, y = (_base64url(coordinate.to_bytes(32, "big")) for coordinate in (numbers.x, numbers.y))
    return {"kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": thumbprint(x, y), "use": "sig", "alg": "ES256"}


def thumbprint(x: str, y: str) -> str:
    """RFC 7638: SHA-256 of the required members in lexical order, without white space."""
    members = json.dumps({"crv": "P-256", "kty": "EC", "x": x, "y": y}, separators=(",", ":"), sort_keys=True)
    return _base64url(hashlib.sha256(members.encode()).digest())


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
