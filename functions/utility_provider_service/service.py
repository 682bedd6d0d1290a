"""Use cases of the registry: utilities are entered, looked up and listed."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from typing import Protocol

from functions.common import cursor
from functions.common.clock import Clock
from functions.common.errors import Conflict, FieldError, InvalidInput, NotFound
from functions.common.logs import fields
from functions.utility_provider_service.model import (
    Provider,
    ProviderFacts,
    ProviderId,
    ServiceType,
    folded,
    is_provider_id,
)
from functions.utility_provider_service.rules import errors_in

log = logging.getLogger(__name__)
AFTER = "after"


class ProviderRepository(Protocol):
    def create(self, provider: Provider) -> bool:
        """False, and nothing is written, when the id is taken."""
        ...

    def get(self, provider_id: ProviderId) -> Provider | None: ...

    def by_name(self, after: str) -> Iterator[Provider]:
        """All whose `sort_name` comes after `after`, in that order. A provider just written may not be there yet."""
        ...

    def move(self, provider_id: ProviderId, base_url: str, at: datetime) -> None:
        """Gives the provider another base URL, unless there is no such provider."""
        ...

    def delete(self, provider_id: ProviderId) -> None: ...


@dataclass(frozen=True, slots=True)
class Page:
    items: tuple[Provider, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class Registry:
    repository: ProviderRepository
    clock: Clock
    sandbox_origin: str = ""

    def create_provider(self, facts: ProviderFacts) -> Provider:
        """Enters a utility. Raises InvalidInput naming every field at fault, Conflict when the id is taken."""
        errors = errors_in(facts, self.sandbox_origin)
        if errors:
            raise InvalidInput.of(*errors)
        now = self.clock.now()
        provider = Provider(facts=facts, created_at=now, updated_at=now)
        if not self.repository.create(provider):
            raise Conflict(f"There is a provider {facts.provider_id} already.", code="provider_exists")
        log.info("provider_created", extra=fields(provider_id=facts.provider_id))
        return provider

    def get_provider(self, provider_id: str) -> Provider:
        """Raises NotFound for an unknown or ill-formed id."""
        provider = self.repository.get(ProviderId(provider_id)) if is_provider_id(provider_id) else None
        if provider is None:
            raise NotFound("There is no such provider.", code="provider_not_found")
        return provider

    def provider_exists(self, provider_id: str) -> bool:
        return is_provider_id(provider_id) and self.repository.get(ProviderId(provider_id)) is not None

    def list_providers(
        self, service_type: ServiceType | None = None, q: str = "", limit: int = 50, position: str = ""
    ) -> Page:
        """A page by name. `q`: part of the name; `position`: the cursor of the page before.

        It filters as it reads: a registry has hundreds of entries, which one query of a table brings at once.
        """
        wanted = folded(q.strip())
        found = (
            provider
            for provider in self.repository.by_name(_after(position))
            if (service_type is None or service_type in provider.facts.service_types)
            and wanted in folded(provider.facts.name)
        )
        items = tuple(islice(found, limit))
        more = next(found, None) is not None
        return Page(items, cursor.encode({AFTER: items[-1].sort_name}) if more else None)

    def ensure_provider(self, facts: ProviderFacts) -> None:
        """Enters a utility, or moves the one that is there to this base URL. Again changes nothing.

        Raises InvalidInput like `create_provider`.
        """
        present = self.repository.get(facts.provider_id)
        if present is None:
            self.create_provider(facts)
        elif present.facts.base_url != facts.base_url:
            errors = errors_in(replace(present.facts, base_url=facts.base_url), self.sandbox_origin)
            if errors:
                raise InvalidInput.of(*errors)
            self.repository.move(facts.provider_id, facts.base_url, self.clock.now())
            log.info("provider_moved", extra=fields(provider_id=facts.provider_id))

    def delete_provider(self, provider_id: ProviderId) -> None:
        """Again changes nothing."""
        self.repository.delete(provider_id)


def _after(position: str) -> str:
    if not position:
        return ""
    key = cursor.decode(position)
    if set(key) != {AFTER} or not 0 < len(key[AFTER]) <= 1000:
        raise InvalidInput.of(FieldError("cursor", "invalid", "This is no cursor that this list gave out."))
    return key[AFTER]
