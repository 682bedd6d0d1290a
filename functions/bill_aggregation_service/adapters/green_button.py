"""Utilities that give Green Button data: an Atom feed of NAESB ESPI resources, in which each UsageSummary is a bill.

    GET {base}/greenbutton/{account}   HTTP Basic; a 401 with X-MFA-Token, X-MFA-Methods and X-MFA-Expires-In is a
                                       challenge, answered by the same request with X-MFA-Token and X-MFA-Code

Amounts are in 1e-5 of the currency, the currency is its ISO 4217 number, times are epoch seconds (some utilities:
milliseconds). There is no due date and no bill number: the last part of the entry's self link takes its place. Names
are compared without their namespace, because feeds differ in it; before ESPI 1.1 a summary is an
ElectricPowerUsageSummary.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from urllib.parse import quote
from xml.etree.ElementTree import Element, ParseError
from zoneinfo import ZoneInfo

from defusedxml.ElementTree import fromstring

from functions.bill_aggregation_service.adapters.base import (
    Access,
    BadCredentials,
    HttpClient,
    MfaRequired,
    Refusal,
    parsing,
    whole_number,
)
from functions.bill_aggregation_service.adapters.http_client import basic, mfa_headers
from functions.bill_aggregation_service.model import (
    BillContent,
    FetchedBill,
    LineItem,
    LineKind,
    Usage,
)
from functions.bill_aggregation_service.rules import minor_units, plain, zone_of

SUMMARIES = ("UsageSummary", "ElectricPowerUsageSummary")
PER_MAJOR_UNIT = Decimal(100_000)
SMALLEST_MILLISECONDS = 10**11
CURRENCIES: Mapping[str, str] = {
    "036": "AUD", "124": "CAD", "156": "CNY", "203": "CZK", "208": "DKK", "344": "HKD", "348": "HUF", "356": "INR",
    "376": "ILS", "392": "JPY", "410": "KRW", "414": "KWD", "484": "MXN", "554": "NZD", "578": "NOK", "702": "SGD",
    "710": "ZAR", "752": "SEK", "756": "CHF", "784": "AED", "826": "GBP", "840": "USD", "949": "TRY", "978": "EUR",
    "985": "PLN", "986": "BRL",
}  # fmt: skip
COMMODITIES: Mapping[str, str] = {"0": "electricity", "1": "electricity", "7": "gas", "9": "water"}
UNITS: Mapping[str, tuple[str, int]] = {
    "42": ("m3", 0), "72": ("kWh", -3), "119": ("ft3", 0), "128": ("gal", 0), "132": ("Btu", 0), "134": ("l", 0),
    "169": ("therm", 0),
}  # fmt: skip
"""Unit, and the power of ten that turns ESPI's unit of measure into it."""
ITEM_KINDS: Mapping[str, LineKind] = {
    "1": LineKind.GENERATION, "2": LineKind.DELIVERY, "3": LineKind.USAGE, "4": LineKind.FEE, "5": LineKind.TAX,
    "6": LineKind.CREDIT, "7": LineKind.CREDIT, "8": LineKind.CREDIT, "9": LineKind.PAYMENT,
}  # fmt: skip


class GreenButtonAdapter:
    def __init__(self, http: HttpClient) -> None:
        self._http = http

    def fetch(self, access: Access) -> Sequence[FetchedBill]:
        headers = {"Accept": "application/atom+xml", **basic(access.username, access.password), **mfa_headers(access)}
        try:
            answer = self._http.get(f"/greenbutton/{quote(access.account_number, safe='')}", headers=headers)
        except BadCredentials as refused:
            if refused.refusal and refused.refusal.header("X-MFA-Token"):
                raise _challenge(refused.refusal) from None
            raise
        defaults = Defaults(access.provider.currency, zone_of(access.provider.time_zone), access.service_type)
        with parsing("feed"):
            return list(read_feed(answer, defaults))


def _challenge(refusal: Refusal) -> MfaRequired:
    return MfaRequired(
        refusal.header("X-MFA-Methods").split(","),
        refusal.header("X-MFA-Token"),
        expires_in=whole_number(refusal.header("X-MFA-Expires-In")),
        code_refused=refusal.header("X-MFA-Error") == "invalid_code",
    )


@dataclass(frozen=True, slots=True)
class Defaults:
    """What a feed may leave unsaid."""

    currency: str
    zone: ZoneInfo
    service_type: str


