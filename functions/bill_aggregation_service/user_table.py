"""All that BillsTable holds of a user: to show it, and to end it."""

from collections.abc import Iterator

from pynamodb.expressions.condition import Condition

from functions.bill_aggregation_service.import_table import IMPORTS, import_of
from functions.bill_aggregation_service.item_table import BILLS, LINKS, VERSIONS, Item, row_of
from functions.bill_aggregation_service.model import UserId
from functions.common.clock import Clock
from functions.common.personal import GONE, GONE_LIFETIME, Record
from functions.common.table import bind, translated, updated

KINDS = {BILLS: "bills", IMPORTS: "imports", LINKS: "links", VERSIONS: "versions"}
"""What an export calls them."""
HELD_PAGE = 500


class UserRows:
    def __init__(self, table_name: str, clock: Clock) -> None:
        self._items = bind(Item, table_name)
        self._clock = clock

    def held(self, user_id: UserId, after: str) -> Iterator[Record]:
        later = Item.sk > after if after else None
        with translated():
            for item in self._items.query(user_id, later, consistent_read=True, page_size=HELD_PAGE):
                if item.sk != GONE:
                    held = import_of(item) if item.sk.startswith(IMPORTS) else row_of(item)
                    yield Record(item.sk, KINDS[item.sk.partition("#")[0] + "#"], held)

    def mark_gone(self, user_id: UserId) -> None:
        ends = self._clock.now() + GONE_LIFETIME
        # unless a run before has marked it
        updated(self._items(user_id, GONE), [Item.expires_at.set(ends)], Item.sk.does_not_exist())

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
