"""Signing secrets of webhooks under KMS, each bound to its webhook by the encryption context.

KMS encrypts them itself: a secret of 38 characters needs no data key of its own (ADR 19). Whoever may only encrypt
cannot read what it wrote.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from functions.broker_service.webhook_model import SealedSecret, WebhookId
from functions.common.errors import Unavailable

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient


class KmsSecrets:
    """`kms` is called when it is needed: making a client takes longer than most of what the functions do."""

    def __init__(self, kms: "Callable[[], KMSClient]", key_id: str) -> None:
        self._kms = kms
        self._key_id = key_id

    def seal(self, webhook_id: WebhookId, secret: str) -> bytes:
        """Raises Unavailable when KMS does not answer."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return self._kms().encrypt(
                KeyId=self._key_id, Plaintext=secret.encode(), EncryptionContext={"webhook_id": webhook_id}
            )["CiphertextBlob"]
        except (BotoCoreError, ClientError) as error:
            raise Unavailable("Secrets cannot be encrypted at the moment.") from error

    def open(self, webhook_id: WebhookId, secret: SealedSecret) -> str:
        """Raises Unavailable when KMS does not answer, or says that it is no secret of this webhook."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            answer = self._kms().decrypt(
                CiphertextBlob=secret.ciphertext, KeyId=self._key_id, EncryptionContext={"webhook_id": webhook_id}
            )
        except (BotoCoreError, ClientError) as error:
            raise Unavailable("Secrets cannot be decrypted at the moment.") from error
        return answer["Plaintext"].decode()
