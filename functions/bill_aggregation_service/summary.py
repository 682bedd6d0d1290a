"""Sums over bills by month, provider or service type. Currencies are never added up: each has its own row."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from functions.bill_aggregation_service.listing import ListedBill
from functions.bill_aggregation_service.model import BillType, By

MONTHS = 12


@dataclass(frozen=True, slots=True)
class Sum:
    key: str
    currency: str
    count: int
    amount_minor: int
    paid_minor: int
    outstanding_minor: int


def summed(bills: Iterable[ListedBill], by: By) -> tuple[Sum, ...]:
    """By key, then currency. Notices and cancelled bills ask for nothing and do not count; a month is that of the day
    that lists go by."""
    groups: defaultdict[tuple[str, str], list[ListedBill]] = defaultdict(list)
    for listed in bills:
        content = listed.bill.content
        if content.type is not BillType.NOTICE and not content.cancelled:
            groups[_key(listed, by), content.currency].append(listed)
    return tuple(
        Sum(
            key,
            currency,
            len(group),
            sum(listed.bill.content.amount_minor for listed in group),
            sum(listed.payment.paid_minor for listed in group),
            sum(listed.payment.outstanding_minor for listed in group),
        )
        for (key, currency), group in sorted(groups.items())
    )


def a_year_until(day: date) -> date:
    """First day of the month with which twelve months end in that of `day`."""
    months = max(date.min.year * 12, day.year * 12 + day.month - MONTHS)
    return date(months // 12, months % 12 + 1, 1)


def _key(listed: ListedBill, by: By) -> str:
    match by:
        case By.MONTH:
            return listed.bill.content.sorted_on.isoformat()[:7]
        case By.PROVIDER:
            return listed.bill.provider_id
        case By.SERVICE_TYPE:
            return listed.bill.content.service_type
