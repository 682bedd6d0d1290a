"""What a reader sees of bills and of the links that they come from: status, doubts, and how fresh each source is."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

import msgspec

from functions.bill_aggregation_service.model import (
    Bill,
    Criteria,
    Freshness,
    Link,
    LinkId,
    Outcome,
    ProviderId,
    QualityNote,
    Status,
)
from functions.bill_aggregation_service.payment import Payment, payment_of, status_of
from functions.bill_aggregation_service.quality import all_notes
from functions.bill_aggregation_service.refresh import LinkResult
from functions.bill_aggregation_service.rules import zone_of

FILES = ProviderId("prv_green_button")
"""Where bills belong that came in a file and to no link of a utility: there is nobody to ask."""
WAITING = ("ACTION_REQUIRED", "MFA_REQUIRED")
"""States of a link that wait for its user."""


@dataclass(frozen=True, slots=True)
class ListedBill:
    bill: Bill
    status: Status
    payment: Payment
    quality_notes: tuple[QualityNote, ...]

    @property
    def tag(self) -> str:
        """Differs whenever the bill reads differently: new version, mark or notes, a document that is there or gone, or
        a status that time has moved. Not by edition: a look for reminders writes the bill and changes nothing seen."""
        beside = msgspec.json.encode((self.quality_notes, bool(self.bill.content.document_url)))
        digest = hashlib.blake2b(beside, digest_size=6).hexdigest()
        return f"{self.bill.version}-{self.bill.mark.revision}-{digest}-{self.status}"


@dataclass(frozen=True, slots=True)
class SourceError:
    code: str
    retryable: bool


@dataclass(frozen=True, slots=True)
class SourceRow:
    link_id: LinkId
    provider_id: ProviderId
    outcome: Freshness
    as_of: datetime | None
    error: SourceError | None = None


@dataclass(frozen=True, slots=True)
class Lifetime:
    """How long an answer may be kept: past its soft end it is served while it is renewed, past its hard end no more."""

    soft_end: datetime
    hard_end: datetime


@dataclass(frozen=True, slots=True)
class BillPage:
    items: tuple[ListedBill, ...]
    sources: tuple[SourceRow, ...]
    next_cursor: str | None
    lifetime: Lifetime
    outdated: tuple[LinkId, ...]
    """Links whose utilities are worth asking again."""


@dataclass(frozen=True, slots=True)
class Reader:
    """How bills and links read at one moment."""

    now: datetime
    due_soon_days: int
    fresh_seconds: int
    """Younger data are `cached`, older ones `stale`."""

    def listed(self, bill: Bill, link: Link) -> ListedBill:
        today = self.now.astimezone(zone_of(link.time_zone)).date()
        status = status_of(bill.content, bill.mark, today, self.due_soon_days)
        return ListedBill(bill, status, payment_of(bill.content, bill.mark), all_notes(bill))

    def admitted(self, bill: Bill, links: Mapping[LinkId, Link], criteria: Criteria) -> ListedBill | None:
        """None for a bill that is not asked for, or whose link is gone."""
        link = links.get(bill.link_id)
        if link is None or not criteria.admits(bill.link_id, bill.provider_id):
            return None
        if criteria.service_type not in (None, bill.content.service_type):
            return None
        listed = self.listed(bill, link)
        return listed if criteria.status in (None, listed.status) else None

    def source(self, link: Link, live: LinkResult | None) -> SourceRow:
        """What was read live just now says more than the record, which a slow link has not written yet."""
        outcome, code, retryable = link.outcome, link.error_code, link.retryable
        if live is not None:
            outcome, code, retryable = live.refreshed.outcome, live.refreshed.error_code, live.refreshed.retryable
        if outcome is Outcome.NEVER and link.state == "ACTION_REQUIRED":
            outcome, code = Outcome.ACTION_REQUIRED, link.status_detail
        error = SourceError(code, retryable) if code else None
        if link.refused_count and error is None:
            error = SourceError("bills_refused", retryable=False)
        match outcome:
            case Outcome.NEVER:
                freshness, error = Freshness.STALE, SourceError("not_read_yet", retryable=True)
            case Outcome.SUCCESS if live is not None:
                freshness = Freshness.FRESH
            case Outcome.SUCCESS:
                freshness = Freshness.CACHED if self._is_young(link) else Freshness.STALE
            case Outcome.FAILED:
                freshness = Freshness.FAILED
            case Outcome.ACTION_REQUIRED:
                freshness = Freshness.ACTION_REQUIRED
        return SourceRow(link.link_id, link.provider_id, freshness, link.as_of, error)

    def lifetime(self, links: Iterable[Link], soft: timedelta, hard: timedelta) -> Lifetime:
        """Status changes at midnight in a bill's zone, so no answer outlives that; freshness as a source gets old."""
        soft_ends, hard_ends = [self.now + soft], [self.now + hard]
        for link in links:
            hard_ends.append(_next_midnight(link.time_zone, self.now))
            soft_ends += [end for end in (self._soft_end(link),) if end and end > self.now]
        return Lifetime(min(*soft_ends, *hard_ends), min(hard_ends))

    def outdated(self, links: Iterable[Link]) -> tuple[LinkId, ...]:
        """Those past their soft age that were read well the last time: one that fails is asked again by the sweep, at
        growing intervals, and one that waits for its user only when the user asks."""
        return tuple(
            sorted(
                link.link_id
                for link in links
                if link.outcome is Outcome.SUCCESS
                and link.state not in WAITING
                and link.provider_id != FILES
                and not self._is_young(link)
            )
        )

    def _is_young(self, link: Link) -> bool:
        end = self._soft_end(link)
        return end is not None and end > self.now

    def _soft_end(self, link: Link) -> datetime | None:
        return link.as_of + timedelta(seconds=self.fresh_seconds) if link.as_of else None


def _next_midnight(zone_name: str, now: datetime) -> datetime:
    zone = zone_of(zone_name)
    tomorrow = now.astimezone(zone).date() + timedelta(1)
    return datetime.combine(tomorrow, time(), zone).astimezone(UTC)
