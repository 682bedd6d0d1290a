"""BillsTable as reminders see it: the sparse index of bills by the time at which to look at their due dates."""

from collections.abc import Sequence
from datetime import datetime

from functions.bill_aggregation_service.item_table import REMIND_SHARDS, Item, bill_of
from functions.bill_aggregation_service.model import Bill
from functions.bill_aggregation_service.table import BillTable
from functions.common.clock import rfc3339
from functions.common.table import translated


class ReminderTable(BillTable):
    def to_look_at(self, now: datetime, limit: int) -> Sequence[Bill]:
        """The longest due of each shard. The index holds keys alone and may lag behind: what the table says counts."""
        share = -(-limit // REMIND_SHARDS)
        keys: list[tuple[str, str]] = []
        with translated():
            for shard in range(REMIND_SHARDS):
                due = self._items.by_reminder.query(shard, Item.remind_at <= rfc3339(now), limit=share)
                keys += [(item.user_id, item.sk) for item in due]
            found = map(bill_of, self._items.batch_get(keys[:limit], consistent_read=True))
            return [bill for bill in found if bill.remind_at and bill.remind_at <= now]
