"""Use cases of the registry: utilities are entered, found, changed and taken out of service."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Protocol

from functions.common import cursor
from functions.common.clock import Clock, rfc3339
from functions.common.egress import Resolve
from functions.common.errors import Conflict, FieldError, InvalidInput, NotFound, Unavailable
from functions.common.logs import fields
from functions.common.outbox import Outbox, Pending
from functions.contracts.events.envelope import wrap
from functions.contracts.events.providers import ProviderHealthChangedV1
from functions.utility_provider_service.model import (
    HealthState,
    Provider,
    ProviderChanges,
    ProviderFacts,
    ProviderId,
    ServiceType,
    folded,
    is_provider_id,
)
from functions.utility_provider_service.rules import errors_in

log = logging.getLogger(__name__)
AFTER = "after"
WRITE_ATTEMPTS = 5
CLOCK_TOLERANCE = timedelta(minutes=5)


class ProviderRepository(Protocol):
    def create(self, provider: Provider) -> bool:
        """False, and nothing is written, when the id is taken."""
        ...

    def get(self, provider_id: ProviderId) -> Provider | None: ...

    def by_name(self, after: str) -> Iterator[Provider]:
        """All whose `sort_name` comes after `after`, in that order. A provider just written may not be there yet."""
        ...

    def replace(self, provider: Provider, version: int) -> bool:
        """False, and nothing is written, unless the one that is there has this version."""
        ...

    def delete(self, provider_id: ProviderId) -> None: ...


Precondition = Callable[[str], None]
"""Raises PreconditionFailed unless this version is the one that the caller has seen."""


def _any_version(version: str) -> None:
    """The caller does not mind which version is changed."""


@dataclass(frozen=True, slots=True)
class Page:
    items: tuple[Provider, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """`q`: part of the name; what is empty or None does not narrow."""

    service_type: ServiceType | None = None
    country: str | None = None
    q: str = ""
    deactivated: bool = False
    """Those out of service too."""

    def finds(self, provider: Provider) -> bool:
        facts = provider.facts
        return (
            (provider.active or self.deactivated)
            and (self.service_type is None or self.service_type in facts.service_types)
            and (self.country is None or self.country == facts.country)
            and folded(self.q.strip()) in folded(facts.name)
        )


@dataclass(frozen=True, slots=True)
class Registry:
    repository: ProviderRepository
    clock: Clock
    sandbox_origin: str = ""
    resolve: Resolve | None = None
    """Answers names for the check of base URLs; None: the system's resolver."""
    outbox: Outbox | None = None
    """None where nobody reports health: no event comes to be there."""

    def create_provider(self, facts: ProviderFacts) -> Provider:
        """Enters a utility. Raises InvalidInput naming every field at fault, Conflict when the id is taken."""
        self._check(facts)
        now = self.clock.now()
        provider = Provider(facts=facts, created_at=now, updated_at=now)
        if not self.repository.create(provider):
            raise Conflict(f"There is a provider {facts.provider_id} already.", code="provider_exists")
        log.info("provider_created", extra=fields(provider_id=facts.provider_id))
        return provider

    def get_provider(self, provider_id: str, *, deactivated: bool = True) -> Provider:
        """Raises NotFound for an unknown or ill-formed id; for one out of service unless `deactivated`."""
        provider = self.repository.get(ProviderId(provider_id)) if is_provider_id(provider_id) else None
        if provider is None or not (provider.active or deactivated):
            raise NotFound("There is no such provider.", code="provider_not_found")
        return provider

    def provider_exists(self, provider_id: str) -> bool:
        """Whether it is there and in service."""
        try:
            return self.get_provider(provider_id).active
        except NotFound:
            return False

    def list_providers(self, search: Search = Search(), limit: int = 50, position: str = "") -> Page:
        """A page by name. `position`: the cursor of the page before.

        It filters as it reads: a registry has hundreds of entries, which one query of a table brings at once.
        """
        found = filter(search.finds, self.repository.by_name(_after(position)))
        items = tuple(islice(found, limit))
        more = next(found, None) is not None
        return Page(items, cursor.encode({AFTER: items[-1].sort_name}) if more else None)

    def update_provider(
        self, provider_id: str, changes: ProviderChanges, precondition: Precondition = _any_version
    ) -> Provider:
        """Raises NotFound, PreconditionFailed, or InvalidInput naming every field at fault. What changes nothing writes
        nothing; what another changes in the same moment is not lost."""

        def changed(provider: Provider) -> Provider:
            new = changes.applied_to(provider)
            if new.facts != provider.facts:
                self._check(new.facts)
            return provider if new == provider else replace(new, updated_at=self.clock.now())

        provider, written = self._change(provider_id, changed, precondition)
        if written:
            log.info("provider_updated", extra=fields(provider_id=provider_id, version=provider.version))
        return provider

    def deactivate_provider(self, provider_id: str, precondition: Precondition = _any_version) -> Provider:
        """Takes it out of service; again changes nothing. Raises as `update_provider`, which can take it back."""
        return self.update_provider(provider_id, ProviderChanges(active=False), precondition)

    def report_health(self, provider_id: str, state: HealthState, at: datetime) -> tuple[Provider, bool]:
        """The provider once it was seen in `state` at `at`, and whether that changed it. What is told twice, or late,
        changes nothing; another state is told of by an event. Raises NotFound, or InvalidInput when `at` lies in the
        future."""
        if at > self.clock.now() + CLOCK_TOLERANCE:
            raise InvalidInput.of(FieldError("at", "invalid", "This lies in the future."))
        provider, changed = self._change(provider_id, lambda before: self._seen(before, state, at))
        if changed:
            log.info("provider_health_changed", extra=fields(provider_id=provider_id, state=state))
        if changed and self.outbox and provider.unsent:
            self.outbox.send([pending_of(provider)])
        return provider, changed

    def flush_outbox(self, limit: int) -> tuple[int, bool]:
        """Publishes what was left behind. Answers how many providers, and whether there may be more."""
        return self.outbox.flush(limit) if self.outbox else (0, False)

    def ensure_provider(self, facts: ProviderFacts) -> None:
        """Enters a utility, or moves the one that is there to this base URL. Again changes nothing.

        Raises InvalidInput like `create_provider`.
        """
        present = self.repository.get(facts.provider_id)
        if present is None:
            self.create_provider(facts)
        elif present.facts.base_url != facts.base_url:
            self.update_provider(facts.provider_id, ProviderChanges(base_url=facts.base_url))

    def delete_provider(self, provider_id: ProviderId) -> None:
        """For good, which only migrations do. Again changes nothing."""
        self.repository.delete(provider_id)

    def _seen(self, before: Provider, state: HealthState, at: datetime) -> Provider:
        """With the event, unless all that is new is that somebody called it at all."""
        health = before.health.after(state, at)
        if health.since is None or health.state is before.health.state:
            return replace(before, health=health)
        changed = ProviderHealthChangedV1(
            provider_id=before.facts.provider_id, previous=before.health.state, state=state, since=rfc3339(health.since)
        )
        return replace(before, health=health, unsent=(*before.unsent, wrap(changed, self.clock.now()).to_json()))

    def _check(self, facts: ProviderFacts) -> None:
        if errors := errors_in(facts, self.sandbox_origin, self.resolve):
            raise InvalidInput.of(*errors)

    def _change(
        self, provider_id: str, change: Callable[[Provider], Provider], precondition: Precondition = _any_version
    ) -> tuple[Provider, bool]:
        """Writes `change` of the newest version, and only on that: whoever comes second changes what the first left."""
        for _ in range(WRITE_ATTEMPTS):
            seen = self.get_provider(provider_id)
            precondition(str(seen.version))
            changed = change(seen)
            if changed == seen:
                return seen, False
            changed = replace(changed, version=seen.version + 1)
            if self.repository.replace(changed, seen.version):
                return changed, True
        raise Unavailable("The provider is being changed by others; try again.", code="contended", retry_after=1)


def pending_of(provider: Provider) -> Pending:
    return Pending((provider.facts.provider_id,), provider.version, provider.unsent)


def _after(position: str) -> str:
    if not position:
        return ""
    key = cursor.decode(position)
    if set(key) != {AFTER} or not 0 < len(key[AFTER]) <= 1000:
        raise InvalidInput.of(FieldError("cursor", "invalid", "This is no cursor that this list gave out."))
    return key[AFTER]
