"""GET /bills?refresh=true of 50 links whose utility takes 200 ms, beside asking the utility alone 50 times at once.

DESIGN §7: at most 1.15 times the slowest utility and 150 ms. Everything is there as when it runs, each in a process of
its own: BillApi (this one), BillRpc, the services that it asks (behind gRPC, and quick to answer: what they take is not
measured here), the utility, Redis, and a table that reads as DynamoDB does (handlers/sorted_table.py). The limit of
calls per utility is lifted, since it would spread 50 calls over time on purpose.
"""

import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from unittest.mock import patch

from functions.bill_aggregation_service import bootstrap
from functions.bill_aggregation_service.app import app
from functions.common import logs
from functions.common.http.app import ServiceApp
from functions.common.rpc.client import Stub, channel_to
from functions.contracts.rpc import bills_pb2
from functions.contracts.rpc.bills_pb2 import RefreshLinkReply, RefreshLinkRequest
from infra.settings import ROOT, load
from tests.bench.handlers.neighbours import link_id
from tests.bench.isolated import milliseconds
from tests.bench.printing import table, verdict
from tests.support.http import configure, request, token

LINKS, UTILITY_SECONDS, ROUNDS = 50, 0.2, 7
FACTOR, MARGIN_SECONDS = 1.15, 0.150
USER = "usr_01JD3N8Z6W3V9K4T7Q2M5XBRPE"
BUILDERS = ("service", "live_reads", "table", "answer_cache", "outbox", "publisher", "renewals")
"""What is built once per process, and here once per benchmark."""


def report(cache_url: str) -> None:
    with ExitStack() as stack:
        port = stack.enter_context(process("slow_utility", str(UTILITY_SECONDS)))
        bills = stack.enter_context(platform(cache_url, port))
        rounds = [(_seconds(bills), _slowest(port)) for _ in range(ROUNDS)]
    ours, floor = [mine for mine, _ in rounds], [slowest for _, slowest in rounds]
    budgets = [FACTOR * slowest + MARGIN_SECONDS for slowest in floor]
    worst = median(mine / budget for mine, budget in zip(ours, budgets, strict=True))
    table(
        f"GET /bills?refresh=true, {LINKS} links at {UTILITY_SECONDS * 1000:.0f} ms, ms, median (least) of {ROUNDS}",
        ["what", "ms", "budget", "of the budget", ""],
        [
            ["all links, nothing new", milliseconds(ours), milliseconds(budgets), f"{worst:.2f}", verdict(worst, 1.0)],
            [f"the slowest of {LINKS} bare calls at once", milliseconds(floor), "", "", ""],
        ],
    )


@contextmanager
def platform(cache_url: str, utility: int) -> Iterator[Callable[[], None]]:
    """What asks for a live read of all links, and checks that each was read."""
    with ExitStack() as stack:
        others = stack.enter_context(process("neighbours", "neighbours", str(utility), str(LINKS)))
        neighbours = ("ACCOUNTS", "CREDENTIALS", "PROVIDERS", "BROKER")
        stack.enter_context(bills_environment(cache_url))
        os.environ |= {
            "SANDBOX_ORIGIN": f"http://127.0.0.1:{utility}",
            "PROVIDER_PLACES": "0",
            **{f"RPC_{name}": f"grpc://127.0.0.1:{others}" for name in neighbours},
        }
        rpc = stack.enter_context(process("neighbours", "bills"))
        os.environ["RPC_BILLS"] = f"grpc://127.0.0.1:{rpc}"
        _read_once(rpc)
        bearer = token(USER)
        served = configure(app, cache_url=cache_url, cache_timeout_ms=2000, user_rate_per_minute=10_000_000)
        yield lambda: _read(served, bearer)


@contextmanager
def bills_environment(cache_url: str) -> Iterator[None]:
    """Settings of the aggregator's functions, with a table of their own, for this process and those that it starts."""
    with ExitStack() as stack:
        stack.enter_context(patch.dict(os.environ))
        port = stack.enter_context(process("sorted_table"))
        os.environ |= {
            **load({}).environment(),
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "BILLS_TABLE": f"bench-bills-{port}",  # PynamoDB keeps a connection as long as the name is the same
            "CACHE_URL": cache_url,
            "CURSOR_SECRET": "a secret of the benchmark",
        }
        stack.enter_context(_built_anew())
        stack.enter_context(quiet())
        yield


def _read_once(port: int) -> None:
    """Each link for the first time, some at once: what is measured finds nothing new."""
    bills = Stub(bills_pb2.DESCRIPTOR.services_by_name["Bills"], channel_to(f"grpc://127.0.0.1:{port}"))
    requests = [RefreshLinkRequest(user_id=USER, link_id=link_id(number)) for number in range(LINKS)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda each: bills.call("RefreshLink", each, RefreshLinkReply), requests))


def _read(served: ServiceApp, bearer: str) -> None:
    answer = request(served, "GET", "/bills", query={"refresh": "true"}, bearer=bearer)
    unread = [row for row in answer.json.get("sources", ()) if row["outcome"] != "fresh"]
    if unread or len(answer.json.get("sources", ())) != LINKS:
        raise RuntimeError(f"a live read answered {answer.status}: {json.dumps(unread[:3] or answer.json)[:500]}")


def _slowest(port: int) -> float:
    with ThreadPoolExecutor(LINKS) as pool:
        return max(pool.map(lambda _: _seconds(lambda: call_utility(port)), range(LINKS)))


def call_utility(port: int) -> None:
    """One bare call, by a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/statements.csv?account=bare")
    answer = connection.getresponse()
    if answer.status != 200 or not answer.read():
        raise RuntimeError(f"the utility answered {answer.status}")
    connection.close()


def _seconds(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


@contextmanager
def process(module: str, *arguments: str) -> Iterator[int]:
    """The port of a server of `handlers/` in a process of its own."""
    command = [sys.executable, "-m", f"tests.bench.handlers.{module}", *arguments]
    with (
        Path(os.devnull).open("w") as nowhere,
        subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=nowhere,
            text=True,
        ) as running,
    ):
        try:
            yield int(running.stdout.readline() if running.stdout else 0)
        finally:
            running.kill()


@contextmanager
def _built_anew() -> Iterator[None]:
    """What other benchmarks have built in this process was built for other settings."""
    builders = [getattr(bootstrap, name) for name in BUILDERS]
    for builder in builders:
        builder.cache_clear()
    try:
        yield
    finally:
        for builder in builders:
            builder.cache_clear()


@contextmanager
def quiet() -> Iterator[None]:
    """Lines are made as always; where they go is the platform's affair."""
    with Path(os.devnull).open("w") as nowhere:
        logs.configure("INFO", nowhere)
        yield
