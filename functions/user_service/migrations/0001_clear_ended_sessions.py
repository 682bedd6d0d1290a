"""Deletes sessions that are over but still stand: of an epoch before their user's, or of a user who is not there.

Where a run was cut off between ending all sessions of a user (one write to `session_epoch`) and deleting them, they
stay until their time to live ends, up to 30 days. No token of theirs is good any more. But `GET /users/me/sessions`
reads the newest 200 and leaves them out only then, so that living ones may not be seen behind them, and nothing that is
not needed should be kept. Sessions from before there were epochs count as epoch 0, as in the service.
"""

from functions.common.migration import Change, Item, MigrationContext

# What the session was judged by: if the household refreshes or adopts it in this moment, it is judged again.
GIVEN = ("epoch", "token_hash")


def up(ctx: MigrationContext) -> None:
    def judge(item: Item) -> Change | None:
        if not item["session_id"].startswith("ses_"):
            return None  # a code that was mailed, or a count of failed logins
        user = ctx.tables.get(ctx.env["USERS_TABLE"], {"user_id": item["user_id"]})
        lives = user is not None and item.get("epoch", 0) >= user.get("session_epoch", 0)
        return None if lives else Change(delete=True, given=GIVEN)

    ctx.tables.back_fill(ctx.env["SESSIONS_TABLE"], judge)


def down(ctx: MigrationContext) -> None:
    ctx.log("nothing to take back: what was deleted was good for nothing")
