"""Use cases on what is kept: listing bills, one bill with its versions, sums, and the user's marks of payment."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Protocol

from functions.bill_aggregation_service.finding import found_bill
from functions.bill_aggregation_service.history import Version, versions_of
from functions.bill_aggregation_service.keeping import CACHE_SPACE, WRITE_TRIES, AnswerCache, LinkMoved
from functions.bill_aggregation_service.listing import BillPage, Lifetime, ListedBill, Reader
from functions.bill_aggregation_service.marks import marked
from functions.bill_aggregation_service.model import (
    Bill,
    BillKey,
    By,
    Criteria,
    Link,
    LinkId,
    UserId,
)
from functions.bill_aggregation_service.refresh import LinkResult
from functions.bill_aggregation_service.summary import Sum, a_year_until, summed
from functions.common.clock import Clock
from functions.common.context import remaining_seconds
from functions.common.cursor import SignedCursors
from functions.common.errors import FieldError, InvalidInput, Unavailable
from functions.common.outbox import Outbox, Pending

LIVE_SECONDS = 25.0
ANSWER_SECONDS = 2.0
"""Kept back from a live read, to answer from the table."""
MAX_EXAMINED = 1_000
"""Bills that one page looks at: with a filter that few pass, a page ends early and its cursor goes on from there."""
MAX_SUMMED = 5_000
MAX_VERSIONS = 50
POSITION = re.compile(r"\d{4}-\d\d-\d\d#\d{4}-\d\d-\d\d#[0-9A-Z]{16}", re.ASCII)
Said = Mapping[str, date | int | str | None]


class BillStore(Protocol):
    def link(self, user_id: UserId, link_id: LinkId) -> Link | None: ...

    def newest_first(self, user_id: UserId, criteria: Criteria, links: int = 0) -> Iterator[Link | Bill]:
        """All of the user's links, then the bills between `since` and `until` and past `after`, last day first.
        `links`: how many links are known to be there."""
        ...

    def bill(self, user_id: UserId, key: BillKey) -> Bill | None: ...

    def versions_before(self, user_id: UserId, key: BillKey, limit: int) -> Sequence[Bill]:
        """Newest first, without the present one."""
        ...

    def save_bill(self, before: Bill, after: Bill) -> Pending:
        """Raises LinkMoved when the bill does not stand as in `before` any more."""
        ...


class LiveReads(Protocol):
    """What asks the utilities: another function, since the one that faces the internet may not (ADR 11)."""

    def read_live(self, user_id: UserId, criteria: Criteria, seconds: float) -> Mapping[LinkId, LinkResult]:
        """How reading the links that were asked for ended: each of them that is known, whatever failed. Answers within
        `seconds`."""
        ...


@dataclass(frozen=True, slots=True)
class BillDetail:
    listed: ListedBill
    versions: tuple[Version, ...]
    """Newest first, the present one among them; at most MAX_VERSIONS."""


@dataclass(frozen=True, slots=True)
class Summary:
    items: tuple[Sum, ...]
    since: date
    until: date | None
    lifetime: Lifetime
    outdated: tuple[LinkId, ...]
    """Links whose utilities are worth asking again."""


@dataclass(frozen=True, slots=True)
class Bills:
    store: BillStore
    cache: AnswerCache
    clock: Clock
    cursors: SignedCursors
    live: Callable[[], LiveReads]
    """Built only for a live read, and the outbox only for a mark: they alone need RPC."""
    outbox: Callable[[], Outbox]
    soft: timedelta
    hard: timedelta
    """Ages of an answer: past the soft one it is renewed, past the hard one it is not served."""
    fresh_seconds: int
    due_soon_days: int

    def list_bills(self, user_id: UserId, criteria: Criteria, *, refresh: bool = False) -> BillPage:
        """With `refresh`, asks the utilities first; one that fails costs its own row in `sources` only."""
        criteria = replace(criteria, after=self._position(user_id, criteria.cursor))
        live = self.live().read_live(user_id, criteria, _seconds_to_read()) if refresh else {}
        reader = self._reader()
        # A link that was read for the first time and is not done has no record yet.
        links = {
            result.link_id: Link(user_id=user_id, link_id=result.link_id, provider_id=result.provider_id)
            for result in live.values()
        }
        items, after = self._page(user_id, criteria, reader, links)
        return BillPage(
            items=items,
            sources=tuple(reader.source(links[link_id], live.get(link_id)) for link_id in sorted(links)),
            next_cursor=self.cursors.encode(user_id, {"after": after}) if after else None,
            lifetime=reader.lifetime(links.values(), self.soft, self.hard),
            outdated=reader.outdated(links.values()),
        )

    def get_bill(self, user_id: UserId, bill_id: str) -> BillDetail:
        """Raises NotFound."""
        return self._detail(*self._found(user_id, bill_id))

    def mark_bill(
        self, user_id: UserId, bill_id: str, said: Callable[[], Said], expected: Callable[[str], None]
    ) -> BillDetail:
        """`said` is asked, and `expected` told the bill's tag, only once the bill is found. Raises NotFound, and what
        `expected` raises when the caller has seen another state of the bill."""
        for _ in range(WRITE_TRIES):
            bill, link = self._found(user_id, bill_id)
            reader = self._reader()
            expected(reader.listed(bill, link).tag)
            changed = marked(bill, said(), reader.now)
            if changed is bill:
                return self._detail(bill, link)
            try:
                pending = self.store.save_bill(bill, changed)
            except LinkMoved:
                continue
            self.cache.bump(user_id, CACHE_SPACE)
            if pending.events:
                self.outbox().send([pending])
            return self._detail(replace(changed, edition=pending.version), link)
        raise Unavailable("The bill keeps changing; try again.", code="bill_busy")

    def summarise(self, user_id: UserId, by: By, since: date | None, until: date | None) -> Summary:
        """Without `since`, the twelve months up to that of `until`, or up to the present one. Raises InvalidInput when
        that is too much to sum up at once."""
        reader = self._reader()
        since = since or a_year_until(until or reader.now.date())
        criteria = Criteria(since=since, until=until, limit=MAX_EXAMINED)
        links: dict[LinkId, Link] = {}
        found: list[ListedBill] = []
        for row in self.store.newest_first(user_id, criteria):
            if isinstance(row, Link):
                links[row.link_id] = row
            elif listed := reader.admitted(row, links, criteria):
                found.append(listed)
                if len(found) > MAX_SUMMED:
                    message = f"More than {MAX_SUMMED} bills lie between these days: ask for fewer."
                    raise InvalidInput.of(FieldError("from", "too_many", message))
        lifetime = reader.lifetime(links.values(), self.soft, self.hard)
        return Summary(summed(found, by), since, until, lifetime, reader.outdated(links.values()))

    def _page(
        self, user_id: UserId, criteria: Criteria, reader: Reader, links: dict[LinkId, Link]
    ) -> tuple[tuple[ListedBill, ...], str]:
        """The bills, and the position after which the next page begins; empty when there is none."""
        found: list[ListedBill] = []
        examined = 0
        for row in self.store.newest_first(user_id, criteria, len(links)):
            if isinstance(row, Link):
                links[row.link_id] = row
                continue
            if listed := reader.admitted(row, links, criteria):
                if len(found) == criteria.limit:
                    return tuple(found), found[-1].bill.position
                found.append(listed)
            examined += 1
            if examined == MAX_EXAMINED:
                return tuple(found), row.position
        return tuple(found), ""

    def _found(self, user_id: UserId, bill_id: str) -> tuple[Bill, Link]:
        return found_bill(self.store, user_id, bill_id)

    def _detail(self, bill: Bill, link: Link) -> BillDetail:
        before = self.store.versions_before(bill.user_id, bill.key, MAX_VERSIONS) if bill.version > 1 else ()
        return BillDetail(self._reader().listed(bill, link), versions_of([bill, *before], MAX_VERSIONS))

    def _reader(self) -> Reader:
        return Reader(self.clock.now(), self.due_soon_days, self.fresh_seconds)

    def _position(self, user_id: UserId, cursor: str) -> str:
        if not cursor:
            return ""
        position = self.cursors.decode(user_id, cursor).get("after", "")
        if not POSITION.fullmatch(position):
            raise InvalidInput.of(FieldError("cursor", "invalid", "This is no cursor that this list gave out."))
        return position


def _seconds_to_read() -> float:
    return max(0.0, min(LIVE_SECONDS, remaining_seconds() - ANSWER_SECONDS))
