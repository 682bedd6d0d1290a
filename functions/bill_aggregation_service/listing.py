"""What a reader sees of bills and of the links that they come from: status, doubts, and how fresh each source is."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

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


@dataclass(frozen=True, slots=True)
class ListedBill:
    bill: Bill
    status: Status
    payment: Payment
    quality_notes: tuple[QualityNote, ...]

    @property
    def tag(self) -> str:
        """Differs whenever the bill reads differently: new version, mark or notes, or a status that time has moved."""
        return f"{self.bill.version}-{self.bill.mark.revision}-{self.bill.edition}-{self.status}"


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
class BillPage:
    items: tuple[ListedBill, ...]
    sources: tuple[SourceRow, ...]
    next_cursor: str | None
    good_for_seconds: int
    """How long the page may be kept: status and freshness change by themselves."""


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
                freshness = Freshness.CACHED if self._soft_age_left(link) > 0 else Freshness.STALE
            case Outcome.FAILED:
                freshness = Freshness.FAILED
            case Outcome.ACTION_REQUIRED:
                freshness = Freshness.ACTION_REQUIRED
        return SourceRow(link.link_id, link.provider_id, freshness, link.as_of, error)

    def good_for(self, links: Iterable[Link], at_most: int) -> int:
        """Seconds until the next midnight in a bill's zone, or until a source gets old."""
        ends = [float(at_most)]
        for link in links:
            ends.append(_seconds_to_midnight(link.time_zone, self.now))
            ends += [left for left in (self._soft_age_left(link),) if left > 0]
        return int(min(ends))

    def _soft_age_left(self, link: Link) -> float:
        return self.fresh_seconds - (self.now - link.as_of).total_seconds() if link.as_of else 0.0


def _seconds_to_midnight(zone_name: str, now: datetime) -> float:
    zone = zone_of(zone_name)
    tomorrow = now.astimezone(zone).date() + timedelta(1)
    return (datetime.combine(tomorrow, time(), zone).astimezone(UTC) - now).total_seconds()
