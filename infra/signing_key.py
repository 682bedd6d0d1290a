"""The keys of access tokens: made in KMS by the deploy step and by a rotation, found again by their aliases.

Their public halves go to every function as a JWKS (RFC 7517), so verifying a token costs no call. The user service
signs with the first of them (ADR 0007); infra/rotation.py moves the aliases.
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
class Aliases:
    """Which key is which, by name. `upcoming` is there while a rotation is under way, `previous` after one."""

    signing: str
    upcoming: str
    previous: str

    @classmethod
    def of(cls, stage: str) -> "Aliases":
        name = f"alias/billing-{stage}-jwt"
        return cls(name, f"{name}-next", f"{name}-previous")


@dataclass(frozen=True)
class SigningKey:
    key_id: str
    jwks: str  # JSON, no white space; the key that signs first
    overlap_key_id: str = ""  # the other one, if any: during a deploy, functions may still or already sign with it


def ensure(settings: Settings) -> SigningKey:
    """The stage's key, made on the first call, and the JWKS as the next deploy must publish it.

    Beside the key that signs stands the one that will sign next, or else the one that signed before: never all
    three, since a rotation begins only when the tokens of the previous key have expired.
    """
    kms: KMSClient = client(settings, "kms")
    aliases = Aliases.of(settings.stage)
    key_id = find(kms, aliases.signing)
    if key_id is None:
        key_id = make(settings, kms)
        kms.create_alias(AliasName=aliases.signing, TargetKeyId=key_id)
    others = (find(kms, alias) for alias in (aliases.upcoming, aliases.previous))
    overlap = next((other for other in others if other not in (None, key_id)), None) or ""
    published = [jwk(kms.get_public_key(KeyId=each)["PublicKey"]) for each in (key_id, overlap) if each]
    return SigningKey(key_id, json.dumps({"keys": published}, separators=(",", ":")), overlap)


def find(kms: "KMSClient", alias: str) -> str | None:
    """The id of the key with this alias."""
    try:
        return kms.describe_key(KeyId=alias)["KeyMetadata"]["KeyId"]
    except ClientError as error:
        if error.response["Error"]["Code"] != "NotFoundException":
            raise
        return None


def make(settings: Settings, kms: "KMSClient") -> str:
    """The id of a new key."""
    made = kms.create_key(
        KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY", Description=f"Access tokens of {settings.stack_name}"
    )
    return made["KeyMetadata"]["KeyId"]


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
