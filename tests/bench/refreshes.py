"""Refreshes per second that one core does, from the queue's message to the written record, beside the bare calls that
no refresh can do without; and how often a refresh goes to the table and to the cache.

RefreshWorker's and BillRpc's handlers share a process (handlers/refreshes.py), batches of ten as SQS gives them. The
utility, the table, Redis and the other services are processes of their own, and their time is not counted: the rate is
of the processor's time of that one process, so it is the same while others are busy. In the floor the same number of
calls goes to the same servers, made bare.
"""

import os
import subprocess
import sys
from contextlib import ExitStack
from statistics import median

import msgspec

from infra.settings import ROOT
from tests.bench.handlers.refreshes import BATCH, BLOCKS, LINKS, LOOPBACK, Measured
from tests.bench.isolated import ratio
from tests.bench.live_read import bills_environment, process
from tests.bench.printing import table

NEIGHBOURS = ("ACCOUNTS", "CREDENTIALS", "PROVIDERS", "BROKER")
UTILITIES = {"unchanged": (), "changed": ("changing",)}
SECONDS = 60


def report(cache_url: str) -> None:
    rows = [row for kind in UTILITIES for row in _rows(kind, _measured(kind, cache_url))]
    table(
        f"Refreshes through the handlers, batches of {BATCH}, median (most) of {BLOCKS} blocks of {LINKS}",
        ["what", "per second per core", "per second", "ratio", "table reads", "writes", "cache", "RPCs"],
        rows,
    )


def _measured(kind: str, cache_url: str) -> Measured:
    with ExitStack() as stack:
        utility = stack.enter_context(process("slow_utility", "0", *UTILITIES[kind]))
        others = stack.enter_context(process("neighbours", "neighbours", str(utility), str(LINKS)))
        echo = stack.enter_context(process("echo", "bare"))
        stack.enter_context(bills_environment(cache_url))
        os.environ |= {
            "SANDBOX_ORIGIN": f"http://127.0.0.1:{utility}",
            "PROVIDER_PER_MINUTE": "0",  # a limit of calls would be measured instead
            "CACHE_TIMEOUT_MS": "2000",
            "DEAD_LETTER_QUEUE_URL": "none",
            "MAX_DELIVERIES": "5",
            "RPC_BILLS": LOOPBACK,
            **{f"RPC_{name}": f"grpc://127.0.0.1:{others}" for name in NEIGHBOURS},
        }
        command = [sys.executable, "-m", "tests.bench.handlers.refreshes", str(utility), str(echo), kind]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=SECONDS)
    if done.returncode:
        raise RuntimeError(f"refreshes, {kind}: {done.stderr[-2000:]}")
    return msgspec.json.decode(done.stdout.splitlines()[-1], type=Measured)


def _rows(kind: str, measured: Measured) -> list[list[str]]:
    calls = measured.calls
    counts = [str(count) for count in (calls.reads, calls.writes, calls.cache, calls.rpcs)]
    share = ratio([busy for busy, _ in measured.ours], [busy for busy, _ in measured.floor])
    return [
        [kind, *_rates(measured.ours), f"{share:.2f}", *counts],
        ["the same calls, bare", *_rates(measured.floor), "1.00", *counts],
    ]


def _rates(blocks: list[tuple[float, float]]) -> list[str]:
    """By the processor's time and by the clock."""
    rates = [[1 / seconds for seconds in each] for each in zip(*blocks, strict=True)]
    return [f"{median(each):.0f} ({max(each):.0f})" for each in rates]
