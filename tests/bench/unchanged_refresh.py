"""The refresh of a link whose utility has nothing new, counted exactly: DESIGN §7 allows no write of a bill and one
conditional update of the link.

Two services keep a record of a link, and each of them is written once (ADR 21). The floor is what no refresh can do
without. Times would say more of the emulated table than of the code, so there are none; the counts are held by
tests/contract/test_unchanged_refresh.py as well.
"""

import os
from unittest.mock import patch

from tests.bench.live_read import quiet
from tests.bench.printing import table, verdict
from tests.support.counting import BILLS, KEYS, LINKS, Counts, refreshing

ENVIRONMENT = {"AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none", "AWS_DEFAULT_REGION": "us-east-1"}
LINK_WRITES = {"PutItem", "UpdateItem"}


def report(cache_url: str) -> None:
    with quiet(), patch.dict(os.environ, ENVIRONMENT), refreshing(cache_url) as link:
        os.environ.pop("AWS_ENDPOINT_URL", None)
        counts = link.refresh()
    table(
        f"Refresh of an unchanged link ({len(link.bills)} bills), what leaves the process",
        ["what", "count", "floor", "budget", ""],
        [_row(*each) for each in _rows(counts)],
    )


def _rows(counts: Counts) -> list[tuple[str, int, int, int | None]]:
    """What, count, floor and budget."""
    writes = {name: counts.writes(name) for name in (BILLS, LINKS, KEYS)}
    once = {name: sum(op in LINK_WRITES and conditional for op, conditional in writes[name]) for name in (BILLS, LINKS)}
    others = sum(map(len, writes.values())) - sum(once.values())
    transactions = sum(operation == "TransactWriteItems" for _, operation, _ in counts.calls)
    return [
        ("writes of bills, and any other write", others + transactions, 0, 0),
        ("conditional writes of the aggregator's record of the link", once[BILLS], 1, 1),
        ("conditional writes of the account service's record of it", once[LINKS], 1, 1),
        ("reads of the bills' table", len(counts.reads(BILLS)), 1, None),
        ("reads of the links' tables, credentials included", len(counts.reads(LINKS) + counts.reads(KEYS)), 3, None),
        ("KMS calls", sum(name == "kms" for name, _, _ in counts.calls), 1, None),
        ("round trips to Redis", counts.redis, 3, None),
        ("RPCs", sum(counts.rpcs.values()), 2, None),
    ]


def _row(what: str, count: int, floor: int, budget: int | None) -> list[str]:
    said = "" if budget is None else verdict(count, budget)
    return [what, str(count), str(floor), "" if budget is None else str(budget), said]
