"""How bills, versions and links are spelt in BillsTable; `table.py` says which keys they have."""

from datetime import datetime

import msgspec
from pynamodb.attributes import BooleanAttribute, NumberAttribute, TTLAttribute, UnicodeAttribute
from pynamodb.indexes import AllProjection, GlobalSecondaryIndex, KeysOnlyProjection, LocalSecondaryIndex
from pynamodb.models import Model

from functions.bill_aggregation_service.model import (
    Bill,
    BillContent,
    BillId,
    Link,
    LinkId,
    Mark,
    Outcome,
    ProviderId,
    QualityNote,
    Reminded,
    Source,
    UserId,
)
from functions.bill_aggregation_service.rules import canonical_json
from functions.common.clock import parse_rfc3339, rfc3339
from functions.common.outbox import OUTBOX_SHARDS, Pending
from functions.common.table import OutboxMixin, shard_of

BILLS, LINKS, VERSIONS = "bill#", "link#", "ver#"
REMIND_SHARDS = 8


class ByDue(LocalSecondaryIndex["Item"]):  # type: ignore[no-untyped-call]  # PynamoDB's own __init_subclass__
    class Meta:
        index_name = "by_due"
        projection = AllProjection()

    user_id = UnicodeAttribute(hash_key=True)
    sort_key = UnicodeAttribute(range_key=True)


class Unsent(GlobalSecondaryIndex["Item"]):  # type: ignore[no-untyped-call]  # as above
    class Meta:
        index_name = "outbox"
        projection = AllProjection()

    outbox_shard = NumberAttribute(hash_key=True)
    updated_at = UnicodeAttribute(range_key=True)


class ByReminder(GlobalSecondaryIndex["Item"]):  # type: ignore[no-untyped-call]  # as above
    """Sparse: bills whose due date something may be said of."""

    class Meta:
        index_name = "by_reminder"
        projection = KeysOnlyProjection()

    remind_shard = NumberAttribute(hash_key=True)
    remind_at = UnicodeAttribute(range_key=True)


class Item(OutboxMixin, Model):
    """A bill, a version or a link's record: one class, since one query reads them together."""

    class Meta:
        table_name = "unbound"
        billing_mode = "PAY_PER_REQUEST"
        connect_timeout_seconds = 2
        read_timeout_seconds = 5
        max_pool_connections = 64

    by_due = ByDue()
    unsent = Unsent()
    by_reminder = ByReminder()

    user_id = UnicodeAttribute(hash_key=True)
    sk = UnicodeAttribute(range_key=True)
    sort_key = UnicodeAttribute(null=True)
    link_id = UnicodeAttribute()
    provider_id = UnicodeAttribute()
    as_of = UnicodeAttribute(null=True)
    # bills and versions
    bill_id = UnicodeAttribute(null=True)
    content = UnicodeAttribute(null=True)
    content_hash = UnicodeAttribute(null=True)
    source = UnicodeAttribute(null=True)
    version = NumberAttribute(null=True)
    supersedes = NumberAttribute(null=True)
    discovered_at = UnicodeAttribute(null=True)
    versioned_at = UnicodeAttribute(null=True)
    # bills alone
    mark = UnicodeAttribute(null=True)
    notes = UnicodeAttribute(null=True)
    edition = NumberAttribute(null=True)
    remind_shard = NumberAttribute(null=True)
    remind_at = UnicodeAttribute(null=True)
    reminded = UnicodeAttribute(null=True)
    # links
    provider_name = UnicodeAttribute(null=True)
    time_zone = UnicodeAttribute(null=True)
    state = UnicodeAttribute(null=True)
    status_detail = UnicodeAttribute(null=True)
    link_version = NumberAttribute(null=True)
    outcome = UnicodeAttribute(null=True)
    error_code = UnicodeAttribute(null=True)
    retryable = BooleanAttribute(null=True)
    attempted_at = UnicodeAttribute(null=True)
    bill_count = NumberAttribute(null=True)
    refused_count = NumberAttribute(null=True)
    answer_digest = UnicodeAttribute(null=True)
    revision = NumberAttribute(null=True)
    gone = BooleanAttribute(null=True)
    # the mark of a deleted user
    expires_at = TTLAttribute(null=True)


def row_of(item: Item) -> Link | Bill:
    return link_of(item) if item.sk.startswith(LINKS) else bill_of(item)


