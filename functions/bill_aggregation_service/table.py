"""BillsTable: a user's bills, their older versions and the record of each link, in one partition.

    sk                        sort_key (LSI by_due)                          what
    bill#<key>                b#<day>#<period start>#<key>                   a bill in its present version
    ver#<key>#<version, 5>    –                                              a version before
    import#<import_id>        –                                              an import of an uploaded file
    link#<link_id>            l#<link_id>; none once the account is gone     a link's record, or its tombstone
    user#gone                 –                                              the user was deleted; ends by `expires_at`

One descending query of by_due finds all links, then the newest bills. Writes to a link and what its utility says of its
bills are made one after the other by the link's `revision`; a user's mark goes past it, so each write of a bill counts
its `edition` on and names the one that it read. A bill's content is kept as the JSON that its hash is made of.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, timedelta

from pynamodb.exceptions import DoesNotExist, PynamoDBException, TransactWriteError
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action
from pynamodb.transactions import TransactWrite

from functions.bill_aggregation_service.import_table import IMPORTS, import_of
from functions.bill_aggregation_service.item_table import (
    BILLS,
    LINKS,
    VERSIONS,
    Item,
    bill_item,
    bill_of,
    link_item,
    link_of,
    pending_of,
    row_of,
    version_item,
    waiting_of,
)
from functions.bill_aggregation_service.keeping import LinkMoved, UserGone
from functions.bill_aggregation_service.model import Bill, BillKey, Criteria, Link, LinkId, UserId
from functions.bill_aggregation_service.upsert import Change
from functions.common.clock import Clock, rfc3339
from functions.common.outbox import OUTBOX_SHARDS, Pending
from functions.common.personal import GONE, GONE_LIFETIME, Record
from functions.common.table import ConditionFailed, bind, code_of, translated

KINDS = {BILLS: "bills", IMPORTS: "imports", LINKS: "links", VERSIONS: "versions"}
"""What an export calls them."""
AFTER_ALL = "~"
"""Sorts behind every character of a sort key."""
MAX_ACTIONS = 100
OUTBOX_GRACE = timedelta(seconds=60)
"""As long as the writer itself is given to send its events."""
PAGE_MARGIN = 25
FILTERED_PAGE = 250
"""Rows per query where a filter leaves some out."""
HELD_PAGE = 500
CONFLICT = ("TransactionConflict", "TransactionConflictException")


class BillTable:
    def __init__(self, table_name: str, clock: Clock) -> None:
        self._items = bind(Item, table_name)
        self._clock = clock

    # --- links ---

    def link(self, user_id: UserId, link_id: LinkId) -> Link | None:
        with translated():
            try:
                return link_of(self._items.get(user_id, LINKS + link_id, consistent_read=True))
            except DoesNotExist:
                return None

    def links(self, user_id: UserId) -> Sequence[Link]:
        with translated():
            return [link_of(item) for item in self._descending(user_id, Item.sort_key.startswith("l#"), 100)]

    # --- bills ---

    def bills(self, user_id: UserId, keys: Collection[BillKey]) -> Mapping[BillKey, Bill]:
        with translated():
            found = self._items.batch_get([(user_id, BILLS + key) for key in keys], consistent_read=True)
            return {bill.key: bill for bill in map(bill_of, found)}

    def bills_between(self, user_id: UserId, link_id: LinkId, since: date, until: date) -> Sequence[Bill]:
        days = Item.sort_key.between(f"b#{since}", f"b#{until}{AFTER_ALL}")
        with translated():
            found = self._items.by_due.query(user_id, days, Item.link_id == link_id, consistent_read=True)
            return [bill_of(item) for item in found]

    def bill(self, user_id: UserId, key: BillKey) -> Bill | None:
        with translated():
            try:
                return bill_of(self._items.get(user_id, BILLS + key, consistent_read=True))
            except DoesNotExist:
                return None

    def versions_before(self, user_id: UserId, key: BillKey, limit: int) -> Sequence[Bill]:
        """Newest first, without the present one."""
        with translated():
            found = self._items.query(
                user_id, Item.sk.startswith(f"{VERSIONS}{key}#"), consistent_read=True, scan_index_forward=False,
                limit=limit,
            )  # fmt: skip
            return [bill_of(item) for item in found]

    def save_bill(self, before: Bill, after: Bill) -> Pending:
        """Raises LinkMoved when the bill does not stand as in `before` any more."""
        written = replace(after, edition=before.edition + 1)
        with _moved():
            bill_item(written).save(condition=_still(before))
        return pending_of(written)

    def save(self, before: Link, after: Link, changes: Sequence[Change] = ()) -> Sequence[Pending]:
        """What does not fit one transaction is written in several; the link tells of the attempt with the last."""
        numbered = [_numbered(change) for change in changes]
        chunks = list(_chunks(numbered)) or [()]
        written = before
        for number, chunk in enumerate(chunks, 1):
            created = sum(change.before is None for change in chunk)
            halfway = replace(
                before, provider_id=after.provider_id, bill_count=written.bill_count + created, answer_digest=""
            )
            following = replace(after if number == len(chunks) else halfway, revision=written.revision + 1)
            try:
                with _moved():
                    self._write(written, following, chunk)
            except LinkMoved as error:
                if not written.revision and self._is_gone(written.user_id):
                    raise UserGone from error
                raise
            written = following
        return [pending_of(change.bill) for change in numbered if change.bill.unsent]

    def newest_first(self, user_id: UserId, criteria: Criteria) -> Iterator[Link | Bill]:
        low = f"b#{criteria.since or ''}"
        ends = [f"b#{criteria.until}{AFTER_ALL}"] if criteria.until else []
        ends += [f"b#{criteria.after}"] if criteria.after else []
        page = FILTERED_PAGE if criteria.is_partial else criteria.limit + PAGE_MARGIN
        with translated():
            if not ends:
                # Links sort behind bills: descending, one query has both.
                yield from map(row_of, self._descending(user_id, Item.sort_key >= low, page))
                return
            yield from self.links(user_id)
            if low > min(ends):
                return
            for item in self._descending(user_id, Item.sort_key.between(low, min(ends)), page):
                if item.sort_key != f"b#{criteria.after}":
                    yield bill_of(item)

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
                    held = import_of(item) if item.sk.startswith(IMPORTS) else row_of(item)
                    yield Record(item.sk, KINDS[item.sk.partition("#")[0] + "#"], held)

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
                found += [waiting_of(item) for item in waiting]
        return found

    def clear_outbox(self, pending: Pending) -> None:
        user_id, sk = pending.key
        forget: list[Action] = [Item.outbox.remove(), Item.outbox_shard.remove()]
        try:
            with _moved():
                Item(user_id, sk).update(actions=forget, condition=_edition_is(pending.version))
        except LinkMoved:
            # A newer edition carries these events along.
            return

    # ---

    def _write(self, before: Link, after: Link, changes: Sequence[Change]) -> None:
        now = rfc3339(self._clock.now())
        stands = Item.revision == before.revision if before.revision else Item.sk.does_not_exist()
        if before.revision and not changes:
            link_item(after, now).save(condition=stands)
            return
        # The model's own connection: a second one would cost a second botocore client.
        connection = self._items._get_connection().connection  # noqa: SLF001
        with TransactWrite(connection=connection) as transaction:
            if not before.revision:
                # What is there already is deleted with its user, and its revision with it; only a first write of a
                # link needs the mark.
                transaction.condition_check(self._items, before.user_id, GONE, condition=Item.sk.does_not_exist())
            transaction.save(link_item(after, now), condition=stands)
            for change in changes:
                transaction.save(bill_item(change.bill), condition=_still(change.before))
                if change.replaced:
                    transaction.save(version_item(change.replaced), condition=Item.sk.does_not_exist())

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


def _numbered(change: Change) -> Change:
    return replace(change, bill=replace(change.bill, edition=(change.before.edition if change.before else 0) + 1))


def _still(before: Bill | None) -> Condition:
    """The bill stands as it was read, by its edition; without one it was written before editions were counted."""
    if before is None:
        return Item.sk.does_not_exist()
    stands: Condition = _edition_is(before.edition) & (Item.version == before.version)
    return stands


def _edition_is(edition: int) -> Condition:
    """Never true of a bill that is gone: what was not stored has no version."""
    stands: Condition = Item.edition == edition if edition else Item.edition.does_not_exist() & Item.version.exists()
    return stands
