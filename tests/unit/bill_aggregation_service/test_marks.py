"""The user's word on payment."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from functions.bill_aggregation_service.marks import marked
from functions.bill_aggregation_service.model import Bill, Mark, ProviderStatus
from functions.bill_aggregation_service.payment import payment_of
from functions.common.errors import InvalidInput
from functions.contracts.events.bills import BillPaidV1
from functions.contracts.events.envelope import parse, unwrap
from tests.unit.bill_aggregation_service.fakes import content
from tests.unit.bill_aggregation_service.test_quality import kept

TODAY = date(2026, 3, 15)
NOW = datetime(2026, 3, 15, 12, tzinfo=UTC)
DAY = date(2026, 3, 2)


def bill(amount: int = 1000, mark: Mark | None = None, status: ProviderStatus = ProviderStatus.UNPAID) -> Bill:
    return replace(kept(content(amount=amount, provider_status=status)), mark=mark or Mark())


def said(before: Bill, **changes: date | int | str | None) -> Bill:
    return marked(before, changes, NOW + timedelta(hours=1))


def test_a_day_stands_for_all_that_the_bill_asks_for() -> None:
    paid = said(bill(), paid_at=DAY)

    assert paid.mark == Mark(paid_at=DAY, covered_minor=1000, revision=1)
    assert payment_of(paid.content, paid.mark).settled
    assert (paid.version, paid.updated_at, paid.versioned_at) == (1, NOW + timedelta(hours=1), NOW)


def test_when_the_bill_grows_later_the_rest_is_open() -> None:
    paid = said(bill(), paid_at=DAY)
    grown = replace(paid, content=content(amount=1200))

    assert payment_of(grown.content, grown.mark).outstanding_minor == 200
    assert payment_of(grown.content, said(grown, note="?").mark).outstanding_minor == 200, "a note is no payment"
    assert payment_of(grown.content, said(grown, paid_at=TODAY).mark).settled


def test_an_amount_is_taken_as_it_is() -> None:
    part = said(bill(), paid_amount_minor=400)

    assert part.mark == Mark(paid_amount_minor=400, revision=1)
    assert said(part, paid_at=DAY).mark.amount_minor == 400
    assert said(part, paid_at=DAY, paid_amount_minor=None).mark.amount_minor == 1000


def test_none_takes_it_back() -> None:
    paid = said(bill(), paid_at=DAY, note="by card")

    assert said(paid, paid_at=None).mark == Mark(note="by card", revision=2)
    assert said(paid, paid_at=None, note=None).mark == Mark(revision=2)


def test_what_changes_nothing_is_the_same_bill() -> None:
    paid = said(bill(), paid_at=DAY)

    assert said(paid, paid_at=DAY) is paid
    assert said(paid) is paid


@pytest.mark.parametrize("days", [2, 400])
def test_a_day_to_come_is_refused(days: int) -> None:
    with pytest.raises(InvalidInput) as refused:
        said(bill(), paid_at=TODAY + timedelta(days))

    assert [error.field for error in refused.value.errors] == ["paid_at"]


def test_becoming_paid_is_told_once() -> None:
    part = said(bill(), paid_amount_minor=400)
    paid = said(part, paid_amount_minor=1000, paid_at=DAY)

    assert part.unsent == ()
    event = parse(paid.unsent[0])
    told = unwrap(event, BillPaidV1)
    assert (event.type, event.subject) == ("bill.paid.v1", paid.bill_id)
    assert (told.said_by, told.paid_at, told.paid_amount_minor, told.amount_minor) == ("user", "2026-03-02", 1000, 1000)
    assert said(paid, paid_amount_minor=1100).unsent == paid.unsent


@pytest.mark.parametrize("known", [bill(status=ProviderStatus.PAID), bill(amount=-500)])
def test_what_was_paid_or_asks_for_nothing_does_not_become_paid(known: Bill) -> None:
    assert said(known, paid_at=DAY).unsent == ()


@pytest.mark.parametrize(("at", "come"), [("T09:59:59+00:00", False), ("T10:00:00+00:00", True)])
def test_a_day_has_come_when_it_has_come_anywhere(at: str, come: bool) -> None:
    """On Kiritimati first, fourteen hours before UTC: whoever lives there has paid today."""
    now, tomorrow = datetime.fromisoformat(f"{TODAY}{at}"), TODAY + timedelta(1)
    if come:
        assert marked(bill(), {"paid_at": tomorrow}, now).mark.paid_at == tomorrow
    else:
        with pytest.raises(InvalidInput):
            marked(bill(), {"paid_at": tomorrow}, now)
