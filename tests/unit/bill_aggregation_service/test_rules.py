"""The rules on what a source says: money, one spelling, what is refused."""

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from functions.bill_aggregation_service.currencies import EXPONENTS, NUMBERS
from functions.bill_aggregation_service.model import (
    FetchedBill,
    LineItem,
    LineKind,
    LinkId,
    Usage,
)
from functions.bill_aggregation_service.rules import (
    LARGEST_AMOUNT,
    LARGEST_MINOR,
    REFUSALS,
    canonical_json,
    collapse,
    content_hash,
    major_units,
    minor_units,
    natural_key,
    plain,
    refusal,
    tidy,
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


@pytest.mark.parametrize("currency", ["", "usd", "XXX", "EURO", "BTC"])
def test_money_of_a_currency_that_iso_does_not_know_is_refused(currency: str) -> None:
    with pytest.raises(ValueError, match="ISO 4217"):
        minor_units(Decimal(1), currency)


@given(st.integers(-LARGEST_MINOR, LARGEST_MINOR), st.sampled_from(sorted(EXPONENTS)))
def test_money_makes_the_round_trip(amount_minor: int, currency: str) -> None:
    assume(abs(major_units(amount_minor, currency)) <= LARGEST_AMOUNT)

    assert minor_units(major_units(amount_minor, currency), currency) == amount_minor


@given(st.decimals(-(10**6), 10**6, allow_nan=False, places=7), st.sampled_from(["JPY", "USD", "KWD", "CLF"]))
def test_rounding_is_never_off_by_more_than_half_a_unit(amount: Decimal, currency: str) -> None:
    unit = Decimal(1).scaleb(-EXPONENTS[currency])

    assert abs(major_units(minor_units(amount, currency), currency) - amount) <= unit / 2


@pytest.mark.parametrize("amount", ["NaN", "sNaN", "Infinity", "1E+30", "1E+999999", "-1E+10000000"])
def test_what_is_no_amount_is_refused(amount: str) -> None:
    with pytest.raises(ValueError, match="range"):
        minor_units(Decimal(amount), "USD")
    with pytest.raises(ValueError, match="range"):
        plain(Decimal(amount))


@pytest.mark.parametrize("number", ["1E-21", "1E-10000000", "0E+10000000"])
def test_a_quantity_of_absurd_precision_is_refused(number: str) -> None:
    with pytest.raises(ValueError, match="range"):
        plain(Decimal(number))


@pytest.mark.parametrize(("said", "kept"), [("1.50", "1.5"), ("100", "100"), ("1E+2", "100"), ("0.00", "0")])
def test_equal_quantities_have_one_spelling(said: str, kept: str) -> None:
    assert str(plain(Decimal(said))) == kept


def test_the_hash_depends_on_the_content_alone() -> None:
    assert content_hash(content()) == content_hash(content())
    assert content_hash(content()) != content_hash(content(amount=1001))
    assert '"amount_minor":1000' in canonical_json(content())
    assert '"due_date":"2026-03-20"' in canonical_json(content())


def test_hashes_that_are_kept_stay_good() -> None:
    """A field more in the model must not make a new version of every bill."""
    assert content_hash(content()) == "e7c9094e70842e72106465407f8bdc5e61321d4b6ab545026d9af68545ea2c1f"
    assert content_hash(content(cancelled=True)) != content_hash(content())
    assert content_hash(content(assumed=("currency_assumed",))) != content_hash(content())


def test_what_only_looks_different_is_the_same() -> None:
    spaced = content(
        " B-1 ",
        currency=" usd",
        tariff="  Night  rate ",
        usage=(Usage("electricity", Decimal(7), " kWh"),),
        line_items=(LineItem(" Energy  charge\t", LineKind.USAGE, 1000),),
    )
    plainly = content(
        tariff="Night rate",
        usage=(Usage("electricity", Decimal(7), "kWh"),),
        line_items=(LineItem("Energy charge", LineKind.USAGE, 1000),),
    )

    assert tidy(spaced) == tidy(tidy(spaced)) == plainly
    assert tidy(content(tariff=" ")).tariff is None


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, ""),
        ({"currency": "XTS"}, "currency_unknown"),
        ({"amount_minor": 10**15 + 1}, "amount_out_of_range"),
        ({"line_items": (LineItem("x", LineKind.FEE, -(10**16)),)}, "amount_out_of_range"),
        ({"line_items": (LineItem("x" * 150_000, LineKind.FEE, 1),)}, "too_large"),
        ({"period_start": date(1970, 1, 1), "statement_date": date(1970, 1, 1)}, ""),
        ({"period_end": date(2199, 12, 31), "due_date": date(2199, 12, 31)}, ""),
        ({"period_start": date(1969, 12, 31)}, "dates_out_of_range"),
        ({"period_end": date(9999, 12, 31)}, "dates_out_of_range"),
        ({"due_date": date(2200, 1, 1)}, "dates_out_of_range"),
        ({"statement_date": date(1, 1, 1)}, "dates_out_of_range"),
        ({"paid_at": date(9999, 12, 31)}, ""),
    ],
)
def test_what_cannot_be_kept(changes: dict[str, object], code: str) -> None:
    assert refusal(replace(content(), **changes)) == code  # type: ignore[arg-type]  # fields of BillContent
    assert code in {"", *REFUSALS}


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


def test_currencies_have_a_number_each_and_the_decimals_of_iso_4217() -> None:
    assert len(NUMBERS) == len(EXPONENTS) > 150
    assert all(len(number) == 3 and number.isdigit() for number in NUMBERS)
    assert (NUMBERS["840"], NUMBERS["978"], NUMBERS["036"]) == ("USD", "EUR", "AUD")
    assert {code: EXPONENTS[code] for code in ("JPY", "KRW", "USD", "INR", "KWD", "BHD", "CLF")} == {
        "JPY": 0, "KRW": 0, "USD": 2, "INR": 2, "KWD": 3, "BHD": 3, "CLF": 4,
    }  # fmt: skip
