"""Writing down what an attempt to read a link's bills brought: from a utility, or from a file."""

import random
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date
from typing import Protocol

from functions.bill_aggregation_service.model import Bill, BillKey, Link, LinkId, UserId
from functions.bill_aggregation_service.reading import reading_of
from functions.bill_aggregation_service.upsert import Attempt, Change, Plan, is_known, plan
from functions.common.clock import Clock
from functions.common.errors import NotFound, Unavailable
from functions.common.outbox import Pending

CACHE_SPACE = "bills"
WRITE_TRIES = 6


class LinkMoved(Exception):
    """Somebody wrote the link's record, or one of the bills, since it was read: read again."""


class UserGone(Exception):
    """The user was deleted: nothing of theirs is written any more."""


class AnswerCache(Protocol):
    def bump(self, owner: str, space: str) -> None: ...


class LinkStore(Protocol):
    def links(self, user_id: UserId, among: Collection[LinkId] = ()) -> Sequence[Link]:
        """Without those that are gone. `among`: these at least, and not necessarily the others."""
        ...

    def link(self, user_id: UserId, link_id: LinkId) -> Link | None: ...

    def bills(self, user_id: UserId, keys: Collection[BillKey]) -> Mapping[BillKey, Bill]: ...

    def bills_between(self, user_id: UserId, link_id: LinkId, since: date, until: date) -> Sequence[Bill]:
        """The link's bills that lists show between these days, both included."""
        ...

    def save(self, before: Link, after: Link, changes: Sequence[Change] = ()) -> Sequence[Pending]:
        """Writes a link's record and its bills; answers the bills' events. Raises LinkMoved when the record or a bill
        does not stand as it was read any more, UserGone when the link would be the first of a user who was deleted."""
        ...


def record_of(store: LinkStore, user_id: UserId, link_id: LinkId) -> Link:
    """As it stands; one of nothing for a link that was never read."""
    return store.link(user_id, link_id) or Link(user_id=user_id, link_id=link_id)


def keep(
    store: LinkStore,
    clock: Clock,
    user_id: UserId,
    link_id: LinkId,
    attempt: Attempt,
    sleep: Callable[[float], None],
    seen: Link | None = None,
) -> tuple[Plan, Sequence[Pending]]:
    """What was changed, and the events to send. An answer that is known costs no look at a bill, and where the link's
    record as it was `seen` before the attempt still stands, no read at all. Raises NotFound when the account was
    unlinked, or its user deleted, meanwhile."""
    for tries in range(WRITE_TRIES):
        link = record_of(store, user_id, link_id) if tries or seen is None else seen
        if link.gone:
            raise NotFound("The account was unlinked.", code="link_not_found")
        planned = _planned(store, link, attempt, clock)
        if planned.link == link and not planned.changes:
            return planned, ()
        try:
            return planned, store.save(link, planned.link, planned.changes)
        except UserGone as error:
            raise NotFound("The user was deleted.", code="link_not_found") from error
        except LinkMoved:
            sleep(random.uniform(0, 0.05 * 2**tries))  # noqa: S311  # jitter, no secret
    raise Unavailable("The link's bills keep changing; try again.", code="link_busy")


def _planned(store: LinkStore, link: Link, attempt: Attempt, clock: Clock) -> Plan:
    """The link was read first, then its bills: what is written in between shows in the link's revision."""
    reading = reading_of(link.link_id, attempt.bills)
    if not reading.bills or is_known(link, reading):
        return plan(link, reading, {}, (), attempt, clock.now())
    stored = store.bills(link.user_id, reading.bills.keys())
    around = store.bills_between(link.user_id, link.link_id, *reading.span)
    return plan(link, reading, stored, around, attempt, clock.now())
