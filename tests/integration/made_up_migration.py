"""A migration of no service: marks every item of a table of the tests, slowly, so that it can be cut off.

`python -m tests.integration.made_up_migration <table of migrations> <table>` runs it as `make migrate` does.
"""

import sys
import time

from functions.common.migration import Change, Item, MigrationContext
from infra import aws, settings
from infra.console import Failure
from infra.ledger import Ledger
from infra.migrations import Runner, Step

STEP = Step("0001_mark", "made_up", __name__ if __name__ != "__main__" else "tests.integration.made_up_migration")
ITEM_SECONDS = 0.004


def up(ctx: MigrationContext) -> None:
    def mark(item: Item) -> Change:
        time.sleep(ITEM_SECONDS)
        return Change(put={"marks": item.get("marks", 0) + 1})

    ctx.tables.back_fill(ctx.env["TABLE"], mark)


def down(ctx: MigrationContext) -> None:
    ctx.tables.back_fill(ctx.env["TABLE"], lambda item: Change(remove=("marks",)) if "marks" in item else None)


def runner(chosen: settings.Settings, migrations_table: str, table: str) -> Runner:
    dynamodb = aws.client(chosen, "dynamodb")
    return Runner(Ledger(dynamodb, migrations_table), dynamodb, {STEP.service: {"TABLE": table}})


if __name__ == "__main__":
    try:
        runner(settings.load(), sys.argv[1], sys.argv[2]).migrate([STEP])
    except Failure as failure:
        failure.show()
        sys.exit(1)
