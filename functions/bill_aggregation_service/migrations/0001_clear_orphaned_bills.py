"""Deletes bills, and older versions of bills, whose account is unlinked: its record is a tombstone, or is not there.

Unlinking writes the tombstone first and deletes the bills then, on account of an event. Where that event ended in a
dead-letter queue that nobody redrove, the bills stay. No list shows them, but each list reads and skips them, and users
were told that they are deleted. No bill is ever written without its link's record, so one that is written meanwhile
has it.
"""

from functions.common.migration import Change, Item, MigrationContext

PAGE_OF_LINKS = 1_000


def up(ctx: MigrationContext) -> None:
    table = ctx.env["BILLS_TABLE"]
    known: dict[tuple[str, str], bool] = {}

    def gone(user_id: str, link_id: str) -> bool:
        """Kept for a while: an account that is gone does not come back, one that goes later is no case of ours."""
        if (user_id, link_id) not in known:
            if len(known) >= PAGE_OF_LINKS:
                known.clear()
            link = ctx.tables.get(table, {"user_id": user_id, "sk": f"link#{link_id}"})
            known[user_id, link_id] = link is None or bool(link.get("gone"))
        return known[user_id, link_id]

    def judge(item: Item) -> Change | None:
        if not item["sk"].startswith(("bill#", "ver#")) or not gone(item["user_id"], item["link_id"]):
            return None
        return Change(delete=True, given=("link_id", "version"))

    ctx.tables.back_fill(table, judge)


def down(ctx: MigrationContext) -> None:
    ctx.log("nothing to take back: these bills were to be deleted, and no list showed them")
