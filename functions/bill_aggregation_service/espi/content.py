"""One bill out of one resource: a UsageSummary, or a reading as long as a billing period.

Amounts are in 1e-5 of the currency, times are epoch seconds, or milliseconds in some files. What is needed and cannot
be read raises Unreadable with a reason; what is a bill's ornament (a volume, a rate) is left out instead.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, tzinfo
from decimal import Decimal, InvalidOperation

from functions.bill_aggregation_service.espi.codes import COMMODITIES, ITEM_KINDS, UNITS, currency_of
from functions.bill_aggregation_service.espi.extension import told_beside
from functions.bill_aggregation_service.espi.resources import ReadingType
from functions.bill_aggregation_service.espi.stream import Node
from functions.bill_aggregation_service.model import BillContent, LineItem, LineKind, Usage
from functions.bill_aggregation_service.rules import LAST_DAY, minor_units, plain

PER_MAJOR_UNIT = 5
"""Decimal places of an amount."""
SMALLEST_MILLISECONDS = 10**11
LONGEST_SECONDS = 10**8
"""Three years: a duration beside a start in milliseconds that is longer is in milliseconds as well."""
EARLIEST, LATEST = date(1970, 1, 2), LAST_DAY
"""A time of 0 stands for none in some files, and is 1 January 1970 in half of the world."""
MAX_TEXT = 256
"""String256 of the schema."""
MAX_DIGITS = 40


class Unreadable(ValueError):
    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of a bill beside its own resource."""

    number: str
    usage_point: str
    service_type: str
    """Of the usage point; empty when the file does not say."""
    default_service_type: str
    zone: tzinfo
    currency: str
    """Where the file names none."""
    reading_type: ReadingType


@dataclass(frozen=True, slots=True)
class Reading:
    period: Node | None
    cost: str
    value: str


def summary_content(node: Node, facts: Facts) -> BillContent:
    currency, assumed = _currency(node.value("currency") or facts.reading_type.currency, facts)
    service_type = COMMODITIES.get(node.value("commodity")) or facts.service_type or facts.default_service_type
    items = tuple(_line_items(node, currency))
    total = node.value("billLastPeriod")
    if not total:
        if not items:
            raise Unreadable("no_amount", "The bill has neither a total nor line items.")
        assumed += ("total_from_line_items",)
    start, end = _days(node.first("billingPeriod"), facts.zone)
    content = BillContent(
        external_bill_id=facts.number,
        service_type=service_type,
        usage_point=facts.usage_point,
        statement_date=_day(node.value("statusTimeStamp"), facts.zone),
        period_start=start,
        period_end=end,
        amount_minor=_money(total, currency) if total else sum(item.amount_minor for item in items),
        currency=currency,
        usage=tuple(_usages(node.all("overallConsumptionLastPeriod"), service_type)),
        line_items=items,
        tariff=node.value("tariffProfile")[:MAX_TEXT] or None,
        assumed=assumed,
    )
    try:
        content = replace(content, **told_beside(node))
    except ValueError as error:
        raise Unreadable("bad_extension", f"The extension of the bill cannot be read: {error}.") from error
    if content.period_end < content.period_start:
        raise Unreadable("bad_period", "The billing period ends before it starts.")
    return content


def reading_content(reading: Reading, facts: Facts, longest: int) -> BillContent:
    """A reading that is `longest` seconds or less, and has a cost, is a bill."""
    kind = facts.reading_type
    if not reading.cost:
        raise Unreadable("no_amount", "The reading has no cost.")
    currency, assumed = _currency(kind.currency, facts)
    if reading.period is not None and _span(reading.period)[1] > longest:
        raise Unreadable("bad_period", "The reading is longer than a billing period.")
    start, end = _days(reading.period, facts.zone)
    service_type = kind.service_type or facts.service_type or facts.default_service_type
    measured = _volume(reading.value, kind.unit_kind, kind.multiplier)
    return BillContent(
        external_bill_id="",
        service_type=service_type,
        usage_point=facts.usage_point,
        period_start=start,
        period_end=end,
        amount_minor=_money(reading.cost, currency),
        currency=currency,
        usage=(Usage(service_type, *measured),) if measured else (),
        assumed=(*assumed, "bill_from_reading"),
    )


def seconds(period: Node) -> tuple[int, int]:
    """Start and duration. Raises ValueError."""
    start, duration = _whole(period.value("start")), _whole(period.value("duration"))
    if abs(start) >= SMALLEST_MILLISECONDS:
        start = start // 1000
        duration = duration // 1000 if duration > LONGEST_SECONDS else duration
    return start, duration


