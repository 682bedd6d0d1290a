"""Rate limits: what is allowed, what is said of it in headers, and the limits that an instance keeps by itself while
there is no cache. The exact ones, counted for all instances together, are in `cache.py`."""

import time
from collections.abc import Callable, Mapping

import msgspec

MAX_LOCAL = 10_000
"""Owners that an instance keeps limits of while the cache is down."""


class Limit(msgspec.Struct, frozen=True):
    """At most `per_minute` requests a minute, evenly refilled; `policy` names it in keys and in the RateLimit
    headers."""

    policy: str
    per_minute: int

    @property
    def interval_us(self) -> int:
        """Microseconds in which one more request is refilled."""
        return 60_000_000 // max(self.per_minute, 1)


class Verdict(msgspec.Struct, frozen=True):
    allowed: bool
    remaining: int
    retry_after: float
    """Seconds until the next request may pass; 0 when this one may."""
    reset: float
    """Seconds until the full quota is there again."""


class LocalLimits:
    """GCRA like the cache's, in memory and for this instance alone."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._arrivals: dict[str, float] = {}

    def count(self, key: str, limit: Limit) -> Verdict:
        now, interval, burst = self._now(), limit.interval_us / 1e6, limit.per_minute
        tat = max(self._arrivals.get(key, now), now) + interval
        wait = tat - burst * interval - now
        if wait > 1e-6:  # less is only the rounding of the sum
            return Verdict(False, 0, wait, tat - interval - now)
        if len(self._arrivals) >= MAX_LOCAL:
            self._forget(now)
        self._arrivals[key] = tat
        return Verdict(True, int((now + burst * interval - tat) / interval + 1e-3), 0.0, tat - now)

    def __len__(self) -> int:
        return len(self._arrivals)

    def _forget(self, now: float) -> None:
        """Those that are idle; and when too many are not, those that used up least."""
        busy = sorted((tat, key) for key, tat in self._arrivals.items() if tat > now)
        self._arrivals = {key: tat for tat, key in busy[-(MAX_LOCAL // 2) :]}


def rate_limit_headers(limit: Limit, verdict: Verdict) -> Mapping[str, str]:
    """draft-ietf-httpapi-ratelimit-headers: policy, what is left (r) and seconds until it is full again (t)."""
    return {
        "RateLimit-Policy": f'"{limit.policy}";q={limit.per_minute};w=60',
        "RateLimit": f'"{limit.policy}";r={verdict.remaining};t={int(verdict.reset + 0.999)}',
    }
