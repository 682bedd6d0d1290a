"""RefreshWorker's and BillRpc's handlers in one process, batch after batch, beside the calls that no refresh can do
without: the same number of them, made bare, by as many threads.

`python -m … <utility's port> <echo's port> unchanged|changed` finds its settings in the environment and prints one line
of JSON (`Measured`). Time is the processor's of this process: what waits costs nothing, and others do not count.
"""

import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from unittest.mock import patch

import boto3
import grpc
import msgspec
import redis
from google.protobuf.message import Message

from functions.bill_aggregation_service import rpc as bills
from functions.bill_aggregation_service.settings import StoreSettings
from functions.common.rpc.client import Channel, M, Stub, channel_to
from functions.common.rpc.envelope import Call, Reply
from functions.common.settings import load
from functions.contracts.events.bills import BillsRefreshRequestedV1
from functions.contracts.events.envelope import wrap
from functions.contracts.rpc.bills_pb2 import RefreshLinkReply
from functions.listener_service import app, bootstrap
from tests.bench.handlers.echo import METHOD
from tests.bench.handlers.neighbours import link_id
from tests.bench.live_read import USER, call_utility, quiet
from tests.support.counting import READS, Counts, counting
from tests.support.fakes import LoopbackChannel
from tests.unit.listener_service.fakes import FakeContext, sqs_event

BATCH, LINKS, BLOCKS = 10, 30, 7
LOOPBACK = "loopback"
ROW = {"user_id": {"S": "usr_floor"}, "sk": {"S": "link#floor"}, "sort_key": {"S": "2026-01-01"}}


class Calls(msgspec.Struct, kw_only=True):
    """Of one refresh by the aggregator, in an instance that is warm."""

    reads: int = 0
    writes: int = 0
    cache: int = 0
    rpcs: int = 0
    """Which leave the process."""


class Measured(msgspec.Struct, kw_only=True):
    """Per block, seconds of the processor and seconds that passed; per refresh."""

    calls: Calls
    ours: list[tuple[float, float]]
    floor: list[tuple[float, float]]


class Heard(LoopbackChannel):
    """Keeps the replies, to be looked at when the clock does not run."""

    def __init__(self) -> None:
        super().__init__(bills.handler)
        self.replies: list[Reply] = []

    def invoke(self, call: Call) -> Reply:
        reply = super().invoke(call)
        self.replies.append(reply)
        return reply

    def check(self, count: int, updated: int) -> None:
        """Raises RuntimeError unless so many links were read, with so many changed bills each."""
        told = [RefreshLinkReply.FromString(reply.message) for reply in self.replies]
        wrong = [one for one in told if (one.outcome, one.updated) != ("fresh", updated)]
        if wrong or len(told) != count:
            raise RuntimeError(f"{len(told)} of {count} links were refreshed; wrong: {wrong[:2]}")
        self.replies.clear()
        self.calls.clear()


def main(utility: int, echo: int, kind: str) -> Measured:
    heard = Heard()
    _listener(heard)
    updated = {"unchanged": 0, "changed": 1}[kind]
    everything = [_batch(range(first, first + BATCH)) for first in range(0, LINKS, BATCH)]
    for _ in range(2):  # all is new, then a connection for each thread is there
        _refresh(everything)
        heard.replies.clear()
    calls = _counted(_batch(range(1)))
    heard.check(1, updated)
    measured = Measured(calls=calls, ours=[], floor=[])
    with _bare(calls, utility, echo) as bare:
        for number in range(BLOCKS + 1):
            ours, floor = _seconds(lambda: _refresh(everything)), _seconds(lambda: _floor(bare))
            heard.check(LINKS, updated)
            if number:  # the first is for warming up
                measured.ours.append(ours)
                measured.floor.append(floor)
    return measured


def _listener(heard: Heard) -> None:
    """RefreshWorker as it builds itself, but that BillRpc is in this process."""

    def channel(target: str) -> Channel:
        return heard if target == LOOPBACK else channel_to(target)

    with patch.object(bootstrap, "channel_to", channel):
        bootstrap.refreshing()


def _batch(numbers: range) -> dict[str, object]:
    now = datetime.now(UTC)
    return sqs_event(
        wrap(BillsRefreshRequestedV1(user_id=USER, link_id=link_id(number), reason="sweep"), now) for number in numbers
    )


def _refresh(batches: list[dict[str, object]]) -> None:
    for batch in batches:
        if app.refresh(batch, FakeContext()) != {"batchItemFailures": []}:
            raise RuntimeError("a message was not done")


def _counted(batch: dict[str, object]) -> Calls:
    counts, rpcs = Counts(), Counter[str]()
    call = Stub.call

    def called(self: Stub, method: str, request: Message, reply_type: type[M]) -> M:
        rpcs[method] += 1
        return call(self, method, request, reply_type)

    with counting(counts), patch.object(Stub, "call", called):
        _refresh([batch])
    reads = sum(operation in READS for _, operation, _ in counts.calls)
    writes, rpcs["RefreshLink"] = len(counts.calls) - reads, 0
    return Calls(reads=reads, writes=writes, cache=counts.redis, rpcs=rpcs.total())


@contextmanager
def _bare(calls: Calls, utility: int, echo: int) -> Iterator[Callable[[], None]]:
    """What makes as many calls as one refresh, of the same servers."""
    name = load(StoreSettings, os.environ)
    table, cache = boto3.client("dynamodb"), redis.Redis.from_url(name.cache_url)
    key = {each: ROW[each] for each in ("user_id", "sk")}
    with grpc.insecure_channel(f"127.0.0.1:{echo}") as channel:
        send: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(METHOD)

        def refresh() -> None:
            call_utility(utility)
            for _ in range(calls.rpcs):
                send(bytes(100), timeout=10)
            for _ in range(calls.reads):
                table.get_item(TableName=name.bills_table, Key=key)
            for _ in range(calls.writes):
                table.put_item(TableName=name.bills_table, Item=ROW)
            for _ in range(calls.cache):
                cache.get("floor")

        yield refresh


def _floor(bare: Callable[[], None]) -> None:
    for _ in range(0, LINKS, BATCH):
        with ThreadPoolExecutor(BATCH) as pool:
            list(pool.map(lambda _: bare(), range(BATCH)))


def _seconds(work: Callable[[], None]) -> tuple[float, float]:
    processor, passed = time.process_time(), time.perf_counter()
    work()
    return (time.process_time() - processor) / LINKS, (time.perf_counter() - passed) / LINKS


if __name__ == "__main__":
    with quiet():
        said = msgspec.json.encode(main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
    sys.stdout.buffer.write(said + b"\n")
