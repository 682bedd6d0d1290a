"""Envelope encryption of what users give to link an account. The service's only user of KMS and `cryptography`.

Each box has a data key of its own (AES-256-GCM, SP 800-38D), wrapped by KMS with the link's id as encryption context.
Link and kind of box are bound once more as additional data: neither the key nor the cipher text of one box is of any
use for another.
"""

import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

import msgspec

from functions.account_linking_service.credentials import Clear, Login, MfaCode, Sealed, Secrets, Unreadable
from functions.account_linking_service.model import LinkId
from functions.common.clock import Clock
from functions.common.errors import Unavailable

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient

NONCE_BYTES = 12
FORMAT = b"\x01"
"""First byte of the cipher text, so that a later format can be told apart."""
NOT_OURS = frozenset({"InvalidCiphertextException", "IncorrectKeyException"})
KINDS: Mapping[type, str] = {Secrets: "", Login: "#login", MfaCode: "#mfa"}
"""What follows the link's id in the additional data."""
C = TypeVar("C", Secrets, Login, MfaCode)


class KmsVault:
    """`kms` is called when it is needed: making a client takes longer than most of what the functions do.

    `previous_key_ids`: master keys that wrap nothing any more, but may have wrapped what is still there.
    """

    def __init__(
        self, kms: "Callable[[], KMSClient]", key_id: str, clock: Clock, previous_key_ids: Sequence[str] = ()
    ) -> None:
        self._kms = kms
        self._key_id = key_id
        self._clock = clock
        self._key_ids = (key_id, *previous_key_ids)

    def seal(self, link_id: LinkId, clear: Clear) -> Sealed:
        """Raises Unavailable when KMS does not answer."""
        from botocore.exceptions import BotoCoreError, ClientError
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        try:
            key = self._kms().generate_data_key(
                KeyId=self._key_id, KeySpec="AES_256", EncryptionContext={"link_id": link_id}
            )
        except (BotoCoreError, ClientError) as error:
            raise Unavailable("Credentials cannot be encrypted at the moment.") from error
        nonce = secrets.token_bytes(NONCE_BYTES)
        box = AESGCM(key["Plaintext"]).encrypt(nonce, msgspec.json.encode(clear), _bound(link_id, type(clear)))
        return Sealed(key["CiphertextBlob"], FORMAT + nonce + box, self._key_id, self._clock.now())

    def open(self, link_id: LinkId, sealed: Sealed, kind: type[C]) -> C:
        """Raises Unreadable when this was not sealed so for this link, Unavailable when KMS does not answer."""
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        key, framed = self._unwrapped(link_id, sealed), sealed.ciphertext
        if not framed.startswith(FORMAT):
            raise Unreadable("unknown format")
        nonce, box = framed[1 : 1 + NONCE_BYTES], framed[1 + NONCE_BYTES :]
        try:
            text = AESGCM(key).decrypt(nonce, box, _bound(link_id, kind))
        except (InvalidTag, ValueError) as error:
            raise Unreadable from error
        return msgspec.json.decode(text, type=kind)

    def is_current(self, sealed: Sealed) -> bool:
        """Whether the present master key wrapped it."""
        return sealed.master_key == self._key_id

    def _unwrapped(self, link_id: LinkId, sealed: Sealed) -> bytes:
        if not sealed.wrapped_key:
            raise Unreadable("no key")
        known = sealed.master_key in self._key_ids
        for key_id in (sealed.master_key,) if known else self._key_ids:
            key = self._decrypted(link_id, sealed.wrapped_key, key_id)
            if key is not None:
                return key
        raise Unreadable("no key unwraps it")

    def _decrypted(self, link_id: LinkId, wrapped_key: bytes, key_id: str) -> bytes | None:
        """None when KMS says that it is not of this master key, or of another link."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return self._kms().decrypt(
                CiphertextBlob=wrapped_key, KeyId=key_id, EncryptionContext={"link_id": link_id}
            )["Plaintext"]
        except ClientError as error:
            if error.response["Error"]["Code"] in NOT_OURS:
                return None
            raise Unavailable("Credentials cannot be decrypted at the moment.") from error
        except BotoCoreError as error:
            raise Unavailable("Credentials cannot be decrypted at the moment.") from error


def _bound(link_id: LinkId, kind: type) -> bytes:
    return f"{link_id}{KINDS[kind]}".encode()
