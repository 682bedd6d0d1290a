"""Use case of the secrets that utilities sign their webhooks with (https://www.standardwebhooks.com): an administrator
makes one and hands it on; here it is kept so that only who verifies can read it."""

import logging
import secrets
from base64 import b64encode
from dataclasses import dataclass
from typing import Protocol

from functions.common.clock import Clock
from functions.common.errors import Conflict, Unavailable
from functions.common.logs import fields
from functions.utility_provider_service.model import ProviderId, WebhookSecrets
from functions.utility_provider_service.service import WRITE_ATTEMPTS, Registry

log = logging.getLogger(__name__)

SECRET_BYTES = 32


class SecretRepository(Protocol):
    def get_secrets(self, provider_id: ProviderId) -> WebhookSecrets:
        """Without any, and of version 0, when there are none."""
        ...

    def replace_secrets(self, held: WebhookSecrets, version: int) -> bool:
        """False, and nothing is written, unless those that are there have this version."""
        ...


class Sealer(Protocol):
    def seal(self, owner_id: str, secret: str) -> bytes: ...


@dataclass(frozen=True, slots=True)
class SecretMaking:
    registry: Registry
    repository: SecretRepository
    sealer: Sealer
    clock: Clock

    def create_webhook_secret(self, provider_id: str) -> tuple[str, WebhookSecrets]:
        """A new secret in clear, which nobody sees again, and what is good now. The one before stays good for a day,
        those before that are not good any more. Raises NotFound; Conflict where files, not utilities, bring bills."""
        provider = self.registry.get_provider(provider_id)
        if not provider.facts.linkable:
            raise Conflict("Bills of this provider come from files.", code="provider_not_linkable")
        key = provider.facts.provider_id
        secret = f"whsec_{b64encode(secrets.token_bytes(SECRET_BYTES)).decode()}"
        ciphertext = self.sealer.seal(key, secret)
        for _ in range(WRITE_ATTEMPTS):
            held = self.repository.get_secrets(key)
            rotated = held.rotated(ciphertext, self.clock.now())
            if self.repository.replace_secrets(rotated, held.version):
                log.info("webhook_secret_created", extra=fields(provider_id=key, version=rotated.version))
                return secret, rotated
        raise Unavailable("Others are making secrets of this provider; try again.", code="contended", retry_after=1)
