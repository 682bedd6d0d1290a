"""GET /bills?refresh=true of 50 links whose utility takes 200 ms, beside asking the utility alone 50 times at once.

The budget: at most 1.15 times the slowest utility and 150 ms. Everything is there as when it runs, each in a process of
its own: BillApi (this one), as many of BillRpc as a read makes calls at once (Lambda, too, gives a call an instance
that is idle), the services that they ask (behind gRPC, and quick to answer: what they take is not measured here), the
utility, Redis, and a table that reads as DynamoDB does (handlers/sorted_table.py). The limit of calls per utility is
lifted, since it would spread 50 calls over time on purpose.

The budget is of time, and these processes share this machine's processors: on Lambda each has its own share. So there
is a floor beside it, which has to share them as well: the same calls of the utility and as many conditional writes,
bare, from as many processes (handlers/bare_reads.py).
"""

import http.client
import json
import os
import queue
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest.mock import patch

from functions.bill_aggregation_service import bootstrap
from functions.bill_aggregation_service.app import app
from functions.bill_aggregation_service.clients import LiveReadsClient
from functions.bill_aggregation_service.live import LINKS_PER_CALL
from functions.bill_aggregation_service.service import LIVE_SECONDS
from functions.common import logs
from functions.common.http.app import ServiceApp
from functions.common.rpc.client import Channel, Stub, channel_to
from functions.common.rpc.envelope import Call, Reply
from functions.contracts.rpc import bills_pb2
from functions.contracts.rpc.bills_pb2 import RefreshLinkReply, RefreshLinkRequest
from infra.settings import ROOT, load
from tests.bench.handlers.neighbours import link_id
from tests.bench.isolated import milliseconds, ratio
from tests.bench.printing import table, verdict
from tests.support.http import configure, request, token

LINKS, UTILITY_SECONDS, ROUNDS = 50, 0.2, 7
CALLS = -(-LINKS // LINKS_PER_CALL)
"""Of BillRpc, at once."""
FACTOR, MARGIN_SECONDS = 1.15, 0.150
BILLS = bills_pb2.DESCRIPTOR.services_by_name["Bills"]
USER = "usr_01JD3N8Z6W3V9K4T7Q2M5XBRPE"
BUILDERS = ("service", "live_reader", "live_reads", "table", "answer_cache", "outbox", "publisher", "renewals")
"""What is built once per process, and here once per benchmark."""


def report(cache_url: str) -> None:
    with ExitStack() as stack:
        port = stack.enter_context(process("slow_utility", str(UTILITY_SECONDS)))
        bills = stack.enter_context(platform(cache_url, port))
        bare = stack.enter_context(bare_reads(port))
        bare()
        rounds = [(_seconds(bills), _seconds(bare), _slowest(port)) for _ in range(ROUNDS)]
    ours, floor, slowest = map(list, zip(*rounds, strict=True))
    budgets = [FACTOR * each + MARGIN_SECONDS for each in slowest]
    used = ratio(ours, budgets)
    table(
        f"GET /bills?refresh=true, {LINKS} links at {UTILITY_SECONDS * 1000:.0f} ms, ms, median (least) of {ROUNDS}; "
        f"{os.cpu_count()} processors, for which {os.getloadavg()[0]:.0f} processes compete",
        ["what", "ms", "budget", "of the budget", "", "x floor"],
        [
            ["all links, nothing new", milliseconds(ours), milliseconds(budgets), f"{used:.2f}", verdict(used, 1.0),
             f"{ratio(ours, floor):.2f}"],
            [f"floor: the same calls and writes bare, from {CALLS} processes", milliseconds(floor), "", "", "", ""],
            [f"the slowest of {LINKS} bare calls at once", milliseconds(slowest), "", "", "", ""],
        ],
    )  # fmt: skip


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
        ports = [stack.enter_context(process("neighbours", "bills")) for _ in range(CALLS)]
        bills = Stub(BILLS, Instances(channel_to(f"grpc://127.0.0.1:{port}") for port in ports), LIVE_SECONDS)
        _read_once(bills)
        stack.enter_context(patch.object(bootstrap, "live_reads", lambda: LiveReadsClient(bills)))
        bearer = token(USER)
        served = configure(app, cache_url=cache_url, cache_timeout_ms=2000, user_rate_per_minute=10_000_000)
        yield lambda: _read(served, bearer)


class Instances:
    """A channel to a function of which several processes run: a call gets one that is idle, as from Lambda."""

    def __init__(self, channels: Iterable[Channel]) -> None:
        self._idle: queue.SimpleQueue[Channel] = queue.SimpleQueue()
        for channel in channels:
            self._idle.put(channel)

    def invoke(self, call: Call) -> Reply:
        channel = self._idle.get(timeout=call.timeout_ms / 1000)
        try:
            return channel.invoke(call)
        finally:
            self._idle.put(channel)

    def post(self, call: Call) -> None:
        raise NotImplementedError(call.method)


@contextmanager
def bare_reads(utility: int) -> Iterator[Callable[[], None]]:
    """What makes the calls and writes of a live read of all links with nothing around them."""
    with ExitStack() as stack:
        rows = stack.enter_context(process("sorted_table"))
        shares = [LINKS // CALLS + (number < LINKS % CALLS) for number in range(CALLS)]
        ports = [stack.enter_context(process("bare_reads", str(utility), str(rows), str(share))) for share in shares]
        pool = stack.enter_context(ThreadPoolExecutor(CALLS))

        def read_all() -> None:
            list(pool.map(_get, ports, ["/"] * CALLS))

        yield read_all


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


def _read_once(bills: Stub) -> None:
    """Each link for the first time, some at once: what is measured finds nothing new."""
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
    _get(port, "/statements.csv?account=bare")


def _get(port: int, path: str) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    if answer.status != 200 or not body:
        raise RuntimeError(f"{path}: {answer.status}")
    return body


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