def bill_of(item: Item) -> Bill:
    return Bill(
        bill_id=BillId(item.bill_id),
        user_id=UserId(item.user_id),
        link_id=LinkId(item.link_id),
        provider_id=ProviderId(item.provider_id),
        content=msgspec.json.decode(item.content, type=BillContent),
        content_hash=item.content_hash,
        source=Source(item.source),
        version=int(item.version),
        supersedes=_whole(item.supersedes),
        as_of=parse_rfc3339(item.as_of or ""),
        discovered_at=parse_rfc3339(item.discovered_at),
        versioned_at=parse_rfc3339(item.versioned_at or item.updated_at),
        updated_at=parse_rfc3339(item.updated_at),
        mark=msgspec.json.decode(item.mark, type=Mark) if item.mark else Mark(),
        notes=msgspec.json.decode(item.notes, type=tuple[QualityNote, ...]) if item.notes else (),
        edition=int(item.edition or 0),
        unsent=tuple(item.outbox or ()),
        remind_at=_instant(item.remind_at),
        reminded=msgspec.json.decode(item.reminded, type=Reminded) if item.reminded else Reminded(),
    )


def version_item(bill: Bill) -> Item:
    """Its events, if any wait, and the user's mark go on with the version that takes its place."""
    return Item(
        bill.user_id,
        f"{VERSIONS}{bill.key}#{bill.version:05}",
        link_id=bill.link_id,
        provider_id=bill.provider_id,
        bill_id=bill.bill_id,
        content=canonical_json(bill.content),
        content_hash=bill.content_hash,
        source=bill.source.value,
        version=bill.version,
        supersedes=bill.supersedes,
        as_of=rfc3339(bill.as_of),
        discovered_at=rfc3339(bill.discovered_at),
        versioned_at=rfc3339(bill.versioned_at),
        updated_at=rfc3339(bill.updated_at),
    )


def bill_item(bill: Bill) -> Item:
    item = version_item(bill)
    item.sk, item.sort_key = BILLS + bill.key, f"b#{bill.position}"
    item.edition = bill.edition
    item.mark = msgspec.json.encode(bill.mark).decode() if bill.mark.revision else None
    item.notes = msgspec.json.encode(bill.notes).decode() if bill.notes else None
    item.reminded = msgspec.json.encode(bill.reminded).decode() if bill.reminded.version else None
    if bill.remind_at:
        item.remind_at = rfc3339(bill.remind_at)
        item.remind_shard = shard_of(bill.key, REMIND_SHARDS)
    if bill.unsent:
        item.outbox = list(bill.unsent)
        item.outbox_shard = shard_of(bill.key, OUTBOX_SHARDS)
    return item


def link_of(item: Item) -> Link:
    return Link(
        user_id=UserId(item.user_id),
        link_id=LinkId(item.link_id),
        provider_id=ProviderId(item.provider_id),
        provider_name=item.provider_name or "",
        time_zone=item.time_zone or "",
        state=item.state or "",
        status_detail=item.status_detail or "",
        link_version=int(item.link_version),
        outcome=Outcome(item.outcome or ""),
        error_code=item.error_code or "",
        retryable=bool(item.retryable),
        as_of=_instant(item.as_of),
        attempted_at=_instant(item.attempted_at),
        bill_count=int(item.bill_count),
        refused_count=int(item.refused_count or 0),
        answer_digest=item.answer_digest or "",
        revision=int(item.revision),
        gone=bool(item.gone),
    )


def link_item(link: Link, now: str) -> Item:
    return Item(
        link.user_id,
        LINKS + link.link_id,
        sort_key=None if link.gone else f"l#{link.link_id}",
        link_id=link.link_id,
        provider_id=link.provider_id,
        provider_name=link.provider_name or None,
        time_zone=link.time_zone or None,
        state=link.state or None,
        status_detail=link.status_detail or None,
        link_version=link.link_version,
        outcome=link.outcome.value or None,
        error_code=link.error_code or None,
        retryable=link.retryable,
        as_of=rfc3339(link.as_of) if link.as_of else None,
        attempted_at=rfc3339(link.attempted_at) if link.attempted_at else None,
        bill_count=link.bill_count,
        refused_count=link.refused_count or None,
        answer_digest=link.answer_digest or None,
        revision=link.revision,
        gone=link.gone,
        updated_at=now,
    )


def _whole(number: float | None) -> int | None:
    return None if number is None else int(number)


def _instant(text: str | None) -> datetime | None:
    return parse_rfc3339(text) if text else None


def pending_of(bill: Bill) -> Pending:
    return Pending((bill.user_id, BILLS + bill.key), bill.edition, bill.unsent)


def waiting_of(item: Item) -> Pending:
    return Pending((item.user_id, item.sk), int(item.edition or 0), tuple(item.outbox or ()))
