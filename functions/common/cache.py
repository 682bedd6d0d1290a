"""The Redis-protocol cache: rate limit and cached read in one round trip, versioned answers per user.

Each owner (a user, or an address for limits alone) has at most two keys, hash-tagged so that both live in one slot of a
clustered cache: `{owner}:limit:<policy>` and `{owner}:<space>`, a hash whose field `v` is the version of the owner's
data and whose other fields are serialised answers. A writer bumps the version, which drops the answers; a reader that
began before cannot store what it read, because it must name the version it saw.

Without Redis everything still works: nothing is cached and limits are kept per instance.
"""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from functions.common.logs import fields

if TYPE_CHECKING:
    from redis import Redis

log = logging.getLogger(__name__)

# GCRA (ITU-T I.371): one timestamp per owner says when the bucket will be empty again. Answers one text, since each
# reply more costs the client a read: allowed, remaining, wait, reset (microseconds) and the version, a line end, and
# the answer that was kept.
LIMIT_AND_READ = """
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local interval, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local tat = math.max(tonumber(redis.call('GET', KEYS[1]) or now), now)
local next_tat = tat + interval
if next_tat - burst * interval > now then
  return string.format('0 0 %.0f %.0f 0', next_tat - burst * interval - now, tat - now)
end
redis.call('SET', KEYS[1], string.format('%.0f', next_tat), 'PX', math.ceil((next_tat - now) / 1000))
local remaining = math.floor((now + burst * interval - next_tat) / interval)
local found = KEYS[2] and redis.call('HMGET', KEYS[2], 'v', ARGV[3]) or {}
return string.format('1 %.0f 0 %.0f ', remaining, next_tat - now) .. (found[1] or '0') .. '\\n' .. (found[2] or '')
"""
FILL = """
if (redis.call('HGET', KEYS[1], 'v') or '0') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], ARGV[2], ARGV[3])
redis.call('EXPIRE', KEYS[1], 86400)
return 1
"""
BUMP = """
local v = redis.call('HINCRBY', KEYS[1], 'v', 1)
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'v', v)
redis.call('EXPIRE', KEYS[1], ARGV[1])
return v
"""
VERSION_TTL_SECONDS = 86_400
RETRY_AFTER_FAILURE_SECONDS = 1.0
MAX_LOCAL = 10_000
"""Owners that an instance keeps limits of while the cache is down."""


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `per_minute` requests a minute, evenly refilled; `policy` names it in keys and in the RateLimit
    headers."""

    policy: str
    per_minute: int


@dataclass(frozen=True, slots=True)
class Verdict:
    allowed: bool
    remaining: int
    retry_after: float
    """Seconds until the next request may pass; 0 when this one may."""
    reset: float
    """Seconds until the full quota is there again."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Where an answer is kept: `space` of an `owner`, under a name derived from the question."""

    owner: str
    space: str
    name: str

    @property
    def key(self) -> str:
        return space_key(self.owner, self.space)


@dataclass(frozen=True, slots=True)
class Cached:
    """What the cache knew: the version of the owner's data (0: none), and the answer if there was one."""

    version: int = 0
    value: bytes | None = None
    stored_at: float = 0.0
    """Unix time at which the answer was stored; for its soft age."""


def space_key(owner: str, space: str) -> str:
    return f"{{{owner}}}:{space}"