def _span(period: Node) -> tuple[int, int]:
    try:
        start, duration = seconds(period)
    except ValueError as error:
        raise Unreadable("bad_period", "The billing period is no start and duration in seconds.") from error
    if duration < 0:
        raise Unreadable("bad_period", "The billing period ends before it starts.")
    return start, duration


def _days(period: Node | None, zone: tzinfo) -> tuple[date, date]:
    """First and last day; ESPI's period ends where the next one starts."""
    if period is None or not period.value("start"):
        raise Unreadable("no_period", "The bill has no billing period.")
    start, duration = _span(period)
    first, last = (_date(instant, zone) for instant in (start, start + max(duration - 1, 0)))
    if first is None or last is None:
        raise Unreadable("bad_period", f"The billing period is not between {EARLIEST} and {LATEST}.")
    return first, last


def _date(instant: int, zone: tzinfo) -> date | None:
    try:
        day = datetime.fromtimestamp(instant, UTC).astimezone(zone).date()
    except (OSError, OverflowError, ValueError):
        return None
    return day if EARLIEST <= day <= LATEST else None


def _day(text: str, zone: tzinfo) -> date | None:
    try:
        instant = _whole(text)
    except ValueError:
        return None
    return _date(instant // 1000 if abs(instant) >= SMALLEST_MILLISECONDS else instant, zone)


def _currency(text: str, facts: Facts) -> tuple[str, tuple[str, ...]]:
    """The code, and what had to be assumed. 0 stands for a currency that the standard has no number for."""
    if not text.strip("0"):
        return facts.currency, ("currency_assumed",)
    code = currency_of(text)
    if code is None:
        raise Unreadable("unknown_currency", f"There is no currency {text[:20]!r} in ISO 4217.")
    return code, ()


def _line_items(node: Node, currency: str) -> Iterator[LineItem]:
    for item in node.all("costAdditionalDetailLastPeriod"):
        if not (amount := item.value("amount")):
            continue  # a remark
        measured = next(_volumes(item.all("measurement")), None)
        yield LineItem(
            name=item.value("note")[:MAX_TEXT] or "Charge",
            kind=ITEM_KINDS.get(item.value("itemKind"), LineKind.OTHER),
            amount_minor=_money(amount, currency),
            volume=measured[0] if measured else None,
            unit=measured[1] if measured else None,
            rate=_rate(item.value("unitCost")),
        )


def _usages(measurements: Iterator[Node], service_type: str) -> Iterator[Usage]:
    return (Usage(service_type, volume, unit) for volume, unit in _volumes(measurements))


def _volumes(measurements: Iterator[Node]) -> Iterator[tuple[Decimal, str]]:
    for element in measurements:
        multiplier = element.value("powerOfTenMultiplier")
        if measured := _volume(element.value("value"), element.value("uom"), multiplier):
            yield measured


def _volume(value: str, unit_kind: str, multiplier: str) -> tuple[Decimal, str] | None:
    """Volume and unit; None when there is no value, or one in a unit that says nothing to a household."""
    known = UNITS.get(unit_kind)
    if not value or known is None:
        return None
    unit, shift = known
    try:
        power = _whole(multiplier or "0") + shift
        return (plain(_number(value).scaleb(power)), unit) if abs(power) <= MAX_DIGITS else None
    except ValueError:
        return None


def _rate(text: str) -> Decimal | None:
    try:
        return plain(_number(text).scaleb(-PER_MAJOR_UNIT)) if text else None
    except ValueError:
        return None


def _money(text: str, currency: str) -> int:
    try:
        return minor_units(_number(text).scaleb(-PER_MAJOR_UNIT), currency)
    except ValueError as error:
        raise Unreadable("bad_amount", "An amount of the bill is no number that a household pays.") from error


def _number(text: str) -> Decimal:
    """Raises ValueError for what is no plain decimal number."""
    if len(text) > MAX_DIGITS:
        raise ValueError("too many digits")
    try:
        number = Decimal(text)
        if not number.is_finite() or abs(number.adjusted()) > MAX_DIGITS:
            raise ValueError("out of range")
    except InvalidOperation as error:
        raise ValueError("no number") from error
    return number


def _whole(text: str) -> int:
    number = _number(text)
    if number != number.to_integral_value():
        raise ValueError("no whole number")
    return int(number)
