"""Queries, bodies and answers of the bill routes; a bill itself is in `bill_reply.py`."""

import datetime as dt
import functools
import hashlib
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType, structs

from functions.bill_aggregation_service.bill_filter import BillFilter, in_order
from functions.bill_aggregation_service.bill_reply import BillReply, bill_reply
from functions.bill_aggregation_service.model import By, Criteria, Freshness
from functions.common.clock import rfc3339

if TYPE_CHECKING:
    from functions.bill_aggregation_service.listing import BillPage, SourceRow
    from functions.bill_aggregation_service.service import BillDetail, Said, Summary

MAX_MINOR = 10**15
MAX_NOTE = 500


class BillsQuery(BillFilter, kw_only=True, frozen=True):
    limit: Annotated[int, Meta(ge=1, le=200)] = 50
    cursor: Annotated[str, Meta(min_length=1, max_length=512)] | None = None
    refresh: bool = False

    @property
    def name(self) -> str:
        """The same for the same question, however it was put."""
        return _name(self)

    def criteria(self) -> Criteria:
        """Raises InvalidInput."""
        return self.asked(self.limit, self.cursor or "")


class SummaryQuery(Struct, kw_only=True, frozen=True, omit_defaults=True, rename={"since": "from", "until": "to"}):
    by: By = By.MONTH
    since: dt.date | None = None
    until: dt.date | None = None

    @property
    def name(self) -> str:
        return "summary:" + _name(self)

    def days(self) -> tuple[dt.date | None, dt.date | None]:
        """Raises InvalidInput."""
        in_order(self.since, self.until)
        return self.since, self.until


class MarkBill(Struct, kw_only=True, frozen=True):
    """What is left out stays as it is; null takes it back. A day without an amount: all was paid."""

    paid_at: dt.date | UnsetType | None = UNSET
    paid_amount_minor: Annotated[int, Meta(ge=1, le=MAX_MINOR)] | UnsetType | None = UNSET
    note: Annotated[str, Meta(min_length=1, max_length=MAX_NOTE)] | UnsetType | None = UNSET

    def said(self) -> "Said":
        return {name: value for name, value in structs.asdict(self).items() if value is not UNSET}


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


class ChangeReply(Struct, kw_only=True):
    field: str
    before: Any  # Any: JSON of the field's own type
    after: Any


class VersionReply(Struct, kw_only=True):
    version: int
    as_of: str
    discovered_at: str
    changes: list[ChangeReply]
    """Against the version before; none of the first one."""


class BillDetailReply(BillReply, kw_only=True):
    versions: list[VersionReply]
    """Newest first, the present one among them; at most 50."""


class SumReply(Struct, kw_only=True):
    key: str
    currency: str
    count: int
    amount_minor: int
    paid_minor: int
    outstanding_minor: int


class SummaryReply(Struct, kw_only=True, rename={"since": "from", "until": "to"}):
    by: By
    since: dt.date
    until: dt.date | None
    items: list[SumReply]
    """By key, then currency."""


def bills_reply(page: "BillPage") -> BillsReply:
    return BillsReply(
        items=[bill_reply(listed) for listed in page.items],
        sources=[_source(row) for row in page.sources],
        next_cursor=page.next_cursor,
    )


def detail_reply(detail: "BillDetail") -> BillDetailReply:
    versions = [
        VersionReply(
            version=version.version,
            as_of=rfc3339(version.as_of),
            discovered_at=rfc3339(version.discovered_at),
            changes=[ChangeReply(field=c.field, before=c.before, after=c.after) for c in version.changes],
        )
        for version in detail.versions
    ]
    return BillDetailReply(**structs.asdict(bill_reply(detail.listed)), versions=versions)


def summary_reply(summary: "Summary", by: By) -> SummaryReply:
    items = [
        SumReply(
            key=row.key,
            currency=row.currency,
            count=row.count,
            amount_minor=row.amount_minor,
            paid_minor=row.paid_minor,
            outstanding_minor=row.outstanding_minor,
        )
        for row in summary.items
    ]
    return SummaryReply(by=by, since=summary.since, until=summary.until, items=items)


def _source(row: "SourceRow") -> SourceReply:
    return SourceReply(
        link_id=row.link_id,
        provider_id=row.provider_id,
        outcome=row.outcome,
        as_of=rfc3339(row.as_of) if row.as_of else None,
        error=ErrorReply(code=row.error.code, retryable=row.error.retryable) if row.error else None,
    )


@functools.lru_cache(maxsize=64)
def _name(query: BillsQuery | SummaryQuery) -> str:
    return hashlib.blake2b(msgspec.json.encode(query), digest_size=12).hexdigest()
