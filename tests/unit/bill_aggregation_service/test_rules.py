"""Money, status and quality: the rules on the canonical bill."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from functions.bill_aggregation_service.model import (
    FetchedBill,
    LineItem,
    LineKind,
    LinkId,
    ProviderStatus,
    Status,
)
from functions.bill_aggregation_service.rules import (
    canonical_json,
    collapse,
    content_hash,
    minor_units,
    natural_key,
    plain,
    quality_notes,
    status_of,
    zone_of,
)
from tests.unit.bill_aggregation_service.fakes import LINK, content, fetched


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [
        ("136.32", "USD", 13632),
        ("-1.59", "USD", -159),
        ("1980", "JPY", 1980),
        ("12.3456", "KWD", 12346),
        ("0.125", "EUR", 12),
        ("0.135", "EUR", 14),
        ("0.0001", "CLF", 1),
    ],
)
def test_money_is_rounded_half_even_to_the_currencys_minor_unit(amount: str, currency: str, minor: int) -> None:
    assert minor_units(Decimal(amount), currency) == minor


@pytest.mark.parametrize("amount", ["NaN", "Infinity", "1E+30"])
def test_what_is_no_amount_is_refused(amount: str) -> None:
    with pytest.raises(ValueError, match="range"):
        minor_units(Decimal(amount), "USD")
    with pytest.raises(ValueError, match="range"):
        plain(Decimal(amount))


@pytest.mark.parametrize(("said", "kept"), [("1.50", "1.5"), ("100", "100"), ("1E+2", "100"), ("0.00", "0")])
def test_equal_quantities_have_one_spelling(said: str, kept: str) -> None:
    assert str(plain(Decimal(said))) == kept


@pytest.mark.parametrize(
    ("due", "paid", "today", "status"),
    [
        (date(2026, 3, 20), ProviderStatus.PAID, date(2026, 4, 1), Status.PAID),
        (date(2026, 3, 20), ProviderStatus.UNPAID, date(2026, 3, 21), Status.OVERDUE),
        (date(2026, 3, 20), ProviderStatus.PARTIAL, date(2026, 3, 20), Status.DUE_SOON),
        (date(2026, 3, 20), ProviderStatus.UNKNOWN, date(2026, 3, 13), Status.DUE_SOON),
        (date(2026, 3, 20), ProviderStatus.UNPAID, date(2026, 3, 12), Status.UPCOMING),
        (None, ProviderStatus.UNKNOWN, date(2030, 1, 1), Status.UPCOMING),
    ],
)
def test_status(due: date | None, paid: ProviderStatus, today: date, status: Status) -> None:
    assert status_of(content(due=due, provider_status=paid), today, due_soon_days=7) is status


def test_items_that_do_not_sum_to_the_total_are_noted() -> None:
    items = (LineItem("Usage", LineKind.USAGE, 700), LineItem("Tax", LineKind.TAX, 200))

    assert [note.code for note in quality_notes(content(amount=1000, line_items=items))] == ["items_differ_from_total"]
    assert quality_notes(content(amount=900, line_items=items)) == ()
    # of a bill with arrears, the items make up its own charges
    assert quality_notes(content(amount=1500, total_charges_minor=900, line_items=items)) == ()
    assert quality_notes(content(amount=1000)) == ()


def test_the_hash_depends_on_the_content_alone() -> None:
    assert content_hash(content()) == content_hash(content())
    assert content_hash(content()) != content_hash(content(amount=1001))
    assert '"amount_minor":1000' in canonical_json(content())
    assert '"due_date":"2026-03-20"' in canonical_json(content())


def test_what_a_bill_is_unique_on() -> None:
    assert natural_key(LINK, content("B-1")) == natural_key(LINK, content("B-1", amount=7))
    assert natural_key(LINK, content("B-1")) != natural_key(LINK, content("B-2"))
    assert natural_key(LINK, content("B-1")) != natural_key(LinkId("lnk_other"), content("B-1"))
    assert natural_key(LINK, content("B-1")) != natural_key(LINK, content("B-1", usage_point="2"))
    # without a number, the period and the type make a bill
    assert natural_key(LINK, content("")) == natural_key(LINK, content("", amount=7))
    assert natural_key(LINK, content("")) != natural_key(LINK, content("", due=date(2026, 4, 20)))


def test_of_duplicates_the_one_stamped_last_stays_in_whatever_order_they_come() -> None:
    old = FetchedBill(content(amount=1), datetime(2026, 3, 1, tzinfo=UTC))
    new = FetchedBill(content(amount=2), datetime(2026, 3, 2, tzinfo=UTC))

    assert list(collapse([old, new], LINK).values()) == list(collapse([new, old], LINK).values()) == [new]
    assert collapse([fetched(amount=1), fetched(amount=2)], LINK) == collapse(
        [fetched(amount=2), fetched(amount=1)], LINK
    )


@pytest.mark.parametrize("name", ["", "Nowhere/Else", "../etc/passwd", "Europe"])
def test_an_unknown_zone_reads_as_utc(name: str) -> None:
    assert zone_of(name).key == "UTC"
    assert zone_of("Europe/Berlin").key == "Europe/Berlin"


def test_words_of_utilities_for_line_items() -> None:
    assert LineKind.of("GENERATION") is LineKind.GENERATION
    assert LineKind.of("Sewerage") is LineKind.OTHER
