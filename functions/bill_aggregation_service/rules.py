"""The rules on what a source says: minor units, one spelling for equal contents, what is refused, what a bill is unique
on. How a bill's payment stands is in `payment.py`, the doubts about it in `quality.py`."""

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal
from zoneinfo import ZoneInfo

import msgspec

from functions.bill_aggregation_service.currencies import EXPONENTS, exponent_of
from functions.bill_aggregation_service.model import BillContent, FetchedBill, LinkId

# Of what a source left unsaid: code of the note, and what it tells.
ASSUMPTIONS = {
    "currency_assumed": "The file names no currency; the one that was asked for or is usual here was taken.",
    "total_from_line_items": "The file gives no total; it is the sum of the line items.",
    "bill_from_reading": "The file holds no bill for this meter; the cost of a reading was taken for one.",
}
# Why a bill that a source gave is not kept: code, and what it tells.
REFUSALS = {
    "currency_unknown": "ISO 4217 does not know its currency, so what its minor unit is would be a guess.",
    "amount_out_of_range": "An amount is larger than any household's bill.",
    "dates_out_of_range": "A day of its period, its issue or its due date is before 1970 or after 2199.",
    "too_large": "It is longer than what can be kept of a bill.",
}
LARGEST_AMOUNT = Decimal(10) ** 12
"""In major units. More is a garbled answer, not a household's bill."""
LARGEST_MINOR = 10**15
LARGEST_CONTENT = 150_000
"""Bytes; an item of the table holds 400 KB, events and all."""
FIRST_DAY, LAST_DAY = date(1970, 1, 1), date(2199, 12, 31)
"""What lies outside is garbled, or a stand-in for "never": days are counted on from, and calendars end."""
DATED = ("period_start", "period_end", "due_date", "statement_date")
YOUNGER_FIELDS = ("assumed", "cancelled")
"""Younger than many a hash that is kept: left out while they say nothing."""


def zone_of(name: str) -> ZoneInfo:
    """The IANA zone of that name, or UTC where there is none."""
    try:
        return ZoneInfo(name)
    except (OSError, LookupError, ValueError):
        return ZoneInfo("UTC")


def minor_units(amount: Decimal, currency: str) -> int:
    """`12.345` USD as 1234: rounded half-even, here and nowhere else. Raises ValueError for a senseless amount, and for
    a currency that ISO 4217 does not know: how many decimals it has would be a guess."""
    if not amount.is_finite() or amount.copy_abs() > LARGEST_AMOUNT:
        raise ValueError("the amount is out of range")
    return int(amount.scaleb(exponent_of(currency)).quantize(Decimal(1), ROUND_HALF_EVEN))


def minor_units_if_known(amount: Decimal, currency: str) -> int:
    """For answers with many bills: where ISO 4217 does not know the currency, 0. Such a bill is refused by itself (see
    `refusal`) and costs the others nothing."""
    return minor_units(amount, currency) if currency.strip().upper() in EXPONENTS else 0


def major_units(amount_minor: int, currency: str) -> Decimal:
    """The way back, exactly: 1234 USD as `12.34`."""
    return Decimal(amount_minor).scaleb(-exponent_of(currency))


def plain(number: Decimal) -> Decimal:
    """The same number in one spelling: `1.50` as 1.5, `1E+2` as 100. Raises ValueError for a senseless quantity."""
    # `abs` would round, which of a number with an exponent of ten million is an error of its own
    if not number.is_finite() or number.copy_abs() > LARGEST_AMOUNT or abs(int(number.as_tuple().exponent)) > 20:
        raise ValueError("the number is out of range")
    return number.quantize(Decimal(1)) if number == number.to_integral_value() else number.normalize()


def canonical_json(content: BillContent) -> str:
    """One spelling for equal contents: keys sorted, no spaces, dates and decimals as text."""
    fields = msgspec.to_builtins(content)
    for name in YOUNGER_FIELDS:
        if not fields[name]:
            del fields[name]
    return msgspec.json.encode(fields, order="sorted").decode()


def content_hash(content: BillContent) -> str:
    """Of what makes a version: all but where the document is."""
    hashed = replace(content, document_url=None) if content.document_url else content
    return hashlib.sha256(canonical_json(hashed).encode()).hexdigest()


def natural_key(link_id: LinkId, content: BillContent) -> bytes:
    """What a bill is unique on, hashed. The content is a `tidy` one."""
    own = content.external_bill_id or f"{content.period_start}/{content.period_end}/{content.type}"
    parts = (link_id, content.service_type, content.usage_point, own)
    return hashlib.sha256("\x1f".join(parts).encode()).digest()


def tidy(content: BillContent) -> BillContent:
    """The same without what only looks different: spaces in texts, the case of a currency."""
    return replace(
        content,
        external_bill_id=_spaced(content.external_bill_id),
        usage_point=_spaced(content.usage_point),
        currency=content.currency.strip().upper(),
        tariff=_spaced(content.tariff or "") or None,
        usage=tuple(replace(part, unit=_spaced(part.unit)) for part in content.usage),
        line_items=tuple(replace(item, name=_spaced(item.name)) for item in content.line_items),
    )


def refusal(content: BillContent) -> str:
    """Why a bill cannot be kept, as a code of REFUSALS; empty when it can."""
    if content.currency not in EXPONENTS:
        return "currency_unknown"
    amounts = (content.amount_minor, *(item.amount_minor for item in content.line_items))
    if any(abs(amount) > LARGEST_MINOR for amount in amounts):
        return "amount_out_of_range"
    if not all(is_billed_on(getattr(content, name)) for name in DATED):
        return "dates_out_of_range"
    return "too_large" if len(canonical_json(content).encode()) > LARGEST_CONTENT else ""


def is_billed_on(day: date | None) -> bool:
    """Whether a bill may name the day, or none."""
    return day is None or FIRST_DAY <= day <= LAST_DAY


def collapse(fetched: Iterable[FetchedBill], link_id: LinkId) -> dict[bytes, FetchedBill]:
    """By natural key: of what a utility gave twice, the one stamped last; whichever came first makes no difference."""
    return {natural_key(link_id, bill.content): bill for bill in sorted(fetched, key=_latest_last)}


def _latest_last(bill: FetchedBill) -> tuple[float, str]:
    return bill.stamped_at.timestamp() if bill.stamped_at else 0.0, canonical_json(bill.content)


def _spaced(text: str) -> str:
    return " ".join(text.split())
