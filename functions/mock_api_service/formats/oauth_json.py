"""Northwind Power: camelCase JSON, amounts and quantities as decimal text, newest bill first, pages by cursor.

`documentUrl` is a path below the utility's base URL. What is said twice has one more zero behind its amounts.
"""

from datetime import date, timedelta

from msgspec import UNSET, Struct, UnsetType

from functions.mock_api_service.formats.amounts import major_units
from functions.mock_api_service.model import AccountNumber, Bill, LineItem, Reason, Refusal
from functions.mock_api_service.service import BillPage

MAX_LIMIT = 200


class TokenReply(Struct, kw_only=True):
    access_token: str
    token_type: str = "Bearer"  # noqa: S105  # RFC 6749's word
    expires_in: int


class ElectricityCharge(Struct, kw_only=True, rename="camel"):
    description: str
    category: str
    amount: str
    quantity: str | UnsetType = UNSET
    unit_of_measure: str | UnsetType = UNSET
    unit_price: str | UnsetType = UNSET


class ElectricityUsage(Struct, kw_only=True, rename="camel"):
    quantity: str
    unit_of_measure: str
    meter_number: str


class ElectricityBill(Struct, kw_only=True, rename="camel"):
    bill_id: str
    revision: int
    issued_on: date
    due_on: date | None
    period_start: date
    period_end: date
    total_amount: str
    currency: str
    usage: ElectricityUsage
    tariff_code: str
    charges: list[ElectricityCharge]
    document_url: str


class Page(Struct, kw_only=True, rename="camel"):
    limit: int
    next_cursor: str | None


class ElectricityBills(Struct, kw_only=True, rename="camel"):
    account_number: str
    paid_through: date | None
    bills: list[ElectricityBill]
    page: Page


def token_reply(token: str, lifetime: timedelta) -> TokenReply:
    return TokenReply(access_token=token, expires_in=int(lifetime.total_seconds()))


def read_limit(text: str) -> int | None:
    """The page size asked for; None when nothing is said. Raises Refusal."""
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 3 and 1 <= int(text) <= MAX_LIMIT):
        raise Refusal(Reason.MALFORMED, f"limit must be a number from 1 to {MAX_LIMIT}")
    return int(text)


def bills_page(page: BillPage) -> ElectricityBills:
    return ElectricityBills(
        account_number=page.account,
        paid_through=page.paid_through,
        bills=[_electricity_bill(page.account, bill) for bill in page.bills],
        page=Page(limit=page.limit, next_cursor=page.next_cursor),
    )


def _electricity_bill(account: AccountNumber, bill: Bill) -> ElectricityBill:
    return ElectricityBill(
        bill_id=bill.number,
        revision=bill.revision,
        issued_on=bill.statement_date,
        due_on=bill.due_date,
        period_start=bill.period_start,
        period_end=bill.period_end,
        total_amount=_amount(bill.amount_minor, bill),
        currency=bill.currency,
        usage=ElectricityUsage(quantity=str(bill.volume), unit_of_measure=bill.unit, meter_number=bill.meter),
        tariff_code=bill.tariff,
        charges=[_electricity_charge(item, bill) for item in bill.line_items],
        document_url=f"/v1/accounts/{account}/bills/{bill.number}/document.pdf",
    )


def _electricity_charge(item: LineItem, bill: Bill) -> ElectricityCharge:
    metered = item.volume is not None
    return ElectricityCharge(
        description=item.name,
        category=item.kind.upper(),
        amount=_amount(item.amount_minor, bill),
        quantity=str(item.volume) if metered else UNSET,
        unit_of_measure=bill.unit if metered else UNSET,
        unit_price=str(item.rate) if metered else UNSET,
    )


def _amount(minor: int, bill: Bill) -> str:
    return major_units(minor) + ("0" if bill.copy else "")
