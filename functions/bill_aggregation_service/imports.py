"""Use cases that take in Green Button files: at once, or later when the file was uploaded first.

A file is read as a utility's answer is: the same bills go through the same rules, so importing one again changes
nothing, and one that ended half-way is taken up by importing it again.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from functions.bill_aggregation_service.espi.reader import Defaults, FileContent, read_file
from functions.bill_aggregation_service.espi.skipped import Skipped
from functions.bill_aggregation_service.espi.stream import EspiError
from functions.bill_aggregation_service.import_job import Asked, ImportReport
from functions.bill_aggregation_service.keeping import CACHE_SPACE, AnswerCache, LinkStore, keep
from functions.bill_aggregation_service.listing import FILES
from functions.bill_aggregation_service.model import (
    FetchedBill,
    LinkId,
    Outcome,
    Provider,
    ProviderId,
    Source,
    UserId,
)
from functions.bill_aggregation_service.rules import REFUSALS, canonical_json, zone_of
from functions.bill_aggregation_service.upsert import Attempt
from functions.common import logs
from functions.common.clock import Clock
from functions.common.context import remaining_seconds
from functions.common.errors import AppError, InvalidInput, MalformedBody, NotFound, Unavailable
from functions.common.ids import is_id
from functions.common.outbox import Outbox, Pending

log = logging.getLogger(__name__)

USUAL_SERVICE = "electricity"
BATCH_BILLS, BATCH_CHARS = 90, 1_000_000
"""Looked up and compared at once: one read takes 100 known bills. The table writes them in transactions of its own size
(`writing_table.py`)."""
MAX_SHOWN_SKIPPED = 200
WRITE_SECONDS, SEND_SECONDS = 3.0, 6.0
"""Kept back for writing a batch, and for sending its events; what is not sent now, the sweep sends."""
CAUTION = 1.5
"""A batch is begun only if the slowest so far, and half as long again, would end in time."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What the user chose; empty where nothing was chosen."""

    currency: str = ""
    time_zone: str = ""


class FileAccounts(Protocol):
    def provider_of(self, user_id: UserId, link_id: LinkId) -> ProviderId:
        """Raises NotFound for a link that is not this user's, or not any more."""
        ...

    def manual_link(self, user_id: UserId, provider_id: ProviderId) -> LinkId:
        """The user's one link there; made when there is none."""
        ...


class FileProviders(Protocol):
    def get(self, provider_id: ProviderId) -> Provider: ...


class Profiles(Protocol):
    def profile(self, user_id: UserId) -> Profile: ...


@dataclass(slots=True)
class _Counts:
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    skipped: list[Skipped] = field(default_factory=list)
    slowest_seconds: float = 0.0
    """Of its batches."""


@dataclass(frozen=True, slots=True)
class Importer:
    store: LinkStore
    accounts: FileAccounts
    providers: FileProviders
    profiles: Profiles
    outbox: Outbox
    cache: AnswerCache
    clock: Clock
    usual_currency: str
    sleep: Callable[[float], None]

    def check_link(self, user_id: UserId, link_id: LinkId | None) -> None:
        """Raises NotFound when the link is named and not this user's."""
        if link_id:
            self._provider_of(user_id, link_id)

    def import_file(self, user_id: UserId, chunks: Iterable[bytes], asked: Asked) -> ImportReport:
        """Raises NotFound for an unknown link, MalformedBody and InvalidInput for what is no Green Button file, and
        Unavailable when the time ends before the file: what is done then counts as unchanged the next time."""
        began = self.clock.now()
        provider_id = self._provider_of(user_id, asked.link_id) if asked.link_id else FILES
        provider = self.providers.get(provider_id)
        content = _read(chunks, self._defaults(user_id, provider, asked))
        counts = _Counts(skipped=content.skipped)
        link_id = asked.link_id
        if content.bills:
            link_id = link_id or self.accounts.manual_link(user_id, FILES)
            for batch in _batches(content.bills):
                self._keep(user_id, link_id, self._attempt(began, provider, batch), counts)
        log.info(
            "file_imported",
            extra=logs.fields(
                link_id=link_id,
                created=counts.created,
                updated=counts.updated,
                unchanged=counts.unchanged,
                skipped=len(counts.skipped),
            ),
        )
        return ImportReport(
            link_id=link_id,
            created=counts.created,
            updated=counts.updated,
            unchanged=counts.unchanged,
            skipped=tuple(counts.skipped[:MAX_SHOWN_SKIPPED]),
            skipped_count=len(counts.skipped),
        )

    def _provider_of(self, user_id: UserId, link_id: LinkId) -> ProviderId:
        if not is_id("lnk", link_id):
            raise NotFound("There is no such link.", code="link_not_found")
        return self.accounts.provider_of(user_id, link_id)

    def _defaults(self, user_id: UserId, provider: Provider, asked: Asked) -> Defaults:
        """Days are those of the utility, where it is known; else those that the user lives by."""
        profile = self._profile(user_id)
        known = provider.provider_id != FILES
        zone = provider.time_zone if known else profile.time_zone or provider.time_zone
        return Defaults(
            currency=asked.currency or profile.currency or self.usual_currency,
            zone=zone_of(zone),
            service_type=provider.service_types[0] if known and provider.service_types else USUAL_SERVICE,
        )

    def _profile(self, user_id: UserId) -> Profile:
        try:
            return self.profiles.profile(user_id)
        except AppError as error:
            log.warning("profile_unavailable", extra=logs.fields(code=error.code))
            return Profile()

    def _attempt(self, began: datetime, provider: Provider, batch: Sequence[FetchedBill]) -> Attempt:
        return Attempt(began, Outcome.SUCCESS, provider, batch, source=Source.GREEN_BUTTON)

    def _keep(self, user_id: UserId, link_id: LinkId, attempt: Attempt, counts: _Counts) -> None:
        if remaining_seconds() < max(WRITE_SECONDS, CAUTION * counts.slowest_seconds):
            detail = "The file was not finished in time. Import it again, or upload it (POST /imports)."
            raise Unavailable(detail, code="import_unfinished")
        began = self.clock.now()
        done, events = keep(self.store, self.clock, user_id, link_id, attempt, self.sleep)
        self.cache.bump(user_id, CACHE_SPACE)
        self._send(events)
        counts.slowest_seconds = max(counts.slowest_seconds, (self.clock.now() - began).total_seconds())
        counts.created += done.created
        counts.updated += done.updated
        counts.unchanged += done.unchanged
        counts.skipped += [
            Skipped(refused.code, REFUSALS[refused.code], refused.external_bill_id) for refused in done.refused
        ]

    def _send(self, events: Sequence[Pending]) -> None:
        if events and remaining_seconds() >= SEND_SECONDS:
            self.outbox.send(events)


def _read(chunks: Iterable[bytes], defaults: Defaults) -> FileContent:
    try:
        return read_file(chunks, defaults)
    except EspiError as error:
        kind = MalformedBody if error.code in ("malformed_xml", "dtd_refused") else InvalidInput
        raise kind(str(error), code=error.code) from error


def _batches(bills: Sequence[FetchedBill]) -> Iterator[Sequence[FetchedBill]]:
    """Neighbours in time together: what a bill is noted for depends on them."""
    batch: list[FetchedBill] = []
    size = 0
    for bill in sorted(bills, key=lambda each: each.content.period_start):
        length = len(canonical_json(bill.content))
        if batch and (len(batch) == BATCH_BILLS or size + length > BATCH_CHARS):
            yield batch
            batch, size = [], 0
        batch.append(bill)
        size += length
    if batch:
        yield batch
