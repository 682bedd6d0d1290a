"""What the aggregator tells of bills: events, as CloudEvents JSON that waits in the bill's outbox."""

from typing import TypedDict

from functions.bill_aggregation_service.model import Bill
from functions.bill_aggregation_service.payment import payment_of
from functions.contracts.events.bills import BillCreatedV1, BillPaidV1, BillUpdatedV1
from functions.contracts.events.envelope import wrap


class Told(TypedDict):
    """What all events of a bill tell."""

    user_id: str
    link_id: str
    bill_id: str
    provider_id: str
    service_type: str
    version: int
    amount_minor: int
    currency: str
    due_date: str | None


def created_event(bill: Bill) -> str:
    return wrap(BillCreatedV1(**told(bill)), bill.updated_at).to_json()


def updated_event(bill: Bill) -> str:
    return wrap(BillUpdatedV1(**told(bill)), bill.updated_at).to_json()


def paid_event(bill: Bill, said_by: str) -> str:
    payment = payment_of(bill.content, bill.mark)
    data = BillPaidV1(
        **told(bill),
        paid_at=payment.paid_at.isoformat() if payment.paid_at else None,
        paid_amount_minor=payment.paid_amount_minor,
        said_by=said_by,
    )
    return wrap(data, bill.updated_at).to_json()


def told(bill: Bill) -> Told:
    content = bill.content
    return {
        "user_id": bill.user_id,
        "link_id": bill.link_id,
        "bill_id": bill.bill_id,
        "provider_id": bill.provider_id,
        "service_type": content.service_type,
        "version": bill.version,
        "amount_minor": content.amount_minor,
        "currency": content.currency,
        "due_date": content.due_date.isoformat() if content.due_date else None,
    }
