"""Any bill that the platform may hold, for property tests."""

from datetime import UTC, date, datetime
from decimal import Decimal

from hypothesis import strategies as st

from functions.bill_aggregation_service.currencies import EXPONENTS
from functions.bill_aggregation_service.model import (
    Bill,
    BillContent,
    BillId,
    BillType,
    LineItem,
    LineKind,
    LinkId,
    ProviderId,
    ProviderStatus,
    Source,
    Usage,
    UserId,
)
from functions.bill_aggregation_service.rules import ASSUMPTIONS, content_hash, plain, tidy

ZONES = ("UTC", "America/New_York", "Europe/Berlin", "Australia/Sydney", "Asia/Kolkata", "Pacific/Kiritimati")
SERVICES = ("electricity", "gas", "water", "internet", "phone", "heating", "waste", "sewerage", "other")
UNITS = ("kWh", "m3", "ft3", "therm", "l", "GB", "minutes", "gal")
LINKS = (LinkId("lnk_01JD3N8Z6W3V9K4T7Q2M5XBRPC"), LinkId("lnk_01JD3N8Z6W3V9K4T7Q2M5XBRPD"))

texts = st.text(min_size=1, max_size=40)
days = st.dates(date(1990, 1, 1), date(2090, 12, 31))
amounts = st.integers(-(10**9), 10**9) | st.integers(-(10**14), 10**14)
volumes = st.decimals(-(10**6), 10**6, allow_nan=False, allow_infinity=False, places=4).map(plain) | st.just(Decimal(0))
usages = st.builds(Usage, st.sampled_from(SERVICES), volumes, st.sampled_from(UNITS), st.none() | texts)
line_items = st.builds(
    LineItem,
    name=texts,
    kind=st.sampled_from(LineKind),
    amount_minor=amounts,
    volume=st.none() | volumes,
    unit=st.none() | st.sampled_from(UNITS),
    rate=st.none() | volumes,
)


@st.composite
def contents(draw: st.DrawFn) -> BillContent:
    start, end = sorted((draw(days), draw(days)))
    content = BillContent(
        external_bill_id=draw(st.just("") | texts | st.from_regex(r"[A-Z]{2}-[0-9]{6}", fullmatch=True)),
        type=draw(st.sampled_from(BillType)),
        service_type=draw(st.sampled_from(SERVICES)),
        usage_point=draw(st.just("") | texts),
        statement_date=draw(st.none() | days),
        due_date=draw(st.none() | days),
        period_start=start,
        period_end=end,
        amount_minor=draw(amounts),
        currency=draw(st.sampled_from(sorted(EXPONENTS))),
        total_charges_minor=draw(st.none() | amounts),
        previous_balance_minor=draw(st.none() | amounts),
        outstanding_balance_minor=draw(st.none() | amounts),
        usage=tuple(draw(st.lists(usages, max_size=2))),
        line_items=tuple(draw(st.lists(line_items, max_size=3))),
        tariff=draw(st.none() | texts),
        provider_status=draw(st.sampled_from(ProviderStatus)),
        paid_at=draw(st.none() | days),
        paid_amount_minor=draw(st.none() | amounts),
        assumed=tuple(draw(st.lists(st.sampled_from(sorted(ASSUMPTIONS)), unique=True, max_size=2))),
        cancelled=draw(st.booleans()),
    )
    return tidy(content)


def bill_of(content: BillContent, number: int = 0, link_id: LinkId = LINKS[0]) -> Bill:
    at = datetime(2026, 3, 15, 12, 0, 0, 250_000, UTC)
    return Bill(
        bill_id=BillId(f"bil_01JD3N8Z6W{number:016}"),
        user_id=UserId("usr_01JD3N8Z6W3V9K4T7Q2M5XBRPC"),
        link_id=link_id,
        provider_id=ProviderId("prv_northwind_power"),
        content=content,
        content_hash=content_hash(content),
        source=Source.API,
        version=1,
        supersedes=None,
        as_of=at,
        discovered_at=at,
        versioned_at=at,
        updated_at=at,
    )


bills = st.builds(bill_of, contents(), st.integers(0, 10**6), st.sampled_from(LINKS))
