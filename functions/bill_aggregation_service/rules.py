"""The rules on bills: minor units, one spelling for equal contents, what a bill is unique on, status, doubts."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict
from datetime import date, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from zoneinfo import ZoneInfo

from functions.bill_aggregation_service.model import (
    BillContent,
    FetchedBill,
    LinkId,
    ProviderStatus,
    QualityNote,
    Status,
)

# ISO 4217, minor unit: the currencies that do not have two decimals.
EXPONENTS = {
    "BIF": 0, "CLP": 0, "DJF": 0, "GNF": 0, "ISK": 0, "JPY": 0, "KMF": 0, "KRW": 0, "PYG": 0, "RWF": 0, "UGX": 0,
    "UYI": 0, "VND": 0, "VUV": 0, "XAF": 0, "XOF": 0, "XPF": 0,
    "BHD": 3, "IQD": 3, "JOD": 3, "KWD": 3, "LYD": 3, "OMR": 3, "TND": 3, "CLF": 4, "UYW": 4,
}  # fmt: skip
# Of what a source left unsaid: code of the note, and what it tells.
ASSUMPTIONS = {
    "currency_assumed": "The file names no currency; the one that was asked for or is usual here was taken.",
    "total_from_line_items": "The file gives no total; it is the sum of the line items.",
    "bill_from_reading": "The file holds no bill for this meter; the cost of a reading was taken for one.",
}
LARGEST_AMOUNT = Decimal(10) ** 12
"""In major units. More is a garbled answer, not a household's bill."""


def zone_of(name: str) -> ZoneInfo:
    """The IANA zone of that name, or UTC where there is none."""
    try:
        return ZoneInfo(name)
    except (OSError, LookupError, ValueError):
        return ZoneInfo("UTC")


def minor_units(amount: Decimal, currency: str) -> int:
    """`12.345` USD as 1234: rounded half-even, here and nowhere else. Raises ValueError for a senseless amount."""
    if not amount.is_finite() or abs(amount) > LARGEST_AMOUNT:
        raise ValueError("the amount is out of range")
    return int(amount.scaleb(EXPONENTS.get(currency, 2)).quantize(Decimal(1), ROUND_HALF_EVEN))


def plain(number: Decimal) -> Decimal:
    """The same number in one spelling: `1.50` as 1.5, `1E+2` as 100. Raises ValueError for a senseless quantity."""
    if not number.is_finite() or abs(number) > LARGEST_AMOUNT or abs(int(number.as_tuple().exponent)) > 20:
        raise ValueError("the number is out of range")
    return number.quantize(Decimal(1)) if number == number.to_integral_value() else number.normalize()


def canonical_json(content: BillContent) -> str:
    """One spelling for equal contents: keys sorted, no spaces, dates and decimals as text."""
    fields = asdict(content)
    if not content.assumed:
        del fields["assumed"]  # younger than many a hash that is kept
    return json.dumps(fields, default=str, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def content_hash(content: BillContent) -> str:
    return hashlib.sha256(canonical_json(content).encode()).hexdigest()


def natural_key(link_id: LinkId, content: BillContent) -> bytes:
    """What a bill is unique on (DESIGN §4), hashed."""
    own = content.external_bill_id or f"{content.period_start}/{content.period_end}/{content.type}"
    parts = (link_id, content.service_type, content.usage_point, own)
    return hashlib.sha256("\x1f".join(parts).encode()).digest()


def status_of(content: BillContent, today: date, due_soon_days: int) -> Status:
    """`today` is the day in the provider's time zone. A bill without a due date is never late."""
    if content.provider_status is ProviderStatus.PAID:
        return Status.PAID
    if content.due_date is None or content.due_date > today + timedelta(due_soon_days):
        return Status.UPCOMING
    return Status.OVERDUE if content.due_date < today else Status.DUE_SOON


def quality_notes(content: BillContent) -> tuple[QualityNote, ...]:
    assumed = tuple(QualityNote(code, ASSUMPTIONS[code]) for code in content.assumed if code in ASSUMPTIONS)
    return assumed + _sums_that_differ(content)


def _sums_that_differ(content: BillContent) -> tuple[QualityNote, ...]:
    expected = content.amount_minor if content.total_charges_minor is None else content.total_charges_minor
    items = sum(item.amount_minor for item in content.line_items)
    if not content.line_items or items == expected:
        return ()
    detail = f"The line items sum to {items}, the total is {expected} (minor units of {content.currency})."
    return (QualityNote("items_differ_from_total", detail),)


def collapse(fetched: Iterable[FetchedBill], link_id: LinkId) -> dict[bytes, FetchedBill]:
    """By natural key: of what a utility gave twice, the one stamped last; whichever came first makes no difference."""
    return {natural_key(link_id, bill.content): bill for bill in sorted(fetched, key=_latest_last)}


def _latest_last(bill: FetchedBill) -> tuple[float, str]:
    return bill.stamped_at.timestamp() if bill.stamped_at else 0.0, canonical_json(bill.content)
