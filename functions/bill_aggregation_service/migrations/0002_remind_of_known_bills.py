"""Has bills looked at for their due dates that are older than the index `by_reminder`, and so not in it.

All that may still have something said of them get their first look now; the look itself judges what is paid. A bill
that has a look already was written by the new code, which knows better.
"""

import json
import zlib
from datetime import UTC, datetime, timedelta

from functions.common.clock import rfc3339
from functions.common.migration import Change, Item, MigrationContext

SHARDS = 8
DAYS_AFTER = 61
"""Of bills that were due before, nothing is said any more wherever their users are."""


def up(ctx: MigrationContext) -> None:
    now = datetime.now(UTC)
    oldest = (now.date() - timedelta(DAYS_AFTER)).isoformat()

    def judge(item: Item) -> Change | None:
        if not item["sk"].startswith("bill#") or "remind_at" in item:
            return None
        if (json.loads(item["content"]).get("due_date") or "") < oldest:
            return None
        shard = zlib.crc32(item["sk"].removeprefix("bill#").encode()) % SHARDS
        return Change(put={"remind_at": rfc3339(now), "remind_shard": shard}, given=("content", "edition"))

    ctx.tables.back_fill(ctx.env["BILLS_TABLE"], judge)


def down(ctx: MigrationContext) -> None:
    def judge(item: Item) -> Change | None:
        return Change(remove=("remind_at", "remind_shard")) if "remind_at" in item else None

    ctx.tables.back_fill(ctx.env["BILLS_TABLE"], judge)
