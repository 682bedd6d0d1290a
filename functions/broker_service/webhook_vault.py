"""Signing secrets of webhooks under KMS, each bound to its webhook by the encryption context (ADR 19)."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from functions.broker_service.webhook_model import SealedSecret, WebhookId
from functions.common import kms_secrets

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient


class KmsSecrets:
    def __init__(self, kms: "Callable[[], KMSClient]", key_id: str) -> None:
        self._secrets = kms_secrets.KmsSecrets(kms, key_id, "webhook_id")

    def seal(self, webhook_id: WebhookId, secret: str) -> bytes:
        """Raises Unavailable when KMS does not answer."""
        return self._secrets.seal(webhook_id, secret)

    def open(self, webhook_id: WebhookId, secret: SealedSecret) -> str:
        """Raises Unavailable when KMS does not answer, or says that it is no secret of this webhook."""
        return self._secrets.open(webhook_id, secret.ciphertext)
