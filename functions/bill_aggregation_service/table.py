"""BillsTable: a user's bills, their older versions and the record of each link, in one partition.

    sk                        sort_key (LSI by_due)                          what
    bill#<key>                b#<day>#<period start>#<key>                   a bill in its present version
    ver#<key>#<version, 5>    –                                              a version before
    link#<link_id>            l#<link_id>; none once the account is gone     a link's record, or its tombstone
    user#gone                 –                                              the user was deleted; ends by `expires_at`

One descending query of by_due finds all links, then the newest bills. Writes to a link and its bills are made one after
the other by the link's `revision`. A bill's content is kept as the canonical JSON that its hash is made of.
"""

import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta

import msgspec
from pynamodb.attributes import BooleanAttribute, NumberAttribute, TTLAttribute, UnicodeAttribute
from pynamodb.exceptions import DoesNotExist, PynamoDBException, TransactWriteError
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action
from pynamodb.indexes import AllProjection, GlobalSecondaryIndex, LocalSecondaryIndex
from pynamodb.models import Model
from pynamodb.transactions import TransactWrite

from functions.bill_aggregation_service.model import (
    Bill,
    BillContent,
    BillId,
    BillKey,
    Criteria,
    Link,
    LinkId,
    Outcome,
    ProviderId,
    Source,
    UserId,
)
from functions.bill_aggregation_service.refresh import LinkMoved, UserGone
from functions.bill_aggregation_service.rules import canonical_json
from functions.bill_aggregation_service.upsert import Change
from functions.common.clock import Clock, parse_rfc3339, rfc3339
from functions.common.outbox import OUTBOX_SHARDS, Pending
from functions.common.personal import GONE, GONE_LIFETIME, Record
from functions.common.table import ConditionFailed, OutboxMixin, bind, code_of, translated

BILLS, LINKS, VERSIONS = "bill#", "link#", "ver#"
KINDS = {BILLS: "bills", LINKS: "links", VERSIONS: "versions"}
"""What an export calls them."""
AFTER_ALL = "~"
"""Sorts behind every character of a sort key."""
MAX_ACTIONS = 100
OUTBOX_GRACE = timedelta(seconds=60)
"""As long as the writer itself is given to send its events."""
PAGE_MARGIN = 25
HELD_PAGE = 500
CONFLICT = ("TransactionConflict", "TransactionConflictException")


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
    revision = NumberAttribute(null=True)
    gone = BooleanAttribute(null=True)
    # the mark of a deleted user
    expires_at = TTLAttribute(null=True)


class BillTable:
    def __init__(self, table_name: str, clock: Clock) -> None:
        self._items = bind(Item, table_name)
        self._clock = clock

    # --- links ---

    def link(self, user_id: UserId, link_id: LinkId) -> Link | None:
        with translated():
            try:
                return _link(self._items.get(user_id, LINKS + link_id, consistent_read=True))
            except DoesNotExist:
                return None

    def links(self, user_id: UserId) -> Sequence[Link]:
        with translated():
            return [_link(item) for item in self._descending(user_id, Item.sort_key.startswith("l#"), 100)]

    # --- bills ---

    def bills(self, user_id: UserId, keys: Collection[BillKey]) -> Mapping[BillKey, Bill]:
        with translated():
            found = self._items.batch_get([(user_id, BILLS + key) for key in keys], consistent_read=True)
            return {bill.key: bill for bill in map(_bill, found)}

    def save(self, before: Link, after: Link, changes: Sequence[Change] = ()) -> Sequence[Pending]:
        """What does not fit one transaction is written in several; the link tells of the attempt with the last."""
        chunks = list(_chunks(changes)) or [()]
        written = before
        for number, chunk in enumerate(chunks, 1):
            created = sum(change.replaced is None for change in chunk)
            halfway = replace(before, provider_id=after.provider_id, bill_count=written.bill_count + created)
            following = replace(after if number == len(chunks) else halfway, revision=written.revision + 1)
            try:
                with _moved():
                    self._write(written, following, chunk)
            except LinkMoved as error:
                if not written.revision and self._is_gone(written.user_id):
                    raise UserGone from error
                raise
            written = following
        return [_pending(change.bill) for change in changes]

    def newest_first(self, user_id: UserId, criteria: Criteria) -> Iterator[Link | Bill]:
        low = f"b#{criteria.since or ''}"
        ends = [f"b#{criteria.until}{AFTER_ALL}"] if criteria.until else []
        ends += [f"b#{criteria.after}"] if criteria.after else []
        page = criteria.limit + PAGE_MARGIN
        with translated():
            if not ends:
                # Links sort behind bills: descending, one query has both.
                yield from map(_row, self._descending(user_id, Item.sort_key >= low, page))
                return
            yield from self.links(user_id)
            if low > min(ends):
                return
            for item in self._descending(user_id, Item.sort_key.between(low, min(ends)), page):
                if item.sort_key != f"b#{criteria.after}":
                    yield _bill(item)

    def delete_bills(self, user_id: UserId, link_id: LinkId) -> int:
        deleted = 0
        with translated(), self._items.batch_write() as batch:
            for prefix in (BILLS, VERSIONS):
                for item in self._items.query(
                    user_id, Item.sk.startswith(prefix), Item.link_id == link_id, consistent_read=True
                ):
                    batch.delete(item)
                    deleted += 1
        return deleted

    # --- all of a user ---

    def held(self, user_id: UserId, after: str) -> Iterator[Record]:
        later = Item.sk > after if after else None
        with translated():
            for item in self._items.query(user_id, later, consistent_read=True, page_size=HELD_PAGE):
                if item.sk != GONE:
                    yield Record(item.sk, KINDS[item.sk.partition("#")[0] + "#"], _row(item))

    def mark_gone(self, user_id: UserId) -> None:
        ends = self._clock.now() + GONE_LIFETIME
        try:
            with translated():
                self._items(user_id, GONE).update([Item.expires_at.set(ends)], condition=Item.sk.does_not_exist())
        except ConditionFailed:
            return  # marked by a run before

    def delete(self, user_id: UserId, limit: int) -> int:
        """Links first: without its link's record, no bill can be written any more."""
        links = self._delete(user_id, Item.sk.startswith(LINKS), limit)
        return links + self._delete(user_id, None, limit - links)

    def _delete(self, user_id: UserId, which: Condition | None, limit: int) -> int:
        if not limit:
            return 0
        with translated():
            found = self._items.query(
                user_id, which, consistent_read=True, attributes_to_get=["user_id", "sk"], limit=limit + 1
            )
            items = [item for item in found if item.sk != GONE][:limit]
            with self._items.batch_write() as batch:
                for item in items:
                    batch.delete(item)
        return len(items)

    def _is_gone(self, user_id: UserId) -> bool:
        with translated():
            return any(self._items.query(user_id, Item.sk == GONE, consistent_read=True))

    # --- outbox ---

    def pending_events(self, limit: int) -> Sequence[Pending]:
        cutoff = rfc3339(self._clock.now() - OUTBOX_GRACE)
        found: list[Pending] = []
        for shard in range(OUTBOX_SHARDS):
            if len(found) >= limit:
                break
            with translated():
                waiting = self._items.unsent.query(shard, Item.updated_at < cutoff, limit=limit - len(found))
                found += [_waiting(item) for item in waiting]
        return found

    def clear_outbox(self, pending: Pending) -> None:
        user_id, sk = pending.key
        forget: list[Action] = [Item.outbox.remove(), Item.outbox_shard.remove()]
        try:
            with _moved():
                Item(user_id, sk).update(actions=forget, condition=Item.version == pending.version)
        except LinkMoved:
            # A newer version carries these events along.
            return

    # ---

    def _write(self, before: Link, after: Link, changes: Sequence[Change]) -> None:
        now = rfc3339(self._clock.now())
        stands = Item.revision == before.revision if before.revision else Item.sk.does_not_exist()
        if before.revision and not changes:
            _link_item(after, now).save(condition=stands)
            return
        # The model's own connection: a second one would cost a second botocore client.
        connection = self._items._get_connection().connection  # noqa: SLF001
        with TransactWrite(connection=connection) as transaction:
            if not before.revision:
                # What is there already is deleted with its user, and its revision with it; only a first write of a
                # link needs the mark.
                transaction.condition_check(self._items, before.user_id, GONE, condition=Item.sk.does_not_exist())
            transaction.save(_link_item(after, now), condition=stands)
            for change in changes:
                transaction.save(_bill_item(change.bill), condition=_still(change.replaced))
                if change.replaced:
                    transaction.save(_version_item(change.replaced), condition=Item.sk.does_not_exist())

    def _descending(self, user_id: UserId, where: Condition, page: int) -> Iterator[Item]:
        return self._items.by_due.query(user_id, where, consistent_read=True, scan_index_forward=False, page_size=page)


