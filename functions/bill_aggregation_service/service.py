"""Use cases that read what is kept: listing a user's bills, after a look at the utilities where that is wanted."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Protocol

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
    UserId,
)
from functions.bill_aggregation_service.payment import status_of
from functions.bill_aggregation_service.quality import all_notes
from functions.bill_aggregation_service.refresh import LinkResult, Refreshed
from functions.bill_aggregation_service.rules import zone_of
from functions.common import cursor, logs
from functions.common.clock import Clock
from functions.common.context import remaining_seconds
from functions.common.errors import AppError

log = logging.getLogger(__name__)

LIVE_SECONDS = 25.0
ANSWER_SECONDS = 2.0
"""Kept back from a live read, to answer from the table."""


class BillStore(Protocol):
    def links(self, user_id: UserId) -> Sequence[Link]: ...

    def newest_first(self, user_id: UserId, criteria: Criteria) -> Iterator[Link | Bill]:
        """All of the user's links, then the bills between `since` and `until` and past `after`, last day first."""
        ...


class LiveReads(Protocol):
    """What asks the utilities: another function, since the one that faces the internet may not (ADR 11)."""

    def refresh_links(
        self, user_id: UserId, link_id: LinkId | None, provider_id: ProviderId | None, seconds: float
    ) -> Sequence[LinkResult]:
        """All of the user's links, or those asked for. Answers within `seconds`, or raises DeadlineExceeded."""
        ...


@dataclass(frozen=True, slots=True)
class ListedBill:
    bill: Bill
    status: Status
    quality_notes: tuple[QualityNote, ...]


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
class Bills:
    store: BillStore
    clock: Clock
    live: Callable[[], LiveReads]
    """Built only for a live read, which alone needs RPC."""
    cache_seconds: int
    fresh_seconds: int
    due_soon_days: int

    def list_bills(self, user_id: UserId, criteria: Criteria, *, refresh: bool = False) -> BillPage:
        """With `refresh`, asks the utilities first; one that fails costs its own row in `sources` only."""
        live = self._read_live(user_id, criteria) if refresh else {}
        now = self.clock.now()
        # A link that was read for the first time and is not done has no record yet.
        links = {
            result.link_id: Link(user_id=user_id, link_id=result.link_id, provider_id=result.provider_id)
            for result in live.values()
        }
        found: list[ListedBill] = []
        for row in self.store.newest_first(user_id, criteria):
            if isinstance(row, Link):
                links[row.link_id] = row
            elif listed := self._listed(row, links, criteria, now):
                found.append(listed)
                if len(found) > criteria.limit:
                    break
        items = tuple(found[: criteria.limit])
        return BillPage(
            items=items,
            sources=tuple(self._source(links[link_id], live.get(link_id), now) for link_id in sorted(links)),
            next_cursor=cursor.encode({"after": items[-1].bill.position}) if len(found) > len(items) else None,
            good_for_seconds=self._good_for(links.values(), now),
        )

    def _read_live(self, user_id: UserId, criteria: Criteria) -> Mapping[LinkId, LinkResult]:
        """How reading the links that were asked for ended, within the time that is left."""
        seconds = max(0.0, min(LIVE_SECONDS, remaining_seconds() - ANSWER_SECONDS))
        try:
            results = self.live().refresh_links(user_id, criteria.link_id, criteria.provider_id, seconds)
        except AppError as error:
            log.warning("live_read_failed", extra=logs.fields(code=error.code))
            failed = Refreshed(Outcome.FAILED, error.code, retryable=True)
            results = [
                LinkResult(link.link_id, link.provider_id, failed)
                for link in self.store.links(user_id)
                if criteria.admits(link.link_id, link.provider_id)
            ]
        return {result.link_id: result for result in results}

    def _listed(self, bill: Bill, links: Mapping[LinkId, Link], criteria: Criteria, now: datetime) -> ListedBill | None:
        """None for a bill that is not asked for, or whose link is gone."""
        link = links.get(bill.link_id)
        if link is None or not criteria.admits(bill.link_id, bill.provider_id):
            return None
        if criteria.service_type not in (None, bill.content.service_type):
            return None
        status = status_of(bill.content, bill.mark, now.astimezone(zone_of(link.time_zone)).date(), self.due_soon_days)
        if criteria.status not in (None, status):
            return None
        return ListedBill(bill, status, all_notes(bill))

    def _source(self, link: Link, live: LinkResult | None, now: datetime) -> SourceRow:
        """What was read live just now says more than the record, which a slow link has not written yet."""
        outcome, code, retryable = link.outcome, link.error_code, link.retryable
        if live is not None:
            outcome, code, retryable = live.refreshed.outcome, live.refreshed.error_code, live.refreshed.retryable
        if outcome is Outcome.NEVER and link.state == "ACTION_REQUIRED":
            outcome, code = Outcome.ACTION_REQUIRED, link.status_detail
        error = SourceError(code, retryable) if code else None
        match outcome:
            case Outcome.NEVER:
                freshness, error = Freshness.STALE, SourceError("not_read_yet", retryable=True)
            case Outcome.SUCCESS if live is not None:
                freshness = Freshness.FRESH
            case Outcome.SUCCESS:
                freshness = Freshness.CACHED if self._soft_age_left(link, now) > 0 else Freshness.STALE
            case Outcome.FAILED:
                freshness = Freshness.FAILED
            case Outcome.ACTION_REQUIRED:
                freshness = Freshness.ACTION_REQUIRED
        return SourceRow(link.link_id, link.provider_id, freshness, link.as_of, error)

    def _soft_age_left(self, link: Link, now: datetime) -> float:
        return self.fresh_seconds - (now - link.as_of).total_seconds() if link.as_of else 0.0

    def _good_for(self, links: Iterable[Link], now: datetime) -> int:
        """Until the next midnight in a bill's zone, or until a source gets old."""
        ends = [float(self.cache_seconds)]
        for link in links:
            ends.append(_seconds_to_midnight(link.time_zone, now))
            ends += [left for left in (self._soft_age_left(link, now),) if left > 0]
        return int(min(ends))


def _seconds_to_midnight(zone_name: str, now: datetime) -> float:
    zone = zone_of(zone_name)
    tomorrow = now.astimezone(zone).date() + timedelta(1)
    return (datetime.combine(tomorrow, time(), zone).astimezone(UTC) - now).total_seconds()
