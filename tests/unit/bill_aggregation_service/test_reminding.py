"""When something is to be said of a due date: zones around midnight, clocks put forward and back, repetition."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.bill_aggregation_service.model import Bill, Mark, ProviderStatus, Reminded
from functions.bill_aggregation_service.reminding import LOOK_AGAIN, MAX_TOLD, Reminder, Wishes, judge, start_of
from functions.bill_aggregation_service.watching import DAYS_AFTER, DAYS_BEFORE, first_look, watched
from tests.unit.bill_aggregation_service.fakes import content
from tests.unit.bill_aggregation_service.test_quality import kept

DUE = date(2026, 3, 20)
MOMENT = timedelta(milliseconds=1)
ZONES = (
    "Etc/GMT+12", "Pacific/Pago_Pago", "America/New_York", "America/Havana", "America/Santiago", "UTC",
    "Europe/Berlin", "Africa/Cairo", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Chatham", "Pacific/Kiritimati",
)  # fmt: skip


def bill(due: date | None = DUE, reminded: Reminded | None = None, amount: int = 1000, **changes: object) -> Bill:
    return replace(kept(content("B-1", amount, due, **changes)), reminded=reminded or Reminded())


def wishes(zone: str = "UTC", days: int = 3, repeat: int | None = None) -> Wishes:
    return Wishes(zone=ZoneInfo(zone), days_before=days, repeat_days=repeat)


def noon(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 12, tzinfo=UTC)


@pytest.mark.parametrize("zone", ZONES)
def test_a_day_begins_at_midnight_where_the_user_is(zone: str) -> None:
    wanted = wishes(zone)
    warned, passed = start_of(date(2026, 3, 17), wanted.zone), start_of(date(2026, 3, 21), wanted.zone)

    assert judge(bill(), wanted, warned - MOMENT).reminder is None
    assert judge(bill(), wanted, warned).reminder is Reminder.DUE_SOON
    assert judge(bill(), wanted, passed - MOMENT).reminder is Reminder.DUE_SOON
    assert judge(bill(), wanted, passed).reminder is Reminder.OVERDUE


def test_midnight_lies_26_hours_apart() -> None:
    at = [start_of(DUE, ZoneInfo(zone)).astimezone(UTC) for zone in ("Pacific/Kiritimati", "Etc/GMT+12")]

    assert at == [datetime(2026, 3, 19, 10, tzinfo=UTC), datetime(2026, 3, 20, 12, tzinfo=UTC)]


@given(zone=st.sampled_from(ZONES), day=st.dates(date(2025, 1, 1), date(2030, 12, 31)))
def test_the_first_instant_of_a_day_is_of_that_day_and_the_one_before_is_not(zone: str, day: date) -> None:
    """Also where the clock is put forward or back at midnight."""
    first = start_of(day, ZoneInfo(zone)).astimezone(UTC)

    assert first.astimezone(ZoneInfo(zone)).date() == day
    assert (first - timedelta(microseconds=1)).astimezone(ZoneInfo(zone)).date() == day - timedelta(1)


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [("Africa/Cairo", date(2026, 4, 24), 23), ("Europe/Berlin", date(2026, 3, 29), 23),
     ("Europe/Berlin", date(2026, 10, 25), 25), ("America/Havana", date(2026, 3, 8), 23)],
)  # fmt: skip
def test_a_day_may_have_23_or_25_hours(zone: str, day: date, hours: int) -> None:
    begins, ends = (start_of(one, ZoneInfo(zone)).astimezone(UTC) for one in (day, day + timedelta(1)))

    assert ends - begins == timedelta(hours=hours)
    due = bill(due=day)
    assert judge(due, wishes(zone, days=0), begins).reminder is Reminder.DUE_SOON
    assert judge(due, wishes(zone, days=0), ends - MOMENT).reminder is Reminder.DUE_SOON
    assert judge(due, wishes(zone, days=0), ends).reminder is Reminder.OVERDUE


def test_each_is_said_once() -> None:
    soon = judge(bill(), wishes(), noon(date(2026, 3, 18)))
    assert (soon.reminder, soon.number, soon.reminded.on) == (Reminder.DUE_SOON, 1, date(2026, 3, 18))
    told = bill(reminded=soon.reminded)
    assert judge(told, wishes(), noon(DUE)).reminder is None

    late = judge(told, wishes(), noon(date(2026, 3, 22)))

    assert (late.reminder, late.number) == (Reminder.OVERDUE, 1)
    assert judge(bill(reminded=late.reminded), wishes(), noon(date(2026, 3, 30))).reminder is None


def test_a_new_version_is_told_of_anew_on_its_own_day() -> None:
    told = Reminded(version=1, due_soon=1, on=date(2026, 3, 17))
    later = replace(bill(due=date(2026, 4, 20), reminded=told), version=2)

    assert judge(later, wishes(), noon(date(2026, 3, 21))).reminder is None, "it is not overdue any more"
    said = judge(later, wishes(), noon(date(2026, 4, 17)))
    assert (said.reminder, said.number, said.reminded.version) == (Reminder.DUE_SOON, 1, 2)


@pytest.mark.parametrize(
    "silent",
    [
        bill(due=None),
        bill(provider_status=ProviderStatus.PAID),
        bill(paid_amount_minor=1000),
        bill(cancelled=True),
        bill(amount=-200),
        replace(bill(), mark=Mark(paid_at=DUE, covered_minor=1000, revision=1)),
    ],
)
def test_of_what_asks_for_nothing_nothing_is_said(silent: Bill) -> None:
    said = judge(silent, wishes(), noon(date(2026, 3, 25)))

    assert (said.reminder, said.next_look) == (None, None)
    assert first_look(silent.content, silent.mark, noon(date(2026, 3, 1))) is None


def test_a_bill_that_is_paid_in_part_is_told_of() -> None:
    assert judge(bill(paid_amount_minor=999), wishes(), noon(DUE)).reminder is Reminder.DUE_SOON


def test_nothing_is_said_of_bills_long_overdue() -> None:
    last = DUE + timedelta(DAYS_AFTER)
    assert judge(bill(), wishes(), noon(last)).reminder is Reminder.OVERDUE

    after = judge(bill(), wishes(), noon(last + timedelta(1)))

    assert (after.reminder, after.next_look) == (None, None)
    assert first_look(bill().content, Mark(), noon(last + timedelta(2))) is None


def test_it_is_said_again_as_often_as_the_user_wants() -> None:
    reminded, said = Reminded(), []
    for day in range(30):
        now = noon(date(2026, 3, 10)) + timedelta(day)
        judgement = judge(bill(reminded=reminded), wishes(days=7, repeat=3), now)
        reminded = judgement.reminded
        if judgement.reminder:
            said.append((now.date().isoformat(), judgement.reminder.value, judgement.number))

    assert said == [
        ("2026-03-13", "due_soon", 1), ("2026-03-16", "due_soon", 2), ("2026-03-19", "due_soon", 3),
        ("2026-03-21", "overdue", 1), ("2026-03-24", "overdue", 2), ("2026-03-27", "overdue", 3),
        ("2026-03-30", "overdue", 4), ("2026-04-02", "overdue", 5), ("2026-04-05", "overdue", 6),
        ("2026-04-08", "overdue", 7),
    ]  # fmt: skip


def test_it_is_not_said_for_ever() -> None:
    reminded, said = Reminded(), []
    for day in range(130):
        judgement = judge(bill(reminded=reminded), wishes(days=60, repeat=1), noon(date(2026, 1, 15)) + timedelta(day))
        reminded = judgement.reminded
        said.append(judgement.reminder)

    assert (said.count(Reminder.DUE_SOON), said.count(Reminder.OVERDUE)) == (MAX_TOLD, MAX_TOLD)


def test_what_was_missed_is_not_made_up_for() -> None:
    """After a week in which nobody looked, one reminder is due and not seven."""
    told = Reminded(version=1, due_soon=1, overdue=1, on=date(2026, 3, 21))

    said = judge(bill(reminded=told), wishes(repeat=1), noon(date(2026, 3, 28)))

    assert (said.number, said.reminded.on) == (2, date(2026, 3, 28))


def test_who_travels_west_hears_of_no_bill_soon_due_that_was_overdue() -> None:
    told = Reminded(version=1, overdue=1, on=date(2026, 3, 21))
    now = start_of(date(2026, 3, 21), ZoneInfo("Pacific/Kiritimati"))

    assert judge(bill(reminded=told), wishes("America/New_York"), now).reminder is None


def test_settings_count_when_they_are_looked_at() -> None:
    now = noon(date(2026, 3, 12))

    assert judge(bill(), wishes(days=3), now).reminder is None
    assert judge(bill(), wishes(days=10), now).reminder is Reminder.DUE_SOON
    assert judge(bill(), wishes(days=3), now).next_look == now + LOOK_AGAIN, "so that a change counts within a day"


def test_the_next_look_is_the_users_next_midnight_that_matters() -> None:
    eve = datetime(2026, 3, 16, 20, tzinfo=UTC)

    assert judge(bill(), wishes("America/New_York"), eve).next_look == datetime(2026, 3, 17, 4, tzinfo=UTC)
    assert judge(bill(), wishes(), eve).next_look == datetime(2026, 3, 17, tzinfo=UTC)


@given(
    zone=st.sampled_from(ZONES),
    days=st.integers(0, 60),
    repeat=st.none() | st.integers(1, 30),
    hours=st.integers(-120 * 24, 80 * 24),
)
def test_no_look_comes_too_late_or_at_once_again(zone: str, days: int, repeat: int | None, hours: int) -> None:
    """Between a look and the next there is no instant at which more would have been said."""
    wanted, now = wishes(zone, days, repeat), noon(DUE) + timedelta(hours=hours)
    first = judge(bill(), wanted, now)
    if first.next_look is None:
        return
    told = bill(reminded=first.reminded)

    assert first.next_look > now
    assert judge(told, wanted, first.next_look - MOMENT).reminder is None


@given(zone=st.sampled_from(ZONES), days=st.integers(0, 60), due=st.dates(date(2026, 1, 1), date(2027, 12, 31)))
def test_the_first_look_is_early_enough_for_everybody(zone: str, days: int, due: date) -> None:
    now = noon(date(2026, 3, 1))
    first = first_look(content(due=due), Mark(), now)

    if first is None:
        assert judge(bill(due=due), wishes(zone, days), now).reminder is None
    elif first > now:
        assert judge(bill(due=due), wishes(zone, days), first - MOMENT).reminder is None
        assert judge(bill(due=due), wishes(zone, days), now).next_look == first or due - now.date() < timedelta(63)


@pytest.mark.parametrize("due", [date.max, date.max - timedelta(1), date(1, 1, 1)])
def test_due_dates_at_the_ends_of_time_harm_nothing(due: date) -> None:
    now = noon(date(2026, 3, 1))
    odd = replace(bill(), content=replace(content(), due_date=due))

    judge(odd, wishes(), now)
    look = watched(odd, now).remind_at
    assert look is None or look > now + timedelta(DAYS_BEFORE)
