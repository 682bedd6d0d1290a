"""What the demo checks and prints, without a platform."""

from typing import Any

import pytest

from infra.client import Aggregation
from infra.demo_report import (
    Link,
    bill_table,
    lacking,
    lost_bills,
    money,
    new_bills,
    not_exactly_one,
    progress_bar,
    source_faults,
    source_table,
)

POWER, GAS = Link("lnk_1", "Northwind Power", "good"), Link("lnk_2", "Greenline Gas", "good")
REFUSED, DOWN = Link("lnk_3", "Northwind Power", "bad_login"), Link("lnk_4", "Greenline Gas", "down")


def bill(bill_id: str, link: Link, **changes: Any) -> dict[str, Any]:
    return {
        "bill_id": bill_id, "link_id": link.link_id, "period_start": "2026-02-10", "period_end": "2026-03-09",
        "due_date": "2026-03-31", "amount_minor": 12345, "currency": "USD", "status": "upcoming",
    } | changes  # fmt: skip


def source(link: Link, outcome: str, code: str = "") -> dict[str, Any]:
    error = {"code": code, "retryable": True} if code else None
    return {"link_id": link.link_id, "outcome": outcome, "as_of": "2026-03-15T12:00:00.000Z", "error": error}


AS_IT_SHOULD_BE = Aggregation(
    [bill("bil_1", POWER), bill("bil_2", GAS)],
    [
        source(POWER, "fresh"), source(GAS, "cached"),
        source(REFUSED, "action_required", "invalid_credentials"), source(DOWN, "failed", "provider_unavailable"),
    ],
)  # fmt: skip


@pytest.mark.parametrize(
    ("amount_minor", "currency", "text"),
    [
        (12345, "USD", "123.45 USD"),
        (-5, "EUR", "-0.05 EUR"),
        (0, "INR", "0.00 INR"),
        (1500, "JPY", "1500 JPY"),
        (1500, "KWD", "1.500 KWD"),
    ],
)
def test_money_has_the_digits_of_its_currency(amount_minor: int, currency: str, text: str) -> None:
    assert money(amount_minor, currency) == text


def test_bills_stand_in_aligned_columns_and_without_a_due_date_say_so() -> None:
    bills = [bill("bil_1", POWER), bill("bil_2", GAS, due_date=None, amount_minor=987, currency="EUR")]

    assert bill_table(bills, [POWER, GAS]).splitlines() == [
        "provider         period                   due date        amount  status",
        "───────────────  ───────────────────────  ──────────  ──────────  ────────",
        "Greenline Gas    2026-02-10 – 2026-03-09  none          9.87 EUR  upcoming",
        "Northwind Power  2026-02-10 – 2026-03-09  2026-03-31  123.45 USD  upcoming",
    ]


def test_the_table_of_sources_shows_each_link_with_its_error_and_bills() -> None:
    lines = source_table([POWER, DOWN], AS_IT_SHOULD_BE).splitlines()

    assert lines[2].split() == ["Northwind", "Power", "good", "fresh", "1", "2026-03-15T12:00:00.000Z"]
    assert lines[3].split()[2:6] == ["down", "failed", "provider_unavailable", "0"]


def test_progress_is_a_bar() -> None:
    assert progress_bar(1, 4, width=8) == "[██······] 1/4"
    assert progress_bar(0, 0, width=4) == "[····] 0/0"


def test_a_provider_without_bills_is_named() -> None:
    assert lacking([POWER, GAS], [bill("bil_1", POWER)]) == ["Greenline Gas"]


def test_new_bills_are_those_with_an_unknown_id_and_each_provider_must_have_one() -> None:
    before, after = [bill("bil_1", POWER)], [bill("bil_1", POWER), bill("bil_3", POWER), bill("bil_4", POWER)]

    fresh = new_bills(before, after)

    assert [b["bill_id"] for b in fresh] == ["bil_3", "bil_4"]
    assert not_exactly_one([POWER, GAS], fresh) == ["Northwind Power (there are 2)", "Greenline Gas (there are 0)"]


def test_a_bill_that_is_gone_is_a_fault() -> None:
    assert lost_bills(AS_IT_SHOULD_BE, Aggregation([bill("bil_1", POWER)], [])) == [
        "1 bills that were there before"
    ]  # fmt: skip
    assert lost_bills(AS_IT_SHOULD_BE, AS_IT_SHOULD_BE) == []


def test_bad_accounts_that_suffer_alone_are_no_fault() -> None:
    assert source_faults([POWER, GAS], [REFUSED, DOWN], AS_IT_SHOULD_BE) == []


def test_each_row_that_says_the_wrong_thing_is_a_fault() -> None:
    seen = Aggregation([], [source(POWER, "failed", "timeout"), source(GAS, "fresh"), source(REFUSED, "fresh")])

    faults = source_faults([POWER, GAS], [REFUSED, DOWN], seen)

    assert [fault.split(",")[0].split(" to ")[0] for fault in faults] == [
        "Northwind Power (bad_login)",
        "Greenline Gas (down)",
        "Northwind Power (good)",
    ]