class Cache:
    """One per process. All methods swallow the cache's failures: it only ever speeds things up."""

    def __init__(
        self,
        url: str,
        timeout_ms: int,
        now: Callable[[], float] = time.monotonic,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._url = url
        self._timeout = timeout_ms / 1000
        self._now = now
        self._clock = clock
        self._retry_at = 0.0
        self._down = False
        self._client: Redis | None = None
        self._scripts: dict[str, Any] = {}  # Any: redis-py's Script has no useful type
        self._local: dict[str, float] = {}

    def limit_and_read(self, owner: str, limit: Limit, entry: Entry | None = None) -> tuple[Verdict, Cached]:
        """Counts one request of `owner` against `limit` and, in the same round trip, looks `entry` up."""
        interval = 60_000_000 // max(limit.per_minute, 1)
        keys = [f"{{{owner}}}:limit:{limit.policy}"] + ([entry.key] if entry else [])
        args: list[str | int] = [interval, limit.per_minute] + ([entry.name] if entry else [])
        answer = self.run(LIMIT_AND_READ, keys, args)
        if answer is None:
            return self._limit_locally(keys[0], interval / 1e6, limit.per_minute), Cached()
        told, _, framed = answer.partition(b"\n")
        allowed, remaining, wait, reset, version = map(int, told.split())
        return Verdict(bool(allowed), remaining, wait / 1e6, reset / 1e6), self._cached(version, framed)

    def fill(self, entry: Entry, version: int, value: bytes, ttl_seconds: int) -> bool:
        """Keeps `value`, unless the owner's data changed since `version` was seen. Whether it was kept."""
        if ttl_seconds <= 0:
            return False
        stored_at = self._clock()
        framed = f"{stored_at:.3f} {stored_at + ttl_seconds:.3f}\n".encode() + value
        return bool(self.run(FILL, [entry.key], [version, entry.name, framed]))

    def bump(self, owner: str, space: str) -> None:
        """The owner's data changed: no answer read before this moment is served or stored any more."""
        # Even just after a failure: a reader may do without the cache, but old answers in it must go.
        self._retry_at = 0.0
        self.run(BUMP, [space_key(owner, space)], [VERSION_TTL_SECONDS])

    def _cached(self, version: int, framed: bytes) -> Cached:
        """Answers of one owner share a key and so a time-to-live; each carries its own end in its first line."""
        if not framed:
            return Cached(version)
        head, _, value = framed.partition(b"\n")
        stored_at, expires_at = map(float, head.split())
        if expires_at <= self._clock():
            return Cached(version)
        return Cached(version, value, stored_at)

    def run(self, script: str, keys: list[str], args: list[Any]) -> Any:  # Any: Redis replies are untyped
        """What the Lua script answers, in one round trip; None where the cache does not answer in time. The keys of one
        script share a hash tag."""
        if not self._url or self._now() < self._retry_at:
            return None
        import redis

        try:
            answer = self._script(script)(keys=keys, args=args)
        except redis.RedisError as error:
            self._retry_at = self._now() + RETRY_AFTER_FAILURE_SECONDS
            if not self._down:  # once, not with each request that finds it so
                log.warning("cache_unavailable", extra=fields(error=type(error).__name__))
            self._down = True
            return None
        if self._down:
            log.info("cache_available")
            self._down = False
        return answer

    def _script(self, source: str) -> Any:  # Any: redis-py's Script
        if self._client is None:
            import redis

            self._client = redis.Redis.from_url(
                self._url, socket_timeout=self._timeout, socket_connect_timeout=max(self._timeout, 0.2)
            )
        if source not in self._scripts:
            self._scripts[source] = self._client.register_script(source)
        return self._scripts[source]

    def _limit_locally(self, key: str, interval: float, burst: int) -> Verdict:
        now = self._now()
        tat = max(self._local.get(key, now), now) + interval
        wait = tat - burst * interval - now
        if wait > 1e-6:  # less is only the rounding of the sum
            return Verdict(False, 0, wait, tat - interval - now)
        if len(self._local) >= MAX_LOCAL:
            self._forget(now)
        self._local[key] = tat
        return Verdict(True, int((now + burst * interval - tat) / interval + 1e-3), 0.0, tat - now)

    def _forget(self, now: float) -> None:
        """Those that are idle; and when too many are not, those that used up least."""
        busy = sorted((tat, key) for key, tat in self._local.items() if tat > now)
        self._local = {key: tat for tat, key in busy[-(MAX_LOCAL // 2) :]}


def rate_limit_headers(limit: Limit, verdict: Verdict) -> Mapping[str, str]:
    """draft-ietf-httpapi-ratelimit-headers: policy, what is left (r) and seconds until it is full again (t)."""
    return {
        "RateLimit-Policy": f'"{limit.policy}";q={limit.per_minute};w=60',
        "RateLimit": f'"{limit.policy}";r={verdict.remaining};t={int(verdict.reset + 0.999)}',
    }
