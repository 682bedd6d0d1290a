"""Use case of time: bills whose time to be looked at has come, and what is to be said of their due dates.

What is said, and when to look next, is written together, naming the edition of the bill that was read: of two sweeps
at once, or a sweep and a mark, one comes too late and says nothing. What was written leaves by the outbox.
"""

import contextvars
import logging
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from functions.bill_aggregation_service.bill_events import told
from functions.bill_aggregation_service.keeping import LinkMoved
from functions.bill_aggregation_service.model import Bill, Link, LinkId, UserId
from functions.bill_aggregation_service.payment import payment_of
from functions.bill_aggregation_service.reminding import Reminder, Wishes, judge
from functions.bill_aggregation_service.rules import zone_of
from functions.common import logs
from functions.common.clock import Clock
from functions.common.errors import AppError, NotFound
from functions.common.outbox import Outbox, Pending
from functions.contracts.events.bills import BillDueSoonV1, BillOverdueV1
from functions.contracts.events.envelope import wrap

log = logging.getLogger(__name__)

PARALLEL_USERS = 16
EVENTS: dict[Reminder, type[BillDueSoonV1] | type[BillOverdueV1]] = {
    Reminder.DUE_SOON: BillDueSoonV1,
    Reminder.OVERDUE: BillOverdueV1,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Preferences:
    """What the user chose; empty or None: nothing."""

    time_zone: str = ""
    reminder_days: int | None = None
    reminder_repeat_days: int | None = None


class ReminderStore(Protocol):
    def to_look_at(self, now: datetime, limit: int) -> Sequence[Bill]:
        """Bills, as they stand, whose `remind_at` has come; at most `limit`."""
        ...

    def link(self, user_id: UserId, link_id: LinkId) -> Link | None: ...

    def save_bill(self, before: Bill, after: Bill) -> Pending:
        """Raises LinkMoved when the bill does not stand as in `before` any more."""
        ...


class Profiles(Protocol):
    def preferences(self, user_id: UserId) -> Preferences:
        """Raises NotFound when there is no such user (any more)."""
        ...


@dataclass(frozen=True, slots=True)
class Emitted:
    looked: int
    """Bills that were judged and written."""
    emitted: int
    more: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Reminders:
    store: ReminderStore
    profiles: Profiles
    outbox: Outbox
    clock: Clock
    usual_days: int
    """How many days before a bill is due it is told of, where the user chose nothing."""

    def emit_due(self, limit: int) -> Emitted:
        """A user whose settings cannot be read costs the others nothing; their bills stay due."""
        now = self.clock.now()
        bills = self.store.to_look_at(now, limit)
        by_user: dict[UserId, list[Bill]] = defaultdict(list)
        for bill in bills:
            by_user[bill.user_id].append(bill)
        with ThreadPoolExecutor(PARALLEL_USERS, thread_name_prefix="remind") as pool:
            tasks = [
                pool.submit(contextvars.copy_context().run, self._remind, user_id, theirs, now)
                for user_id, theirs in by_user.items()
            ]
        written = [pending for task in tasks for pending in task.result()]
        telling = [pending for said, pending in written if said]
        self.outbox.send(telling)
        return Emitted(len(written), len(telling), more=len(bills) == limit and bool(written))

    def _remind(self, user_id: UserId, bills: Sequence[Bill], now: datetime) -> Sequence[tuple[bool, Pending]]:
        """What was written, and whether it says anything."""
        written: list[tuple[bool, Pending]] = []
        try:
            preferences = self._preferences(user_id)
            links = {link_id: self.store.link(user_id, link_id) for link_id in {bill.link_id for bill in bills}}
            for bill in bills:
                judged = self._judged(bill, links[bill.link_id], preferences, now)
                try:
                    written.append((judged.unsent != bill.unsent, self.store.save_bill(bill, judged)))
                except LinkMoved:
                    continue  # it is due still, or whoever wrote it said when to look next
        except AppError as error:
            log.warning("reminders_deferred", extra=logs.fields(user_id=user_id, code=error.code))
        return written

    def _preferences(self, user_id: UserId) -> Preferences | None:
        try:
            return self.profiles.preferences(user_id)
        except NotFound:
            return None

    def _judged(self, bill: Bill, link: Link | None, preferences: Preferences | None, now: datetime) -> Bill:
        """Of a deleted user, and of an unlinked account, nothing is said: their bills are about to be deleted."""
        if preferences is None or link is None or link.gone:
            return replace(bill, remind_at=None)
        wishes = self._wishes(preferences, link)
        judgement = judge(bill, wishes, now)
        judged = replace(bill, reminded=judgement.reminded, remind_at=judgement.next_look)
        if judgement.reminder is None:
            return judged
        event = _event(EVENTS[judgement.reminder], bill, judgement.number, wishes, now)
        return replace(judged, unsent=(*bill.unsent, event))

    def _wishes(self, preferences: Preferences, link: Link) -> Wishes:
        """Who chose no zone is taken to live where the utility is."""
        days = preferences.reminder_days
        return Wishes(
            zone=zone_of(preferences.time_zone or link.time_zone),
            days_before=self.usual_days if days is None else days,
            repeat_days=preferences.reminder_repeat_days,
        )


def _event(
    kind: type[BillDueSoonV1] | type[BillOverdueV1], bill: Bill, number: int, wishes: Wishes, now: datetime
) -> str:
    data = kind(
        **told(bill),
        outstanding_minor=payment_of(bill.content, bill.mark).outstanding_minor,
        day=now.astimezone(wishes.zone).date().isoformat(),
        time_zone=wishes.zone.key,
        reminder=number,
    )
    return wrap(data, now).to_json()
