"""What the user says of a bill's payment: paid, partly paid, not paid, and a note."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta, timezone

from functions.bill_aggregation_service.bill_events import paid_event
from functions.bill_aggregation_service.model import Bill, Mark
from functions.bill_aggregation_service.payment import is_paid
from functions.bill_aggregation_service.watching import watched
from functions.common.errors import FieldError, InvalidInput

PAYMENT = ("paid_at", "paid_amount_minor")
EARLIEST_ZONE = timezone(timedelta(hours=14))
"""Where a day comes first."""


def marked(bill: Bill, said: Mapping[str, date | int | str | None], now: datetime) -> Bill:
    """The bill with what was `said`: what is not named stays, None is taken back. A day without an amount stands for
    all that the bill asks for on the day it is said; so should the bill grow later, the rest is open. The same bill
    when nothing changes. Raises InvalidInput for a day that has come nowhere yet: where the user is, nobody knows here,
    and around midnight it may be another day than at the utility."""
    mark = replace(bill.mark, **said)  # type: ignore[arg-type]  # names and types are those of MarkBill
    if mark.paid_at and mark.paid_at > now.astimezone(EARLIEST_ZONE).date():
        raise InvalidInput.of(FieldError("paid_at", "in_future", "A payment is marked once it is made."))
    mark = _covering(mark, bill, paid_anew=any(name in said for name in PAYMENT))
    if mark == bill.mark:
        return bill
    changed = replace(bill, mark=replace(mark, revision=bill.mark.revision + 1), updated_at=now)
    if is_paid(changed.content, changed.mark) and not is_paid(bill.content, bill.mark):
        changed = replace(changed, unsent=(*bill.unsent, paid_event(changed, "user")))
    return watched(changed, now)


def _covering(mark: Mark, bill: Bill, *, paid_anew: bool) -> Mark:
    """With what a day without an amount stands for."""
    if mark.paid_at is None or mark.paid_amount_minor is not None:
        return replace(mark, covered_minor=None)
    return replace(mark, covered_minor=max(0, bill.content.amount_minor)) if paid_anew else mark
