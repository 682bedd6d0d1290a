"""BillsTable: a user's bills, their older versions and the record of each link, in one partition.

    sk                        sort_key (LSI by_due)                          what
    bill#<key>                b#<day>#<period start>#<key>                   a bill in its present version
    ver#<key>#<version, 5>    –                                              a version before
    import#<import_id>        –                                              an import of an uploaded file
    link#<link_id>            l#<link_id>; none once the account is gone     a link's record, or its tombstone
    user#gone                 –                                              the user was deleted; ends by `expires_at`

One descending query of by_due finds all links, then the newest bills. Writes to a link and what its utility says of its
bills are made one after the other by the link's `revision`; a user's mark goes past it, so each write of a bill counts
its `edition` on and names the one that it read. A bill's content is kept as `rules.canonical_json`.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta

from pynamodb.connection import Connection
from pynamodb.exceptions import DoesNotExist
from pynamodb.expressions.condition import Condition
from pynamodb.transactions import TransactWrite

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
from functions.bill_aggregation_service.model import Bill, BillKey, Criteria, Link, LinkId, ProviderId, UserId
from functions.bill_aggregation_service.upsert import Change
from functions.bill_aggregation_service.user_table import UserRows
from functions.bill_aggregation_service.writing_table import chunks, edition_is, moved, numbered, still
from functions.common.clock import rfc3339
from functions.common.outbox import Pending
from functions.common.personal import GONE
from functions.common.table import forget_events, translated, unsent

AFTER_ALL = "~"
"""Sorts behind every character of a sort key."""
OUTBOX_GRACE = timedelta(seconds=60)
"""As long as the writer itself is given to send its events."""
LINKS_EXPECTED = 2
"""So many links a short page has room for where none are known to be there, a longer one for a quarter of its bills.
Who has more gets the rest of the page by another query; each row more costs all others."""
LINKS_PAGE = 100
ALL_LINKS = Item.sort_key.startswith("l#")
FILTERED_PAGE = 250
"""Rows per query where a filter leaves some out."""


class BillTable(UserRows):
    # --- links ---

    def link(self, user_id: UserId, link_id: LinkId) -> Link | None:
        with translated():
            try:
                return link_of(self._items.get(user_id, LINKS + link_id, consistent_read=True))
            except DoesNotExist:
                return None

    def links(self, user_id: UserId, among: Collection[LinkId] = ()) -> Sequence[Link]:
        """Those between the first and the last of `among`, which one read finds without reading all."""
        where = Item.sort_key.between(f"l#{min(among)}", f"l#{max(among)}") if among else ALL_LINKS
        with translated():
            return [link_of(item) for item in self._descending(user_id, where, LINKS_PAGE)]

    def linked(self, user_id: UserId) -> Mapping[LinkId, ProviderId]:
        with translated():
            found = self._items.by_due.query(
                user_id, ALL_LINKS, consistent_read=True, attributes_to_get=["user_id", "sk", "provider_id"]
            )
            return {LinkId(item.sk.removeprefix(LINKS)): ProviderId(item.provider_id) for item in found}

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
        with moved():
            bill_item(written).save(condition=still(before))
        return pending_of(written)

    def save(self, before: Link, after: Link, changes: Sequence[Change] = ()) -> Sequence[Pending]:
        """What does not fit one transaction is written in several; the link tells of the attempt with the last."""
        written_changes = [numbered(change) for change in changes]
        parts = list(chunks(written_changes)) or [()]
        written = before
        for number, part in enumerate(parts, 1):
            created = sum(change.before is None for change in part)
            halfway = replace(
                before, provider_id=after.provider_id, bill_count=written.bill_count + created, answer_digest=""
            )
            following = replace(after if number == len(parts) else halfway, revision=written.revision + 1)
            try:
                with moved():
                    self._write(written, following, part)
            except LinkMoved as error:
                if not written.revision and self._is_gone(written.user_id):
                    raise UserGone from error
                raise
            written = following
        return [pending_of(change.bill) for change in written_changes if change.bill.unsent]

    def save_records(self, records: Sequence[tuple[Link, Link]]) -> None:
        """One transaction: at most 100."""
        now = rfc3339(self._clock.now())
        with moved(), TransactWrite(connection=self._connection) as transaction:
            for before, after in records:
                written = link_item(replace(after, revision=before.revision + 1), now)
                transaction.save(written, condition=Item.revision == before.revision)

    def newest_first(self, user_id: UserId, criteria: Criteria, links: int = 0) -> Iterator[Link | Bill]:
        low = f"b#{criteria.since or ''}"
        ends = [f"b#{criteria.until}{AFTER_ALL}"] if criteria.until else []
        ends += [f"b#{criteria.after}"] if criteria.after else []
        page = FILTERED_PAGE if criteria.is_partial else criteria.limit + 1  # one more tells that there is a next page
        with translated():
            if not ends:
                # Links sort behind bills: descending, one query has both.
                room = max(links, LINKS_EXPECTED, criteria.limit // 4)
                yield from map(row_of, self._descending(user_id, Item.sort_key >= low, page + room))
                return
            yield from self.links(user_id)
            if low > min(ends):
                return
            for item in self._descending(user_id, Item.sort_key.between(low, min(ends)), page + 1):
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

    # --- outbox ---

    def pending_events(self, limit: int) -> Sequence[Pending]:
        return [waiting_of(item) for item in unsent(self._items.unsent, self._clock.now(), limit, OUTBOX_GRACE)]

    def clear_outbox(self, pending: Pending) -> None:
        user_id, sk = pending.key
        try:
            with moved():
                Item(user_id, sk).update(actions=forget_events(), condition=edition_is(pending.version))
        except LinkMoved:
            # A newer edition carries these events along.
            return

    # ---

    def _is_gone(self, user_id: UserId) -> bool:
        with translated():
            return any(self._items.query(user_id, Item.sk == GONE, consistent_read=True))

    @property
    def _connection(self) -> Connection:
        """The model's own: a second one would cost a second botocore client."""
        return self._items._get_connection().connection  # noqa: SLF001

    def _write(self, before: Link, after: Link, changes: Sequence[Change]) -> None:
        now = rfc3339(self._clock.now())
        stands = Item.revision == before.revision if before.revision else Item.sk.does_not_exist()
        if before.revision and not changes:
            link_item(after, now).save(condition=stands)
            return
        with TransactWrite(connection=self._connection) as transaction:
            if not before.revision:
                # What is there already is deleted with its user, and its revision with it; only a first write of a
                # link needs the mark.
                transaction.condition_check(self._items, before.user_id, GONE, condition=Item.sk.does_not_exist())
            transaction.save(link_item(after, now), condition=stands)
            for change in changes:
                transaction.save(bill_item(change.bill), condition=still(change.before))
                if change.replaced:
                    transaction.save(version_item(change.replaced), condition=Item.sk.does_not_exist())

    def _descending(self, user_id: UserId, where: Condition, page: int) -> Iterator[Item]:
        return self._items.by_due.query(user_id, where, consistent_read=True, scan_index_forward=False, page_size=page)
