"""When a bill is to be looked at next for its due date: said with each version and each mark (`reminders.py` looks)."""

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta

from functions.bill_aggregation_service.model import Bill, BillContent, Mark
from functions.bill_aggregation_service.payment import payment_of
from functions.contracts.events.bills import BillDueSoonV1, BillOverdueV1
from functions.contracts.events.envelope import parse

DAYS_BEFORE = 60
"""Nobody can ask to hear of a bill earlier."""
DAYS_AFTER = 60
"""Nothing is said any more of a bill that is overdue for longer: many utilities never say that they were paid."""
EASTERNMOST = timedelta(hours=14)
REMINDERS = {BillDueSoonV1.TYPE, BillOverdueV1.TYPE}


def watched(bill: Bill, now: datetime) -> Bill:
    """The bill with its next look. Of one that asks for nothing any more, a reminder that has not left stays here."""
    look = first_look(bill.content, bill.mark, now)
    unsent = bill.unsent if look else tuple(event for event in bill.unsent if parse(event).type not in REMINDERS)
    return replace(bill, remind_at=look, unsent=unsent)


def first_look(content: BillContent, mark: Mark, now: datetime) -> datetime | None:
    """The earliest that anything can be due to be said, wherever the user is; None when nothing ever is."""
    due = content.due_date
    if due is None or payment_of(content, mark).settled or now.date() - timedelta(DAYS_AFTER + 1) > due:
        return None
    return max(now, datetime.combine(due - timedelta(DAYS_BEFORE), time.min, UTC) - EASTERNMOST)
