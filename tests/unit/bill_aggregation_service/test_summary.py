"""Sums: by what, of what, and never of two currencies."""

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.bill_aggregation_service.listing import ListedBill, Reader
from functions.bill_aggregation_service.model import BillContent, BillType, By, Link, Mark, ProviderId, ProviderStatus
from functions.bill_aggregation_service.summary import Sum, a_year_until, summed
from tests.unit.bill_aggregation_service.fakes import LINK, USER, content
from tests.unit.bill_aggregation_service.test_quality import kept

READER = Reader(datetime(2026, 3, 15, 12, tzinfo=UTC), due_soon_days=7, fresh_seconds=3600)


def listed(said: BillContent, mark: Mark | None = None, provider: str = "prv_northwind_power") -> ListedBill:
    bill = replace(kept(said), mark=mark or Mark(), provider_id=ProviderId(provider))
    return READER.listed(bill, Link(user_id=USER, link_id=LINK))


BILLS = [
    listed(content("1", 1000, date(2026, 2, 20), provider_status=ProviderStatus.PAID)),
    listed(content("2", 2000, date(2026, 3, 20)), Mark(paid_amount_minor=500)),
    listed(content("3", 500, date(2026, 3, 1), currency="EUR", service_type="gas"), provider="prv_greenline_gas"),
    listed(content("4", 900, date(2026, 3, 2), cancelled=True)),
    listed(content("5", 0, date(2026, 3, 3), type=BillType.NOTICE)),
    listed(content("6", -300, date(2026, 3, 4), type=BillType.ADJUSTMENT)),
]


@pytest.mark.parametrize(
    ("by", "sums"),
    [
        (
            By.MONTH,
            (
                Sum("2026-02", "USD", 1, 1000, 1000, 0),
                Sum("2026-03", "EUR", 1, 500, 0, 500),
                Sum("2026-03", "USD", 2, 1700, 500, 1500),
            ),
        ),
        (
            By.PROVIDER,
            (
                Sum("prv_greenline_gas", "EUR", 1, 500, 0, 500),
                Sum("prv_northwind_power", "USD", 3, 2700, 1500, 1500),
            ),
        ),
        (By.SERVICE_TYPE, (Sum("electricity", "USD", 3, 2700, 1500, 1500), Sum("gas", "EUR", 1, 500, 0, 500))),
    ],
)
def test_sums(by: By, sums: tuple[Sum, ...]) -> None:
    assert summed(BILLS, by) == sums


@given(st.lists(st.sampled_from(BILLS)), st.sampled_from(By))
def test_however_it_is_cut_the_whole_of_a_currency_is_the_same(bills: list[ListedBill], by: By) -> None:
    def whole(rows: tuple[Sum, ...], currency: str) -> int:
        return sum(row.amount_minor for row in rows if row.currency == currency)

    for currency in ("USD", "EUR"):
        assert whole(summed(bills, by), currency) == whole(summed(bills, By.MONTH), currency)


@pytest.mark.parametrize(
    ("day", "first"),
    [
        (date(2026, 11, 22), date(2025, 12, 1)),
        (date(2026, 12, 31), date(2026, 1, 1)),
        (date(2026, 1, 1), date(2025, 2, 1)),
        (date(1, 5, 1), date(1, 1, 1)),
    ],
)
def test_a_year_is_twelve_months_with_the_present_one(day: date, first: date) -> None:
    assert a_year_until(day) == first