def read_feed(document: bytes, defaults: Defaults) -> Iterator[FetchedBill]:
    """The feed's bills. Raises ValueError and its like for what is no such feed; any DTD is refused."""
    try:
        root = fromstring(document, forbid_dtd=True)
    except ParseError as error:
        raise ValueError("this is no XML") from error
    if _name(root) != "feed":
        raise ValueError("this is no Atom feed")
    for entry in root:
        for summary in entry.iter():
            if _name(summary) in SUMMARIES:
                yield FetchedBill(_content(entry, summary, defaults), _updated(entry))


def _content(entry: Element, summary: Element, defaults: Defaults) -> BillContent:
    currency = CURRENCIES[_text(summary, "currency").zfill(3)] if _text(summary, "currency") else defaults.currency
    service_type = COMMODITIES.get(_text(summary, "commodity"), defaults.service_type)
    items = tuple(_line_item(item, currency) for item in _all(summary, "costAdditionalDetailLastPeriod"))
    total = _text(summary, "billLastPeriod")
    period_start, period_end = _period(summary, defaults.zone)
    link = _self_link(entry).rstrip("/").split("/")
    return BillContent(
        external_bill_id=link[-1],
        service_type=service_type,
        usage_point=link[link.index("UsagePoint") + 1] if "UsagePoint" in link[:-1] else "",
        statement_date=_day(_text(summary, "statusTimeStamp"), defaults.zone),
        period_start=period_start,
        period_end=period_end,
        amount_minor=_money(total, currency) if total else sum(item.amount_minor for item in items),
        currency=currency,
        usage=tuple(
            Usage(service_type, *measured)
            for element in _all(summary, "overallConsumptionLastPeriod")
            if (measured := _measured(element))
        ),
        line_items=items,
        tariff=_text(summary, "tariffProfile") or None,
    )


def _line_item(element: Element, currency: str) -> LineItem:
    measured = next((_measured(part) for part in _all(element, "measurement")), None)
    unit_cost = _text(element, "unitCost")
    return LineItem(
        name=_text(element, "note") or "Charge",
        kind=ITEM_KINDS.get(_text(element, "itemKind"), LineKind.OTHER),
        amount_minor=_money(_text(element, "amount"), currency),
        volume=measured[0] if measured else None,
        unit=measured[1] if measured else None,
        rate=plain(Decimal(unit_cost) / PER_MAJOR_UNIT) if unit_cost else None,
    )


def _measured(element: Element) -> tuple[Decimal, str] | None:
    """Volume and unit; None when the feed gives no value, or one in a unit that says nothing to a household."""
    value, known = _text(element, "value"), UNITS.get(_text(element, "uom"))
    if not value or known is None:
        return None
    unit, shift = known
    return plain(Decimal(value).scaleb(int(_text(element, "powerOfTenMultiplier") or 0) + shift)), unit


def _money(text: str, currency: str) -> int:
    return minor_units(Decimal(text) / PER_MAJOR_UNIT, currency)


def _period(summary: Element, zone: ZoneInfo) -> tuple[date, date]:
    """First and last day of the billing period; ESPI's period ends where the next one starts."""
    period = next(_all(summary, "billingPeriod"), None)
    if period is None:
        raise ValueError("a summary without a billing period")
    start = _instant(_text(period, "start"))
    end = start + timedelta(seconds=max(int(_text(period, "duration")) - 1, 0))
    return start.astimezone(zone).date(), end.astimezone(zone).date()


def _day(text: str, zone: ZoneInfo) -> date | None:
    return _instant(text).astimezone(zone).date() if text else None


def _instant(text: str) -> datetime:
    seconds = int(text)
    return datetime.fromtimestamp(seconds / 1000 if abs(seconds) >= SMALLEST_MILLISECONDS else seconds, UTC)


def _updated(entry: Element) -> datetime | None:
    stamp = datetime.fromisoformat(_text(entry, "updated")) if _text(entry, "updated") else None
    return stamp.astimezone(UTC) if stamp and stamp.tzinfo else None


def _self_link(entry: Element) -> str:
    links = (link.get("href", "") for link in _all(entry, "link") if link.get("rel") == "self")
    return next(links, "") or _text(entry, "id")


def _all(parent: Element, name: str) -> Iterator[Element]:
    return (child for child in parent if _name(child) == name)


def _text(parent: Element, name: str) -> str:
    return next((child.text.strip() for child in _all(parent, name) if child.text), "")


def _name(element: Element) -> str:
    return element.tag.rpartition("}")[2]
