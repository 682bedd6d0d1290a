"""How the payment of a bill stands, by what the utility and the user say; and the status that follows from it."""

from dataclasses import dataclass
from datetime import date, timedelta

from functions.bill_aggregation_service.model import BillContent, Mark, ProviderStatus, Status


@dataclass(frozen=True, slots=True)
class Payment:
    paid_at: date | None
    paid_amount_minor: int | None
    """What was said to be paid; None when nobody named an amount."""
    paid_minor: int
    """What counts as paid."""
    outstanding_minor: int
    settled: bool
    """Nothing is left to pay."""


def payment_of(content: BillContent, mark: Mark) -> Payment:
    """The utility's word that all is paid holds. Else the larger of what it and the user say was paid counts: payments
    add up at the utility, and the user may know of one that has not got there. A credit and a cancelled bill ask for
    nothing. Never guessed: what was paid when nobody says so is 0."""
    said = _said(content, mark)
    paid_at, amount = said
    if content.cancelled or content.amount_minor <= 0:
        return Payment(paid_at, amount, amount or 0, 0, settled=True)
    if content.provider_status is ProviderStatus.PAID:
        return Payment(paid_at, amount, content.amount_minor if amount is None else amount, 0, settled=True)
    left = max(0, content.amount_minor - (amount or 0))
    return Payment(paid_at, amount, amount or 0, left, settled=left == 0)


def is_paid(content: BillContent, mark: Mark) -> bool:
    """Whether somebody has paid, which of a credit or a cancelled bill cannot be said."""
    return not content.cancelled and content.amount_minor > 0 and payment_of(content, mark).settled


def status_of(content: BillContent, mark: Mark, today: date, due_soon_days: int) -> Status:
    """`today` is the day in the provider's time zone. A bill without a due date is never late: it stays `upcoming`
    until somebody says that it is paid, and its note `due_date_missing` says why."""
    if payment_of(content, mark).settled:
        return Status.PAID
    if content.due_date is None or content.due_date > today + timedelta(due_soon_days):
        return Status.UPCOMING
    return Status.OVERDUE if content.due_date < today else Status.DUE_SOON


def _said(content: BillContent, mark: Mark) -> tuple[date | None, int | None]:
    """The payment that counts, its day and amount: the user's where it is the larger, or as large."""
    theirs, own = content.paid_amount_minor, mark.amount_minor
    if own is not None and (theirs is None or own >= theirs):
        return mark.paid_at or content.paid_at, own
    return content.paid_at or mark.paid_at, theirs
