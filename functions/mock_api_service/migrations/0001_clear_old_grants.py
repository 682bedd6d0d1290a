"""Deletes access tokens of before utilities asked for codes, and what has expired of tokens and references.

Such a token does not say which login it stands for, so the utility could not tell whether that login is to give a code
first: until it expires it would get around the question. Its holder is told that it is invalid, and signs in anew. Of
what has expired a real table gets rid by itself, an emulator without time to live never.
"""

import time

from functions.common.migration import Change, Item, MigrationContext


def up(ctx: MigrationContext) -> None:
    ctx.tables.back_fill(ctx.env["MOCK_TABLE"], judge)


def judge(item: Item) -> Change | None:
    kind = item["pk"].partition("#")[0]
    unnamed = kind == "grant" and "login" not in item
    expired = kind in {"grant", "reference"} and item["expires_at"] <= time.time()
    return Change(delete=True, given=("expires_at",)) if unnamed or expired else None


def down(ctx: MigrationContext) -> None:
    ctx.log("nothing to take back: whoever held one signs in anew")
