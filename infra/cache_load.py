"""What a flow asks of the Redis-protocol server: bytes, commands, and processor time against that of a plain GET.

ElastiCache Serverless bills by ECPUs: one for a simple command of up to a kilobyte, more by the kilobyte or by the
processor time, whichever is more (https://aws.amazon.com/elasticache/pricing/).
"""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast  # Any: redis-py's answers

import redis

PLAIN = 2000  # GETs that say how long one takes
KILOBYTE = 1024
OWN = frozenset({"client", "config", "hello", "info", "ping"})
"""What measuring itself sends, and what opens a connection."""


class CacheLoad:
    def __init__(self, url: str) -> None:
        self._client = redis.Redis.from_url(url)

    @contextmanager
    def weighed(self) -> Iterator[dict[str, float]]:
        """Filled when the block ends: `commands` that clients sent, `kilobytes` in and out, `ecpus`."""
        plain, load = self._plain_get(), dict[str, float]()
        with self._commands() as sent:
            self._client.config_resetstat()
            yield load
            told, network = self._stats("commandstats"), self._stats("stats")
        moved = sum(network[f"total_net_{way}_bytes"] for way in ("input", "output"))
        spent = sum(sent[name] * told[f"cmdstat_{name}"]["usec_per_call"] for name in sent if f"cmdstat_{name}" in told)
        load["commands"] = float(sent.total())
        load["kilobytes"] = (moved - sent.monitored) / KILOBYTE
        load["ecpus"] = max(load["kilobytes"], spent / plain, load["commands"])

    def _plain_get(self) -> float:
        """Microseconds of a GET of a short value."""
        self._client.set("measure:plain", "x" * 100, ex=60)
        self._client.config_resetstat()
        for _ in range(PLAIN):
            self._client.get("measure:plain")
        return float(self._stats("commandstats")["cmdstat_get"]["usec_per_call"])

    def _stats(self, section: str) -> dict[str, Any]:
        return cast("dict[str, Any]", self._client.info(section))

    @contextmanager
    def _commands(self) -> "Iterator[_Sent]":
        """Counts what clients send, and not what scripts do on their behalf."""
        sent = _Sent()
        with self._client.monitor() as monitor:  # type: ignore[no-untyped-call]  # redis-py's own
            listener = threading.Thread(target=_listen, args=(monitor, sent), daemon=True)
            listener.start()
            yield sent
            time.sleep(0.2)
            sent.ended = True
            self._client.ping()  # what the listener waits for
            listener.join(5)


class _Sent(Counter[str]):
    """By name of the command. `monitored`: bytes that went into telling us."""

    ended = False
    monitored = 0


def _listen(monitor: Any, sent: _Sent) -> None:
    while not sent.ended:
        told = monitor.next_command()
        sent.monitored += len(told["command"].encode()) + 40  # the time and the address before it
        name = told["command"].split(" ", 1)[0].lower()
        if told["client_type"] != "lua" and name not in OWN:
            sent[name] += 1
