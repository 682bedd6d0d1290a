"""Short secrets under KMS, each bound to its owner by the encryption context.

KMS encrypts them itself, up to 4096 bytes: they need no data key of their own, and who handles them needs no
`cryptography`. Whoever may only encrypt cannot read what it wrote.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from functions.common.errors import Unavailable

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient


class KmsSecrets:
    """`kms` is called when it is needed: making a client takes longer than most of what the functions do. `owner` names
    the id in the encryption context, e.g. "provider_id"."""

    def __init__(self, kms: "Callable[[], KMSClient]", key_id: str, owner: str) -> None:
        self._kms = kms
        self._key_id = key_id
        self._owner = owner

    def seal(self, owner_id: str, secret: str) -> bytes:
        """Raises Unavailable when KMS does not answer."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return self._kms().encrypt(
                KeyId=self._key_id, Plaintext=secret.encode(), EncryptionContext={self._owner: owner_id}
            )["CiphertextBlob"]
        except (BotoCoreError, ClientError) as error:
            raise Unavailable("Secrets cannot be encrypted at the moment.") from error

    def open(self, owner_id: str, ciphertext: bytes) -> str:
        """Raises Unavailable when KMS does not answer, or says that this is no secret of this owner."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            answer = self._kms().decrypt(
                CiphertextBlob=ciphertext, KeyId=self._key_id, EncryptionContext={self._owner: owner_id}
            )
        except (BotoCoreError, ClientError) as error:
            raise Unavailable("Secrets cannot be decrypted at the moment.") from error
        return answer["Plaintext"].decode()
