"""Query and answers of the bill routes. Amounts are integers in minor units; quantities and rates are decimal text."""

import datetime as dt
import hashlib
from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta, Struct

from functions.bill_aggregation_service.model import (
    Bill,
    BillType,
    Criteria,
    Freshness,
    LineItem,
    LinkId,
    ProviderId,
    ProviderStatus,
    QualityNote,
    Source,
    Status,
    Usage,
)
from functions.common import cursor
from functions.common.clock import rfc3339
from functions.common.errors import FieldError, InvalidInput

if TYPE_CHECKING:
    from functions.bill_aggregation_service.service import BillPage, ListedBill, SourceRow

POSITION = r"\d{4}-\d\d-\d\d#\d{4}-\d\d-\d\d#[0-9A-Z]{16}"


class BillsQuery(Struct, kw_only=True, frozen=True, omit_defaults=True, rename={"since": "from", "until": "to"}):
    """`from` and `to`: the day that the list is ordered by (due date, else statement date, else end of the period)."""

    status: Status | None = None
    link_id: Annotated[str, Meta(pattern=r"^lnk_[0-9A-HJKMNP-TV-Z]{26}$")] | None = None
    provider_id: Annotated[str, Meta(pattern=r"^prv_[a-z0-9_]{1,60}$")] | None = None
    service_type: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,39}$")] | None = None
    since: dt.date | None = None
    until: dt.date | None = None
    limit: Annotated[int, Meta(ge=1, le=200)] = 50
    cursor: Annotated[str, Meta(min_length=1, max_length=512)] | None = None
    refresh: bool = False

    @property
    def name(self) -> str:
        """The same for the same question, however it was put."""
        return hashlib.blake2b(msgspec.json.encode(self), digest_size=12).hexdigest()

    def criteria(self) -> Criteria:
        """Raises InvalidInput."""
        if self.since and self.until and self.since > self.until:
            raise InvalidInput.of(FieldError("from", "range", "This day is later than `to`."))
        return Criteria(
            status=self.status,
            link_id=LinkId(self.link_id) if self.link_id else None,
            provider_id=ProviderId(self.provider_id) if self.provider_id else None,
            service_type=self.service_type,
            since=self.since,
            until=self.until,
            limit=self.limit,
            after=_position(self.cursor) if self.cursor else "",
        )


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
    status: Status
    document_url: str | None
    source: Source
    content_hash: str
    quality_notes: tuple[QualityNote, ...]
    as_of: str
    discovered_at: str
    updated_at: str


class ErrorReply(Struct, kw_only=True):
    code: str
    retryable: bool


class SourceReply(Struct, kw_only=True):
    link_id: str
    provider_id: str
    outcome: Freshness
    as_of: str | None
    error: ErrorReply | None


class BillsReply(Struct, kw_only=True):
    items: list[BillReply]
    sources: list[SourceReply]
    next_cursor: str | None


def bills_reply(page: "BillPage") -> BillsReply:
    return BillsReply(
        items=[_bill(listed) for listed in page.items],
        sources=[_source(row) for row in page.sources],
        next_cursor=page.next_cursor,
    )


def _bill(listed: "ListedBill") -> BillReply:
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
        paid_at=content.paid_at,
        paid_amount_minor=content.paid_amount_minor,
        status=listed.status,
        document_url=content.document_url,
        source=bill.source,
        content_hash=bill.content_hash,
        quality_notes=listed.quality_notes,
        as_of=rfc3339(bill.as_of),
        discovered_at=rfc3339(bill.discovered_at),
        updated_at=rfc3339(bill.updated_at),
    )


def _source(row: "SourceRow") -> SourceReply:
    return SourceReply(
        link_id=row.link_id,
        provider_id=row.provider_id,
        outcome=row.outcome,
        as_of=rfc3339(row.as_of) if row.as_of else None,
        error=ErrorReply(code=row.error.code, retryable=row.error.retryable) if row.error else None,
    )


def _position(text: str) -> str:
    import re

    position = cursor.decode(text).get("after", "")
    if not re.fullmatch(POSITION, position, re.ASCII):
        raise InvalidInput.of(FieldError("cursor", "invalid", "This is no cursor that this list gave out."))
    return position
