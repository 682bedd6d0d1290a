"""A bill as its readers get it: in JSON, as a row of CSV, and in an export. Amounts are integers in minor units;
quantities and rates are decimal text."""

import datetime as dt
from typing import TYPE_CHECKING

from msgspec import Struct

from functions.bill_aggregation_service.model import (
    Bill,
    BillType,
    LineItem,
    ProviderStatus,
    QualityNote,
    Source,
    Status,
    Usage,
)
from functions.common.clock import rfc3339

if TYPE_CHECKING:
    from functions.bill_aggregation_service.listing import ListedBill


class BillReply(Struct, kw_only=True):
    bill_id: str
    user_id: str
    link_id: str
    provider_id: str
    external_bill_id: str | None
    version: int
    supersedes: int | None
    """The version that this one took the place of."""
    type: BillType
    service_type: str
    statement_date: dt.date | None
    due_date: dt.date | None
    period_start: dt.date
    period_end: dt.date
    amount_minor: int
    currency: str
    total_charges_minor: int | None
    previous_balance_minor: int | None
    outstanding_balance_minor: int | None
    usage: tuple[Usage, ...]
    line_items: tuple[LineItem, ...]
    tariff: str | None
    provider_status: ProviderStatus
    paid_at: dt.date | None
    paid_amount_minor: int | None
    """What the utility or the user says, whichever is more."""
    note: str | None
    """The user's own."""
    status: Status
    document_url: str | None
    """The path below the stage where the platform gives the utility's PDF."""
    source: Source
    content_hash: str
    quality_notes: tuple[QualityNote, ...]
    as_of: str
    discovered_at: str
    updated_at: str


def document_path(bill: Bill) -> str | None:
    """None when the utility gives no document. What the utility itself says is never shown: it may open to anybody."""
    return f"/bills/{bill.bill_id}/document" if bill.content.document_url else None


def bill_reply(listed: "ListedBill") -> BillReply:
    bill: Bill = listed.bill
    content = bill.content
    return BillReply(
        bill_id=bill.bill_id,
        user_id=bill.user_id,
        link_id=bill.link_id,
        provider_id=bill.provider_id,
        external_bill_id=content.external_bill_id or None,
        version=bill.version,
        supersedes=bill.supersedes,
        type=content.type,
        service_type=content.service_type,
        statement_date=content.statement_date,
        due_date=content.due_date,
        period_start=content.period_start,
        period_end=content.period_end,
        amount_minor=content.amount_minor,
        currency=content.currency,
        total_charges_minor=content.total_charges_minor,
        previous_balance_minor=content.previous_balance_minor,
        outstanding_balance_minor=content.outstanding_balance_minor,
        usage=content.usage,
        line_items=content.line_items,
        tariff=content.tariff,
        provider_status=content.provider_status,
        paid_at=listed.payment.paid_at,
        paid_amount_minor=listed.payment.paid_amount_minor,
        note=bill.mark.note,
        status=listed.status,
        document_url=document_path(bill),
        source=bill.source,
        content_hash=bill.content_hash,
        quality_notes=listed.quality_notes,
        as_of=rfc3339(bill.as_of),
        discovered_at=rfc3339(bill.discovered_at),
        updated_at=rfc3339(bill.updated_at),
    )
