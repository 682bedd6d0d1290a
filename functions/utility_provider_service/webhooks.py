"""Whether a utility signed a webhook, as Standard Webhooks has it (https://www.standardwebhooks.com, specification
1.0.0). The library signs; what it checks by itself goes by the machine's clock and stops at the first odd signature."""

import hmac
import re
import secrets
from base64 import b64encode
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol

from standardwebhooks import Webhook

from functions.common.clock import Clock
from functions.utility_provider_service.model import ProviderId, WebhookSecret, WebhookSecrets, is_provider_id

TOLERANCE = timedelta(minutes=5)
"""Both ways: how far the utility's clock and ours may be apart, and how old what is replayed may be."""
MAX_SIGNATURES = 10
MAX_OPENED = 100
_TIMESTAMP = re.compile(r"[0-9]{1,11}")


class SecretReader(Protocol):
    def get_secrets(self, provider_id: ProviderId) -> WebhookSecrets:
        """Without any when there are none."""
        ...


class Opener(Protocol):
    def open(self, owner_id: str, ciphertext: bytes) -> str: ...


@dataclass(frozen=True, slots=True)
class SignedWebhook:
    """As it came in: three headers and the very bytes of the body."""

    webhook_id: str
    timestamp: str
    """Seconds since 1970."""
    signatures: str
    """`v1,<base64>`, several separated by spaces; versions that are not known do not count."""
    body: bytes


@dataclass(frozen=True, slots=True)
class Verifying:
    repository: SecretReader
    opener: Opener
    clock: Clock
    nobodys: str = field(default_factory=lambda: b64encode(secrets.token_bytes(32)).decode(), repr=False)
    """What webhooks of unknown providers are compared with, so that they take as long as others."""
    opened: dict[bytes, str] = field(default_factory=dict, repr=False)
    """By cipher text, which never changes its meaning: a flood of forgeries must not become one of calls to KMS."""

    def verify_webhook(self, provider_id: str, webhook: SignedWebhook) -> bool:
        """Whether this utility signed it, lately. Says no alike for an unknown provider, one without a secret, a bad
        signature and a time too far away. Raises Unavailable when KMS or the table does not answer."""
        now, at = self.clock.now(), _read_time(webhook.timestamp)
        if at is None or not webhook.webhook_id or abs(now - at) > TOLERANCE:
            return False
        try:
            body = webhook.body.decode()
        except UnicodeDecodeError:  # no JSON, and nothing that the library signs
            return False
        good = self._good(provider_id, now)
        signatures = [Webhook(secret).sign(webhook.webhook_id, at, body) for secret in good or [self.nobodys]]
        given = webhook.signatures.split(" ")[:MAX_SIGNATURES]
        # each with each, whatever was found before: how long it takes tells nothing
        matches = [hmac.compare_digest(own.encode(), other.encode()) for own in signatures for other in given]
        return bool(good) and any(matches)

    def _good(self, provider_id: str, now: datetime) -> list[str]:
        if not is_provider_id(provider_id):
            return []
        held = self.repository.get_secrets(ProviderId(provider_id))
        return [self._open(held.provider_id, secret) for secret in held.secrets if secret.is_good(now)]

    def _open(self, provider_id: ProviderId, secret: WebhookSecret) -> str:
        clear = self.opened.get(secret.ciphertext)
        if clear is None:
            clear = self.opener.open(provider_id, secret.ciphertext)
            if len(self.opened) >= MAX_OPENED:
                self.opened.clear()
            self.opened[secret.ciphertext] = clear
        return clear


def _read_time(seconds: str) -> datetime | None:
    return datetime.fromtimestamp(int(seconds), UTC) if _TIMESTAMP.fullmatch(seconds) else None
