"""Clearwater Utility: the "fetch bill" of BBPS (Bharat Bill Payment System) billers: ask, then poll a reference.

Amounts are minor units as text; what does not fit a field of its own stands in `tags`. An account without bills has
no current one, and its response none of that one's fields.
"""

from collections.abc import Sequence
from datetime import date

import msgspec
from msgspec import Struct

from functions.mock_api_service.model import Bill, Reason, Refusal
from functions.mock_api_service.service import Fetched, FetchState

BILLER_ID = "CLEARWATER00GBR01"
ACCOUNT_PARAM = "Account Number"
CUSTOMER = "Clearwater Customer"


class NameValue(Struct, kw_only=True):
    name: str
    value: str


class FetchRequest(Struct, kw_only=True, rename="camel"):
    """Like real billers, it overlooks fields that it does not know."""

    biller_id: str
    customer_params: list[NameValue]


class FetchAccepted(Struct, kw_only=True, rename="camel"):
    ref_id: str
    status: str = FetchState.PENDING


class AmountPart(Struct, kw_only=True):
    name: str
    type: str
    amount: str


class WaterBill(Struct, kw_only=True, rename="camel"):
    """`amount`: minor units. `billPeriod`: an ISO 8601 interval of days, both included."""

    bill_number: str
    bill_date: date
    due_date: date | None
    bill_period: str
    amount: str
    currency: str
    amount_breakup: list[AmountPart]
    tags: list[NameValue]


class BillerResponse(WaterBill, kw_only=True, rename="camel"):
    """The current bill's own fields, as BBPS has it, and the recent bills (the current one first) in `bills`."""

    customer_name: str
    bills: list[WaterBill]


class NoBills(Struct, kw_only=True, rename="camel"):
    customer_name: str
    bills: list[WaterBill] = []


class FailureReason(Struct, kw_only=True, rename="camel"):
    error_code: str
    error_message: str


class FetchReply(Struct, kw_only=True, rename="camel", omit_defaults=True):
    ref_id: str
    status: str
    biller_response: BillerResponse | NoBills | None = None
    failure_reason: FailureReason | None = None


def read_fetch_request(raw: bytes) -> str:
    """The account number asked for. Raises Refusal in the biller's own terms."""
    try:
        request = msgspec.json.decode(raw, type=FetchRequest)
    except msgspec.DecodeError as error:
        raise Refusal(Reason.MALFORMED, f"malformed request: {error}") from error
    accounts = [param.value for param in request.customer_params if param.name == ACCOUNT_PARAM]
    if request.biller_id != BILLER_ID or len(accounts) != 1:
        raise Refusal(Reason.MALFORMED, f"billerId must be {BILLER_ID}, with one customer parameter {ACCOUNT_PARAM!r}")
    return accounts[0]


def fetch_reply(ref_id: str, fetched: Fetched) -> FetchReply:
    if fetched.state is FetchState.FAILURE:
        reason = FailureReason(error_code="BFR001", error_message="Customer account not found")
        return FetchReply(ref_id=ref_id, status=fetched.state, failure_reason=reason)
    if fetched.state is FetchState.PENDING:
        return FetchReply(ref_id=ref_id, status=fetched.state)
    return FetchReply(ref_id=ref_id, status=fetched.state, biller_response=_response(fetched.bills))


def _response(bills: Sequence[Bill]) -> BillerResponse | NoBills:
    recent = [_water_bill(bill) for bill in bills]
    if not recent:
        return NoBills(customer_name=CUSTOMER)
    return BillerResponse(customer_name=CUSTOMER, bills=recent, **msgspec.structs.asdict(recent[0]))


def _water_bill(bill: Bill) -> WaterBill:
    return WaterBill(
        bill_number=bill.number,
        bill_date=bill.statement_date,
        due_date=bill.due_date,
        bill_period=f"{bill.period_start}/{bill.period_end}",
        amount=str(bill.amount_minor),
        currency=bill.currency,
        amount_breakup=[
            AmountPart(name=item.name, type=item.kind.upper(), amount=str(item.amount_minor))
            for item in bill.line_items
        ],
        tags=[
            NameValue(name="Meter Number", value=bill.meter),
            NameValue(name="Consumption", value=str(bill.volume)),
            NameValue(name="Consumption Unit", value=bill.unit),
            NameValue(name="Tariff", value=bill.tariff),
            NameValue(name="Revision", value=str(bill.revision)),
        ],
    )
