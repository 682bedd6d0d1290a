"""GET /bills from the cache: the first answer after a cold start, and one in a warm function.

Budgets: from import to the first cached answer at most half of what the peer takes for the same; warm, at most 1.5
times one Redis round trip, one signature verification and encoding the same bytes.
"""

import json
import os
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import jwt
import msgspec
import redis

from functions.bill_aggregation_service import app as bill_app
from functions.bill_aggregation_service import bootstrap
from functions.bill_aggregation_service.schemas import BillsQuery
from functions.common import logs
from functions.common.cache import Cache, Entry
from functions.common.http.etag import tag_of
from functions.common.rate_limit import Limit
from tests.bench.cold_start import PEER, ours, peer
from tests.bench.isolated import milliseconds, race, ratio
from tests.bench.printing import table, verdict
from tests.support import artefacts
from tests.support.http import KID, configure, jwks, token

USER = "usr_01JD3N8Z6W3V9K4T7Q2M5XBRPC"
OURS, BUDGET, WARM_BUDGET = "BillApi", 0.5, 1.5
WARM_PAIRS, WARM_CALLS = 2_000, 5


def page() -> bytes:
    """As large as a household's first page: 50 bills."""
    bill = {"bill_id": f"bil_{'0' * 26}", "provider_id": "prv_northwind_power", "due_date": "2026-04-01",
            "amount_minor": 12345, "currency": "EUR", "status": "upcoming"}  # fmt: skip
    return json.dumps({"items": [bill] * 50, "next_cursor": None}, separators=(",", ":")).encode()


def event(bearer: str) -> dict[str, Any]:
    return {
        "resource": "/bills", "path": "/bills", "httpMethod": "GET", "body": None, "isBase64Encoded": False,
        "headers": {"Authorization": f"Bearer {bearer}", "Accept": "application/json"}, "multiValueHeaders": None,
        "queryStringParameters": None, "multiValueQueryStringParameters": None, "pathParameters": None,
        "stageVariables": None,
        "requestContext": {
            "httpMethod": "GET", "resourcePath": "/bills", "path": "/v1/bills", "stage": "v1", "requestId": "bench",
            "identity": {"sourceIp": "192.0.2.7"},
        },
    }  # fmt: skip


def fill(cache_url: str) -> None:
    client = redis.Redis.from_url(cache_url)
    client.flushall()
    client.set(f"bills:{USER}", page())
    entry = Entry(USER, bootstrap.CACHE_SPACE, BillsQuery().name)
    cache, now = Cache(cache_url, 1000), datetime.now(UTC)
    _, seen = cache.limit_and_read(USER, Limit("user", 600), entry)
    if not cache.fill(entry, seen, page(), tag_of(page()), now + timedelta(hours=1), now + timedelta(hours=2)):
        raise RuntimeError("the cache did not take the page")


def report(scratch: Path, cache_url: str, rounds: int) -> None:
    fill(cache_url)
    _first_answer(scratch, cache_url, rounds)
    _warm_answer(cache_url)


def _first_answer(scratch: Path, cache_url: str, rounds: int) -> None:
    bearer = token(USER)
    environment = {"JWKS": jwks(), "CACHE_URL": cache_url, "CACHE_TIMEOUT_MS": "2000", "USER_RATE_PER_MINUTE": "100000"}
    mine = ours(OURS, artefacts.functions()[OURS], scratch)
    contestants = [
        replace(mine, environment=environment, event=event(bearer)),
        replace(other := peer(), environment={**other.environment, **environment}, event=event(bearer)),
    ]
    runs = race(contestants, rounds)
    for name, its_runs in runs.items():
        wrong = [run.answer for run in its_runs if not run.answer or run.answer["statusCode"] != 200]
        if wrong or json.loads(str((its_runs[0].answer or {})["body"])) != json.loads(page()):
            raise RuntimeError(f"{name} did not answer from the cache: {wrong[:1]}")
    answered = {name: [run.answered for run in its_runs] for name, its_runs in runs.items()}
    share = ratio(answered[OURS], answered[PEER])
    least = min(answered[OURS]) / min(answered[PEER])
    table(
        f"Import to first cached answer of GET /bills, ms, median (least) of {rounds}",
        ["function", "ms", "ratio", "of the least", "budget", ""],
        [
            [OURS, milliseconds(answered[OURS]), f"{share:.2f}", f"{least:.2f}", f"{BUDGET}", verdict(share, BUDGET)],
            [PEER, milliseconds(answered[PEER]), "1.00", "1.00", "", ""],
        ],
    )


def _warm_answer(cache_url: str) -> None:
    """A few calls and a few times the bare work take turns, in one process. Whatever else the machine does can only add
    to a time: the least of each is what the work takes, and the budget is held to these."""
    bearer = token(USER)
    asked = event(bearer)
    app = configure(bill_app.app, cache_url=cache_url, cache_timeout_ms=2000, user_rate_per_minute=10_000_000)
    client, key = redis.Redis.from_url(cache_url), jwt.PyJWK(json.loads(jwks())["keys"][0], "ES256")
    read = client.register_script("return redis.call('GET', KEYS[1])")

    def call() -> None:
        if app(asked, None)["statusCode"] != 200:
            raise RuntimeError("BillApi did not answer")

    def bare() -> None:
        jwt.decode(bearer, key, ["ES256"], audience="billing-api", issuer="billing-aggregator")
        msgspec.json.encode(read(keys=[f"bills:{USER}"]).decode())

    if jwt.get_unverified_header(bearer)["kid"] != KID:
        raise RuntimeError("the token is of another key")
    with Path(os.devnull).open("w") as nowhere:
        logs.configure("INFO", nowhere)  # lines are made as always; where they go is the platform's affair
        pairs = [(_seconds(call), _seconds(bare)) for _ in range(WARM_PAIRS)]
    ours_each, bare_each = [mine for mine, _ in pairs], [floor for _, floor in pairs]
    share, usual = min(ours_each) / min(bare_each), ratio(ours_each, bare_each)
    table(
        f"Cached GET /bills in a warm function, µs per call, least (median) of {WARM_PAIRS} times {WARM_CALLS}",
        ["what", "µs", "ratio", "median of pairs", "budget", ""],
        [
            [OURS, _micros(ours_each), f"{share:.2f}", f"{usual:.2f}", f"{WARM_BUDGET}", verdict(share, WARM_BUDGET)],
            ["round trip + signature + encoding", _micros(bare_each), "1.00", "1.00", "", ""],
        ],
    )


def _micros(seconds: list[float]) -> str:
    return f"{min(seconds) * 1e6:.0f} ({median(seconds) * 1e6:.0f})"


def _seconds(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    for _ in range(WARM_CALLS):
        work()
    return (time.perf_counter() - began) / WARM_CALLS
