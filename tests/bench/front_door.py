"""What the base app costs each request: verify, limit and route, beside the least that verifying and limiting take.

The floor is one signature verification and one run of a script in Redis; what is above it is routing, checking,
logging and the headers of the answer.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import jwt
import redis

from functions.common import logs
from functions.common.http.app import ServiceApp
from tests.bench.cached_read import event
from tests.bench.isolated import ratio
from tests.bench.printing import table
from tests.support.http import configure, jwks, token

CALLS, BLOCKS = 300, 10
PATH = "/nothing"


def report(cache_url: str) -> None:
    app, bearer = _app(cache_url), token()
    asked = event(bearer)
    asked["requestContext"]["resourcePath"] = PATH
    client, key = redis.Redis.from_url(cache_url), jwt.PyJWKSet.from_json(jwks()).keys[0]
    count = client.register_script("return redis.call('INCR', KEYS[1])")

    def call() -> None:
        if app(asked, None)["statusCode"] != 200:
            raise RuntimeError("the app did not answer")

    def bare() -> None:
        jwt.decode(bearer, key, ["ES256"], audience="billing-api", issuer="billing-aggregator")
        count(keys=["bench"])

    with Path(os.devnull).open("w") as nowhere:
        logs.configure("INFO", nowhere)
        blocks = [(_seconds(call), _seconds(bare)) for _ in range(BLOCKS + 1)][1:]
    ours, floor = ([block[index] for block in blocks] for index in (0, 1))
    table(
        f"Verify, limit and route of an empty GET, µs per call, of {BLOCKS} blocks of {CALLS}",
        ["what", "µs", "ratio"],
        [
            ["ServiceApp", f"{median(ours) * 1e6:.0f}", f"{ratio(ours, floor):.2f}"],
            ["signature + script in Redis", f"{median(floor) * 1e6:.0f}", "1.00"],
        ],
    )


def _app(cache_url: str) -> ServiceApp:
    app = ServiceApp("bench", {})

    @app.route(PATH, methods=["GET"])
    def nothing() -> object:
        return {}

    return configure(app, cache_url=cache_url, cache_timeout_ms=2000, user_rate_per_minute=10_000_000)


def _seconds(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    for _ in range(CALLS):
        work()
    return (time.perf_counter() - began) / CALLS
