"""Envelope encryption of what users give to link an account. The service's only user of KMS and `cryptography`.

One data key per link (AES-256-GCM, SP 800-38D), wrapped by KMS with the link's id as encryption context and bound to
the link once more as additional data: neither the key nor the cipher text of one link is of any use for another.
"""

import secrets
from typing import TYPE_CHECKING

import msgspec

from functions.account_linking_service.model import LinkId, Sealed, Secrets, Unreadable
from functions.common.errors import Unavailable

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient

NONCE_BYTES = 12
FORMAT = b"\x01"
"""First byte of the cipher text, so that a later format can be told apart."""
NOT_OURS = frozenset({"InvalidCiphertextException", "IncorrectKeyException"})


class _Clear(msgspec.Struct):
    params: dict[str, str]
    username: str
    password: str


class KmsVault:
    def __init__(self, kms: "KMSClient", key_id: str) -> None:
        self._kms = kms
        self._key_id = key_id

    def seal(self, link_id: LinkId, clear: Secrets) -> Sealed:
        """Raises Unavailable when KMS does not answer."""
        from botocore.exceptions import BotoCoreError, ClientError
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        try:
            key = self._kms.generate_data_key(
                KeyId=self._key_id, KeySpec="AES_256", EncryptionContext={"link_id": link_id}
            )
        except (BotoCoreError, ClientError) as error:
            raise Unavailable("Credentials cannot be encrypted at the moment.") from error
        text = msgspec.json.encode(_Clear(dict(clear.params), clear.username, clear.password))
        nonce = secrets.token_bytes(NONCE_BYTES)
        return Sealed(
            key["CiphertextBlob"], FORMAT + nonce + AESGCM(key["Plaintext"]).encrypt(nonce, text, link_id.encode())
        )

    def open(self, link_id: LinkId, sealed: Sealed) -> Secrets:
        """Raises Unreadable when these were not sealed for this link, Unavailable when KMS does not answer."""
        from botocore.exceptions import BotoCoreError, ClientError
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        try:
            key = self._kms.decrypt(
                CiphertextBlob=sealed.wrapped_key, KeyId=self._key_id, EncryptionContext={"link_id": link_id}
            )
        except ClientError as error:
            if error.response["Error"]["Code"] in NOT_OURS:
                raise Unreadable from error
            raise Unavailable("Credentials cannot be decrypted at the moment.") from error
        except BotoCoreError as error:
            raise Unavailable("Credentials cannot be decrypted at the moment.") from error
        framed = sealed.ciphertext
        if not framed.startswith(FORMAT):
            raise Unreadable("unknown format")
        nonce, box = framed[1 : 1 + NONCE_BYTES], framed[1 + NONCE_BYTES :]
        try:
            text = AESGCM(key["Plaintext"]).decrypt(nonce, box, link_id.encode())
        except (InvalidTag, ValueError) as error:
            raise Unreadable from error
        clear = msgspec.json.decode(text, type=_Clear)
        return Secrets(clear.params, clear.username, clear.password)
