"""The Redis-protocol cache: rate limit and cached read in one round trip, versioned answers per user.

Each owner (a user, or an address for limits alone) has at most two keys, hash-tagged so that both live in one slot of a
clustered cache: `{owner}:limit:<policy>` and `{owner}:<space>`, a hash of serialised answers. A writer bumps the
version of the space, which drops the answers; a reader that began before cannot store what it read, because it must
name the version it saw.

An answer has two ages. Past the soft one it is served all the same, and one reader is told to ask for its renewal; past
the hard one it is not served. What is not there, one reader fills, while others wait for it a moment at most.

Without Redis everything still works: nothing is cached and limits are kept per instance.
"""

import logging
import time
from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import msgspec

from functions.common.cache_scripts import BUMP, FILL, LEASE, LIMIT_AND_READ, LOOK
from functions.common.logs import fields
from functions.common.rate_limit import Limit, LocalLimits, Verdict

if TYPE_CHECKING:
    from functions.common.redis_server import RedisServer

log = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 8.0
"""For which the cache is left alone after a failure; doubled with each failure in a row."""
BUMP_TIMEOUT_MS = 500
"""A write rather takes long than stays unseen."""
FILL_LEASE_MS = 2_000
"""Longer than a read of the table takes. Who took the lease and broke keeps the others waiting only so long."""
RENEW_LEASE_MS = 30_000
"""Longer than a renewal takes, with a cold start."""
LOOKS_SECONDS = (0.005, 0.01, 0.015)
"""Pauses in which a reader looks whether somebody else has filled what it misses, before it reads the table itself."""
MAX_FIELDS = 200
"""Of one owner's space: answers and leases."""


class NoReply(Exception):
    """No server that can be reached, none in time, or an error: what it was, in a word."""


class Found(StrEnum):
    NOTHING = "nothing"
    """Nothing was asked for, the request was refused, or there is no cache."""
    FRESH = "fresh"
    STALE = "stale"
    """Past its soft age: serve it."""
    RENEW = "renew"
    """The same, and of all readers this one is to ask for the renewal."""
    MISS = "miss"
    """This reader fills it."""
    BUSY = "busy"
    """Somebody else fills it, but was not done in time."""
    DOWN = "down"


class Entry(msgspec.Struct, frozen=True):
    """Where an answer is kept: `space` of an `owner`, under a name derived from the question."""

    owner: str
    space: str
    name: str

    @property
    def key(self) -> str:
        return f"{{{self.owner}}}:{self.space}"


class Cached(msgspec.Struct, frozen=True):
    """What the cache knew: the version of the owner's data (0: unknown), and the answer if there was one."""

    version: int = 0
    value: bytes | None = None
    tag: str = ""
    """The answer's entity tag, as it was kept beside it."""
    found: Found = Found.NOTHING


class Cache:
    """One per process. All methods swallow the cache's failures: it only ever speeds things up."""

    def __init__(
        self,
        url: str,
        timeout_ms: int,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._url = url
        self._timeout_ms = timeout_ms
        self._now = now
        self._sleep = sleep
        self._failures = 0
        self._retry_at = 0.0
        self._servers: dict[int, RedisServer] = {}
        self._local = LocalLimits(now)

    def limit_and_read(self, owner: str, limit: Limit, entry: Entry | None = None) -> tuple[Verdict, Cached]:
        """Counts one request of `owner` against `limit` and, in the same round trip, looks `entry` up."""
        keys = [f"{{{owner}}}:limit:{limit.policy}"]
        args: list[str | int] = [limit.interval_us, limit.per_minute]
        if entry:
            keys.append(entry.key)
            args += [entry.name, FILL_LEASE_MS, RENEW_LEASE_MS]
        answer = self.run(LIMIT_AND_READ, keys, args)
        if answer is None:
            found_down = Found.DOWN if entry and self._url else Found.NOTHING
            return self._local.count(keys[0], limit), Cached(found=found_down)
        told, _, framed = answer.partition(b"\n")
        allowed, remaining, wait, reset, version, found = told.split()
        verdict = Verdict(allowed == b"1", int(remaining), int(wait) / 1e6, int(reset) / 1e6)
        cached = _unframed(int(version), Found(found.decode()), framed)
        return verdict, self._awaited(entry, cached) if entry and cached.found is Found.BUSY else cached

    def fill(self, entry: Entry, seen: Cached, value: bytes, tag: str, soft_end: datetime, hard_end: datetime) -> bool:
        """Keeps `value` with its entity tag, unless the owner's data changed since `seen`. Whether it was kept."""
        if not seen.version:
            return False
        framed = f"{_ms(soft_end)} {_ms(hard_end)} {tag}\n".encode() + value
        return bool(self.run(FILL, [entry.key], [seen.version, entry.name, framed, MAX_FIELDS]))

    def bump(self, owner: str, space: str) -> None:
        """The owner's data changed: no answer read before this moment is served or stored any more."""
        # Even just after a failure: a reader may do without the cache, but old answers in it must go.
        self._retry_at = 0.0
        if self.run(BUMP, [Entry(owner, space, "").key], [], BUMP_TIMEOUT_MS) is None and self._url:
            log.error("cache_not_bumped", extra=fields(owner=owner, space=space))

    def lease(self, owner: str, name: str, seconds: int) -> bool:
        """Whether the caller is the only one to do this for so long. Nobody is while the cache is down."""
        return bool(self.run(LEASE, [f"{{{owner}}}:lease:{name}"], [seconds * 1000]))

    def give_back(self, owner: str, name: str) -> None:
        """Ends a lease that the caller has got, since nothing was done under it: the next one may be first."""
        self.run("return redis.call('DEL', KEYS[1])", [f"{{{owner}}}:lease:{name}"], [])

    def run(self, script: str, keys: list[str], args: list[Any], timeout_ms: int = 0) -> Any:  # Any: replies, untyped
        """What the Lua script answers, in one round trip; None where the cache does not answer in time. The keys of one
        script share a hash tag."""
        if not self._url or self._now() < self._retry_at:
            return None
        try:
            answer = self._server(timeout_ms or self._timeout_ms).run(script, keys, args)
        except NoReply as error:
            self._failed(error)
            return None
        if self._failures:
            log.info("cache_available")
            self._failures = 0
        return answer

    def _awaited(self, entry: Entry, missed: Cached) -> Cached:
        for seconds in LOOKS_SECONDS:
            self._sleep(seconds)
            framed = self.run(LOOK, [entry.key], [entry.name])
            if framed:
                return _unframed(missed.version, Found.FRESH, framed)
        return missed

    def _failed(self, error: NoReply) -> None:
        pause = min(FIRST_PAUSE_SECONDS * 2**self._failures, LONGEST_PAUSE_SECONDS)
        self._retry_at = self._now() + pause
        if not self._failures:  # once, not with each request that finds it so
            log.warning("cache_unavailable", extra=fields(error=str(error)))
        self._failures += 1

    def _server(self, timeout_ms: int) -> "RedisServer":
        if timeout_ms not in self._servers:
            # Here, not above: redis-py costs 60 ms of cold start, and some requests are refused before.
            from functions.common.redis_server import RedisServer

            self._servers[timeout_ms] = RedisServer(self._url, timeout_ms / 1000)
        return self._servers[timeout_ms]


def _unframed(version: int, found: Found, framed: bytes) -> Cached:
    if not framed:
        return Cached(version, found=found)
    head, _, value = framed.partition(b"\n")
    return Cached(version, value, head.rpartition(b" ")[2].decode(), found)


def _ms(instant: datetime) -> int:
    return int(instant.timestamp() * 1000)
