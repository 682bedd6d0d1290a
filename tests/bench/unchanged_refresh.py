"""The refresh of a link whose utility has nothing new, counted exactly: its budget is no write of a bill and one
conditional update of the link. Beside it, without a budget, what it costs when one bill has changed.

Two services keep a record of a link, and each of them is written once (ADR 21). When a bill has changed, the
aggregator's goes with it in one transaction, and the single write says that the event has left. The floor is what no
refresh can do without. Times would say more of the emulated table than of the code, so there are none (refreshes.py has
them, of another table); the counts are held by tests/contract/test_unchanged_refresh.py as well.
"""

import os
from unittest.mock import patch

from tests.bench.live_read import quiet
from tests.bench.printing import table, verdict
from tests.support.counting import BILLS, KEYS, LINKS, Counts, refreshing

ENVIRONMENT = {"AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none", "AWS_DEFAULT_REGION": "us-east-1"}
LINK_WRITES = {"PutItem", "UpdateItem"}


def report(cache_url: str) -> None:
    with quiet(), patch.dict(os.environ, ENVIRONMENT):
        os.environ.pop("AWS_ENDPOINT_URL", None)  # `make bench` names the engine's; before any client is made
        with refreshing(cache_url) as link:
            counts = link.refresh()
            link.change_a_bill()
            changed = link.refresh()
    rows = zip(_rows(counts), _rows(changed), strict=True)
    table(
        f"Refresh of a link ({len(link.bills)} bills), what leaves the process",
        ["what", "unchanged", "floor", "budget", "", "a bill changed"],
        [[*_row(*each), str(other[1])] for each, other in rows],
    )


def _rows(counts: Counts) -> list[tuple[str, int, int, int | None]]:
    """What, count, floor and budget."""
    writes = {name: counts.writes(name) for name in (BILLS, LINKS, KEYS)}
    once = {name: sum(op in LINK_WRITES and conditional for op, conditional in writes[name]) for name in (BILLS, LINKS)}
    others = sum(map(len, writes.values())) - sum(once.values())
    transactions = sum(operation == "TransactWriteItems" for _, operation, _ in counts.calls)
    return [
        ("transactions that write bills", transactions, 0, 0),
        ("conditional writes of one item of the bills' table", once[BILLS], 1, 1),
        ("conditional writes of the account service's record of the link", once[LINKS], 1, 1),
        ("any other write", others, 0, 0),
        ("reads of the bills' table", len(counts.reads(BILLS)), 1, None),
        ("reads of the links' tables, credentials included", len(counts.reads(LINKS) + counts.reads(KEYS)), 3, None),
        ("KMS calls", sum(name == "kms" for name, _, _ in counts.calls), 1, None),
        ("round trips to Redis", counts.redis, 3, None),
        ("RPCs, but for the broker's", sum(counts.rpcs.values()), 2, None),
    ]


def _row(what: str, count: int, floor: int, budget: int | None) -> list[str]:
    said = "" if budget is None else verdict(count, budget)
    return [what, str(count), str(floor), "" if budget is None else str(budget), said]
