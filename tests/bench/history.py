"""GET /bills past the cache, with 10 bills in the history and with 10 000.

The second may take 1.1 times the first. The answer is the same ten bills in both, those of the last ten days. The
handler reads them from the table, since the cache would answer either way: the kept answers are dropped before each
call. The table reads as DynamoDB does (handlers/sorted_table.py); how many queries and rows an answer takes is counted
as well. Asked for by `limit`, a query brings the bill that tells of a next page and has room for a few links, whatever
the history.
"""

import json
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from statistics import mean
from typing import Any
from unittest.mock import patch

from botocore.client import BaseClient

from functions.bill_aggregation_service import bootstrap
from functions.bill_aggregation_service.app import app
from functions.bill_aggregation_service.model import Link, LinkId, Outcome, Provider, ProviderId, UserId
from functions.bill_aggregation_service.reading import reading_of
from functions.bill_aggregation_service.table import BillTable
from functions.bill_aggregation_service.upsert import Attempt, plan
from functions.common.http.app import ServiceApp
from tests.bench.live_read import bills_environment
from tests.bench.printing import table, verdict
from tests.support.http import configure, request, token
from tests.unit.bill_aggregation_service.fakes import fetched

SHORT, LONG, BUDGET = 10, 10_000, 1.1
CALLS = 300
AT_ONCE = 50
LINK = LinkId("lnk_01JD3N8Z6W3V9K4T7Q2M5XBRPC")
PROVIDER = Provider(
    provider_id=ProviderId("prv_slow"), name="Slow", service_types=("electricity",), currency="USD",
    time_zone="America/New_York", adapter="oauth_json", base_url="https://power.example",
)  # fmt: skip


@dataclass
class Reads:
    queries: int = 0
    rows: int = 0


def report(cache_url: str) -> None:
    users = {count: UserId(f"usr_{count:026}") for count in (SHORT, LONG)}
    since = datetime.now(UTC).date() - timedelta(SHORT - 1)
    with bills_environment(cache_url):
        for count, user_id in users.items():
            fill(bootstrap.table(), user_id, count)
        served = configure(app, cache_url=cache_url, cache_timeout_ms=2000, user_rate_per_minute=10_000_000)
        by_day = _raced(served, users, {"from": since.isoformat()})
        by_limit = _raced(served, users, {"limit": str(SHORT)})
    table(
        f"GET /bills of {SHORT} bills from the table, ms, mean of the faster half (least) of {CALLS} calls",
        ["asked by, bills in the history", "ms", "queries", "rows", "ratio", "budget", ""],
        [*_rows("from", by_day), *_rows("limit", by_limit)],
    )


@dataclass(frozen=True)
class Raced:
    times: dict[int, list[float]]
    reads: dict[int, Reads]


def _raced(served: ServiceApp, users: dict[int, UserId], query: dict[str, str]) -> Raced:
    readers = {count: partial(_read, served, user_id, token(user_id), query) for count, user_id in users.items()}
    return Raced(_timed(readers), {count: _counted(read) for count, read in readers.items()})


def _rows(name: str, raced: Raced) -> list[list[str]]:
    share = _faster_half(raced.times[LONG]) / _faster_half(raced.times[SHORT])
    judged = [f"{share:.2f}", f"{BUDGET}", verdict(share, BUDGET)]
    return [
        [
            f"{name}, {count}",
            f"{_faster_half(taken) * 1e3:.2f} ({min(taken) * 1e3:.2f})",
            str(raced.reads[count].queries),
            str(raced.reads[count].rows),
            *(judged if count == LONG else ["1.00", "", ""]),
        ]
        for count, taken in raced.times.items()
    ]


def fill(store: BillTable, user_id: UserId, count: int) -> None:
    """One link with so many bills, one a day up to today."""
    today, now = datetime.now(UTC).date(), datetime.now(UTC)
    link = Link(user_id=user_id, link_id=LINK)
    for first in range(0, count, AT_ONCE):
        days = [today - timedelta(number) for number in range(first, min(first + AT_ONCE, count))]
        bills = [fetched(f"B-{day}", due=day, period_start=day, period_end=day) for day in days]
        attempt = Attempt(now, Outcome.SUCCESS, PROVIDER, bills)
        planned = plan(link, reading_of(LINK, bills), {}, (), attempt, now)
        store.save(link, planned.link, planned.changes)
        link = store.link(user_id, LINK) or link


def _read(served: ServiceApp, user_id: UserId, bearer: str, query: dict[str, str]) -> float:
    """Seconds."""
    bootstrap.answer_cache().bump(user_id, bootstrap.CACHE_SPACE)
    began = time.perf_counter()
    answer = request(served, "GET", "/bills", query=query, bearer=bearer)
    took = time.perf_counter() - began
    if answer.status != 200 or len(answer.json["items"]) != SHORT:
        raise RuntimeError(f"GET /bills answered {answer.status}: {json.dumps(answer.json)[:300]}")
    return took


def _timed(readers: Mapping[int, Callable[[], float]]) -> dict[int, list[float]]:
    """Seconds of each call; both take turns, in changing order. The first tenth is for warming up."""
    times: dict[int, list[float]] = {count: [] for count in readers}
    for number in range(CALLS + CALLS // 10):
        for count in random.sample(list(readers), len(readers)):
            taken = readers[count]()
            if number >= CALLS // 10:
                times[count].append(taken)
    return times


def _faster_half(times: list[float]) -> float:
    """Its mean: what else the machine does can only add to a time, and adds most to the others."""
    return mean(sorted(times)[: len(times) // 2])


def _counted(read: Callable[[], float]) -> Reads:
    reads, original = Reads(), vars(BaseClient)["_make_api_call"]

    def called(self: BaseClient, operation: str, params: dict[str, Any]) -> Any:
        answer = original(self, operation, params)
        reads.queries += 1
        reads.rows += answer["ScannedCount"]
        return answer

    with patch.object(BaseClient, "_make_api_call", called):
        read()
    return reads
