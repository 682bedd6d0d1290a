"""Issues the sandbox's bills, as a pure function of (utility, account number, virtual date).

Nothing is stored for a bill: each number is drawn from a hash of what it belongs to, so every run sees the same
history, and a bill once issued never changes as the date moves on (but for what `corrected` and `adjusted` say).
"""

import calendar
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from hashlib import sha256
from itertools import pairwise

from functions.mock_api_service.model import (
    AccountNumber,
    Adjustment,
    Basis,
    Bill,
    BillNumber,
    Kind,
    LineItem,
    Utility,
)

MONTHLY_BILLS, WEEKLY_BILLS = 12, 600
LAST_CYCLE_DAY = 28
"""Every month has a 28th: so moving the date by a calendar month always issues exactly one bill."""
BASE_YEAR, YEARLY_RISE = 2024, Decimal("0.03")
CORRECTED_AFTER = timedelta(days=7)


def none(_utility: Utility, _account: AccountNumber, _today: date) -> tuple[Bill, ...]:
    """An account that has not been billed yet."""
    return ()


def monthly(utility: Utility, account: AccountNumber, today: date) -> tuple[Bill, ...]:
    """The bills that the utility shows on that day: the last twelve issued, newest first."""
    cycle_day = 1 + draw(LAST_CYCLE_DAY, utility.name, account, "cycle")
    months = today.year * 12 + today.month - 1 - (today.day < cycle_day)
    statement_dates = [date((months - k) // 12, (months - k) % 12 + 1, cycle_day) for k in range(MONTHLY_BILLS + 1)]
    return _issued(utility, account, statement_dates)


def weekly(utility: Utility, account: AccountNumber, today: date) -> tuple[Bill, ...]:
    """The last 600 of an account that is billed by the week, newest first."""
    latest = today - timedelta((today.weekday() - draw(7, utility.name, account, "weekday")) % 7)
    return _issued(utility, account, [latest - timedelta(weeks=k) for k in range(WEEKLY_BILLS + 1)])


def corrected(utility: Utility, account: AccountNumber, today: date) -> tuple[Bill, ...]:
    """The monthly bills of a utility that errs: seven days after its issue each is corrected, by up to 8 percent."""
    bills = monthly(utility, account, today)
    due = [bill for bill in bills if bill.statement_date + CORRECTED_AFTER <= today]
    return adjusted(bills, {bill.number: _correction(utility, account, bill) for bill in due})


def adjusted(issued: Sequence[Bill], adjustments: Mapping[BillNumber, Adjustment]) -> tuple[Bill, ...]:
    """The same bills with other amounts: the difference is a line item, so items still sum to the total."""
    return tuple(_adjusted(bill, adjustments.get(bill.number)) for bill in issued)


def twice(bills: Sequence[Bill]) -> tuple[Bill, ...]:
    """All bills, then all of them once more, with a space behind each line item's name."""
    return (*bills, *map(_copy, bills))


def add_months(day: date, months: int) -> date:
    """The same day of a later month, or that month's last day. Raises ValueError beyond the calendar."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def draw(choices: int, *about: str) -> int:
    """A number in [0, choices) that depends on nothing but what it is about."""
    return int.from_bytes(sha256("|".join(about).encode()).digest()[:8], "big") % choices


def _issued(utility: Utility, account: AccountNumber, newest_first: Sequence[date]) -> tuple[Bill, ...]:
    """The bills of these statement dates but the last, which only begins a period."""
    return tuple(_bill(utility, account, previous, issued) for issued, previous in pairwise(newest_first))


def _bill(utility: Utility, account: AccountNumber, start: date, issued: date) -> Bill:
    volume = _volume(utility, account, start, (issued - start).days)
    serial = sha256(f"{utility.name}|{account}|{issued}".encode()).hexdigest()[:6].upper()
    return Bill(
        number=BillNumber(f"{utility.bill_prefix}-{issued:%Y%m}-{serial}"),
        statement_date=issued,
        due_date=None if utility.due_days is None else issued + timedelta(utility.due_days),
        period_start=start,
        period_end=issued - timedelta(1),
        currency=utility.currency,
        volume=volume,
        unit=utility.unit,
        meter=f"{utility.bill_prefix}M{draw(10**7, utility.name, account, 'meter'):07}",
        tariff=f"{utility.tariff} {issued.year}",
        line_items=_line_items(utility, volume, (issued - start).days, issued.year),
        updated_on=issued,
    )


def _volume(utility: Utility, account: AccountNumber, start: date, days: int) -> Decimal:
    household = 70 + draw(61, utility.name, account, "household")
    weather = 92 + draw(17, utility.name, account, start.isoformat(), "weather")
    season = utility.season[(start + timedelta(days // 2)).month - 1]
    return (utility.daily_usage * days * season * household * weather / 10**6).quantize(
        utility.usage_step, ROUND_HALF_EVEN
    )


def _line_items(utility: Utility, volume: Decimal, days: int, year: int) -> tuple[LineItem, ...]:
    items: list[LineItem] = []
    for charge in utility.charges:
        if charge.basis is Basis.SUBTOTAL:
            items.append(
                LineItem(charge.name, charge.kind, _whole(charge.rate * sum(item.amount_minor for item in items)))
            )
            continue
        rate = (charge.rate * (1 + YEARLY_RISE * (year - BASE_YEAR))).quantize(Decimal("0.0001"), ROUND_HALF_EVEN)
        quantity = {Basis.VOLUME: volume, Basis.DAY: Decimal(days), Basis.BILL: Decimal(1)}[charge.basis]
        shown = (volume, rate) if charge.basis is Basis.VOLUME else (None, None)
        items.append(LineItem(charge.name, charge.kind, _whole(quantity * rate * 100), *shown))
    return tuple(items)


def _adjusted(bill: Bill, adjustment: Adjustment | None) -> Bill:
    if adjustment is None:
        return bill
    difference = adjustment.amount_minor - bill.amount_minor
    item = LineItem("Billing adjustment", Kind.CREDIT if difference < 0 else Kind.OTHER, difference)
    return replace(
        bill,
        line_items=(*bill.line_items, item) if difference else bill.line_items,
        revision=bill.revision + adjustment.times,
        updated_on=adjustment.adjusted_on,
    )


def _correction(utility: Utility, account: AccountNumber, bill: Bill) -> Adjustment:
    percent = 1 + draw(8, utility.name, account, bill.number, "correction")
    lower = draw(2, utility.name, account, bill.number, "direction")
    difference = bill.amount_minor * percent // 100
    return Adjustment(bill.amount_minor + (-difference if lower else difference), bill.statement_date + CORRECTED_AFTER)


def _copy(bill: Bill) -> Bill:
    return replace(bill, copy=True, line_items=tuple(replace(item, name=f"{item.name} ") for item in bill.line_items))


def _whole(amount: Decimal) -> int:
    return int(amount.quantize(Decimal(1), ROUND_HALF_EVEN))