@contextmanager
def _moved() -> Iterator[None]:
    """A write that came too late, or at the same time as another, becomes LinkMoved; other errors the platform's."""
    try:
        with translated():
            try:
                yield
            except PynamoDBException as error:
                reasons = error.cancellation_reasons if isinstance(error, TransactWriteError) else []
                if {code_of(error), *(reason.code for reason in reasons if reason)}.isdisjoint(CONFLICT):
                    raise
                raise LinkMoved from error
    except ConditionFailed as error:
        raise LinkMoved from error


def _chunks(changes: Sequence[Change]) -> Iterator[Sequence[Change]]:
    """As many changes as fit a transaction beside the link's record and the mark; a new version takes two places."""
    chunk: list[Change] = []
    places = 2
    for change in changes:
        size = 2 if change.replaced else 1
        if places + size > MAX_ACTIONS:
            yield chunk
            chunk, places = [], 2
        chunk.append(change)
        places += size
    if chunk:
        yield chunk


def _still(replaced: Bill | None) -> Condition:
    return Item.version == replaced.version if replaced else Item.sk.does_not_exist()


def _row(item: Item) -> Link | Bill:
    return _link(item) if item.sk.startswith(LINKS) else _bill(item)


def _bill(item: Item) -> Bill:
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
        updated_at=parse_rfc3339(item.updated_at),
        unsent=tuple(item.outbox or ()),
    )


def _version_item(bill: Bill) -> Item:
    """Its events, if any wait, go on with the version that takes its place."""
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
        updated_at=rfc3339(bill.updated_at),
    )


def _bill_item(bill: Bill) -> Item:
    item = _version_item(bill)
    item.sk, item.sort_key = BILLS + bill.key, f"b#{bill.position}"
    if bill.unsent:
        item.outbox = list(bill.unsent)
        item.outbox_shard = zlib.crc32(bill.key.encode()) % OUTBOX_SHARDS
    return item


def _link(item: Item) -> Link:
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
        revision=int(item.revision),
        gone=bool(item.gone),
    )


def _link_item(link: Link, now: str) -> Item:
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
        revision=link.revision,
        gone=link.gone,
        updated_at=now,
    )


def _whole(number: float | None) -> int | None:
    return None if number is None else int(number)


def _instant(text: str | None) -> datetime | None:
    return parse_rfc3339(text) if text else None


def _pending(bill: Bill) -> Pending:
    return Pending((bill.user_id, BILLS + bill.key), bill.version, bill.unsent)


def _waiting(item: Item) -> Pending:
    return Pending((item.user_id, item.sk), int(item.version or 0), tuple(item.outbox or ()))
