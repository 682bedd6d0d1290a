"""What is to be said of a bill's due date, and when: days are the user's, from midnight to midnight in their zone.

`bill.due_soon.v1` from as many days before the due date as the user wants, `bill.overdue.v1` from the day after it:
each once per version, whenever it comes to be looked at. Who asks for repetition hears again every so many days until
the bill is paid, MAX_TOLD times of either at most.
"""

from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from functions.bill_aggregation_service.model import Bill, Reminded
from functions.bill_aggregation_service.payment import payment_of
from functions.bill_aggregation_service.watching import DAYS_AFTER, DAYS_BEFORE, first_look

MAX_TOLD = 12
LOOK_AGAIN = timedelta(days=1)
"""A bill near its due date is looked at daily even if nothing is to be said: settings may have changed."""


class Reminder(StrEnum):
    DUE_SOON = "due_soon"
    OVERDUE = "overdue"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What the user wants to hear."""

    zone: ZoneInfo
    days_before: int
    repeat_days: int | None = None
    """None: each once."""


@dataclass(frozen=True, slots=True)
class Judgement:
    reminder: Reminder | None
    """What to say now."""
    reminded: Reminded
    """What was said then."""
    next_look: datetime | None
    """None: never again, unless the bill changes."""

    @property
    def number(self) -> int:
        """Which one of its kind is said now, from 1."""
        return self.reminded.overdue if self.reminder is Reminder.OVERDUE else self.reminded.due_soon


def judge(bill: Bill, wishes: Wishes, now: datetime) -> Judgement:
    due, today = bill.content.due_date, now.astimezone(wishes.zone).date()
    known = bill.reminded if bill.reminded.version == bill.version else Reminded(version=bill.version)
    if due is None or payment_of(bill.content, bill.mark).settled or today - timedelta(DAYS_AFTER) > due:
        return Judgement(None, known, None)
    if due - today > timedelta(DAYS_BEFORE + 2):
        return Judgement(None, known, first_look(bill.content, bill.mark, now))
    reminder = _to_say(known, due, today, wishes)
    if reminder is Reminder.DUE_SOON:
        known = replace(known, due_soon=known.due_soon + 1, on=today)
    elif reminder is Reminder.OVERDUE:
        known = replace(known, overdue=known.overdue + 1, on=today)
    return Judgement(reminder, known, _next_look(known, due, today, wishes, now))


def start_of(day: date, zone: ZoneInfo) -> datetime:
    """The first instant of the day there. Where a clock is put forward at midnight, that is not 00:00."""
    return datetime.combine(day, time.min, zone)


def _to_say(known: Reminded, due: date, today: date, wishes: Wishes) -> Reminder | None:
    if today > due:
        return Reminder.OVERDUE if _is_time(known.overdue, known, today, wishes) else None
    # Who travels west may see the due day twice.
    if today < _warning_day(due, wishes) or known.overdue:
        return None
    return Reminder.DUE_SOON if _is_time(known.due_soon, known, today, wishes) else None


def _is_time(said: int, known: Reminded, today: date, wishes: Wishes) -> bool:
    if not said:
        return True
    again = _again(known, wishes)
    return said < MAX_TOLD and again is not None and today >= again


def _next_look(known: Reminded, due: date, today: date, wishes: Wishes, now: datetime) -> datetime:
    days = (_warning_day(due, wishes), due + timedelta(1), _again(known, wishes))
    return min([now + LOOK_AGAIN, *(start_of(day, wishes.zone) for day in days if day and day > today)])


def _warning_day(due: date, wishes: Wishes) -> date:
    return due - timedelta(min(wishes.days_before, DAYS_BEFORE))


def _again(known: Reminded, wishes: Wishes) -> date | None:
    return known.on + timedelta(wishes.repeat_days) if known.on and wishes.repeat_days else None
