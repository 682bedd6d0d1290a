"""Signs access tokens with a KMS key that never leaves KMS and that only this service may use."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from functions.common.errors import Unavailable
from functions.common.settings import SettingsError

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient

COORDINATE_BYTES = 32


@dataclass(frozen=True, slots=True)
class KmsSigner:
    kms: Callable[[], "KMSClient"]
    key_id: str
    kid: str

    def sign(self, message: bytes) -> bytes:
        """The ES256 signature of `message`, r || s (RFC 7518 section 3.4). Raises Unavailable when KMS fails.

        KMS hashes it, and takes at most 4096 bytes; a token has some 600.
        """
        from botocore.exceptions import BotoCoreError, ClientError
        from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

        try:
            signed = self.kms().sign(
                KeyId=self.key_id, Message=message, MessageType="RAW", SigningAlgorithm="ECDSA_SHA_256"
            )
        except (BotoCoreError, ClientError) as error:
            raise Unavailable("Tokens cannot be signed at the moment.") from error
        r, s = decode_dss_signature(signed["Signature"])
        return r.to_bytes(COORDINATE_BYTES, "big") + s.to_bytes(COORDINATE_BYTES, "big")


def current_kid(jwks: str) -> str:
    """The `kid` of the key that signs: the first of the JWKS. The deploy step keeps that order (ADR 0007)."""
    try:
        return str(json.loads(jwks)["keys"][0]["kid"])
    except (ValueError, LookupError, TypeError) as error:
        raise SettingsError("JWKS: holds no key with a kid") from error
