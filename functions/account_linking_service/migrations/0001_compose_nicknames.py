"""Spells nicknames of old links as those of new ones: composed (Unicode NFC), trimmed, without control characters.

A nickname is checked and composed when it comes in, but the first releases kept whatever they were given. The service
reads both, but the same name in two spellings does not compare equal for an API client, and a line end in a name breaks
the lines of whoever prints it. A name of which nothing is left is none.
"""

import unicodedata

from functions.common.migration import Change, Item, MigrationContext


def up(ctx: MigrationContext) -> None:
    ctx.tables.back_fill(ctx.env["LINKS_TABLE"], judge)


def judge(item: Item) -> Change | None:
    """Marks and tombstones, which stand in the same table, have no nickname. The link's `version` stays: whoever holds
    the link as it was read wrote something else, and no event tells of nicknames."""
    nickname = item.get("nickname")
    if nickname is None or (composed := compose(nickname)) == nickname:
        return None
    return Change(put={"nickname": composed}) if composed else Change(remove=("nickname",))


def compose(nickname: str) -> str:
    spaced = "".join(" " if unicodedata.category(c) == "Cc" else c for c in unicodedata.normalize("NFC", nickname))
    return spaced.strip()


def down(ctx: MigrationContext) -> None:
    ctx.log("nothing to take back: the names are the same, and the release before reads them as well")
