"""What is paid, what is outstanding, and the status that follows."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.bill_aggregation_service.model import Mark, ProviderStatus, Status
from functions.bill_aggregation_service.payment import is_paid, payment_of, status_of
from tests.unit.bill_aggregation_service.fakes import content

DUE = date(2026, 3, 20)
DAY = date(2026, 3, 2)
UNSAID = Mark()


@pytest.mark.parametrize(
    ("due", "paid", "today", "status"),
    [
        (DUE, ProviderStatus.PAID, date(2026, 4, 1), Status.PAID),
        (DUE, ProviderStatus.UNPAID, date(2026, 3, 21), Status.OVERDUE),
        (DUE, ProviderStatus.PARTIAL, DUE, Status.DUE_SOON),
        (DUE, ProviderStatus.UNKNOWN, date(2026, 3, 13), Status.DUE_SOON),
        (DUE, ProviderStatus.UNPAID, date(2026, 3, 12), Status.UPCOMING),
        (None, ProviderStatus.UNKNOWN, date(2030, 1, 1), Status.UPCOMING),
        (None, ProviderStatus.PAID, date(2030, 1, 1), Status.PAID),
    ],
)
def test_status_by_what_the_utility_says(due: date | None, paid: ProviderStatus, today: date, status: Status) -> None:
    assert status_of(content(due=due, provider_status=paid), UNSAID, today, due_soon_days=7) is status


@pytest.mark.parametrize(
    ("mark", "status", "outstanding"),
    [
        (Mark(paid_at=DAY, paid_amount_minor=1000), Status.PAID, 0),
        (Mark(paid_at=DAY, paid_amount_minor=1200), Status.PAID, 0),
        (Mark(paid_amount_minor=400), Status.OVERDUE, 600),
        (Mark(note="asked for a copy"), Status.OVERDUE, 1000),
    ],
)
def test_status_by_what_the_user_says(mark: Mark, status: Status, outstanding: int) -> None:
    bill = content(amount=1000, due=DUE, provider_status=ProviderStatus.UNPAID)

    assert status_of(bill, mark, date(2026, 4, 1), due_soon_days=7) is status
    assert payment_of(bill, mark).outstanding_minor == outstanding


def test_of_two_payments_the_larger_counts() -> None:
    bill = content(amount=1000, provider_status=ProviderStatus.PARTIAL, paid_amount_minor=300, paid_at=DAY)

    known_to_the_utility = payment_of(bill, Mark(paid_amount_minor=200, paid_at=date(2026, 3, 1)))
    known_to_the_user = payment_of(bill, Mark(paid_amount_minor=500, paid_at=date(2026, 3, 9)))

    assert (known_to_the_utility.paid_amount_minor, known_to_the_utility.paid_at) == (300, DAY)
    assert (known_to_the_user.paid_amount_minor, known_to_the_user.paid_at) == (500, date(2026, 3, 9))
    assert known_to_the_user.outstanding_minor == 500


def test_a_utility_that_says_paid_without_an_amount_was_paid_all() -> None:
    payment = payment_of(content(amount=1000, provider_status=ProviderStatus.PAID), UNSAID)

    assert (payment.paid_amount_minor, payment.paid_minor, payment.outstanding_minor) == (None, 1000, 0)


@pytest.mark.parametrize("changes", [{"amount": -500}, {"amount": 0}, {"cancelled": True}])
def test_what_asks_for_nothing_is_settled_but_nobody_paid(changes: dict[str, object]) -> None:
    bill = content(due=DUE, **changes)  # type: ignore[arg-type]  # fields of BillContent

    assert status_of(bill, UNSAID, date(2026, 4, 1), due_soon_days=7) is Status.PAID
    assert (payment_of(bill, UNSAID).outstanding_minor, is_paid(bill, UNSAID)) == (0, False)


HOURS = st.integers(-12 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(HOURS, st.integers(-48 * 3600, 48 * 3600))
def test_a_bill_is_overdue_from_the_first_moment_after_its_day_in_whatever_zone(zone: timezone, seconds: int) -> None:
    at = datetime(2026, 3, 20, tzinfo=UTC) + timedelta(seconds=seconds)
    midnight_after = datetime(2026, 3, 21, tzinfo=zone)

    status = status_of(content(due=DUE), UNSAID, at.astimezone(zone).date(), due_soon_days=7)

    assert (status is Status.OVERDUE) == (at >= midnight_after)
    assert status in (Status.OVERDUE, Status.DUE_SOON)


@given(st.integers(-1000, 1000), st.one_of(st.none(), st.integers(0, 2000)), st.one_of(st.none(), st.integers(0, 2000)))
def test_what_is_paid_and_what_is_left_make_up_the_amount(amount: int, theirs: int | None, own: int | None) -> None:
    bill = content(amount=amount, provider_status=ProviderStatus.PARTIAL, paid_amount_minor=theirs)
    payment = payment_of(bill, Mark(paid_amount_minor=own))

    assert payment.outstanding_minor == max(0, amount - payment.paid_minor)
    assert payment.settled == (payment.outstanding_minor == 0)
