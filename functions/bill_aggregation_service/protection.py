"""Keeps the platform from harming a utility that is slow or down, and tells the registry how the utilities fare.

A call to a utility waits for one of its places; while the circuit breaker is open it is refused without the utility
being touched. Login errors and codes that are asked for are answers: a utility that refuses a login is up.

Without Redis there is no protection, and every call passes: it must never be the cause of a bill that is not read.
"""

import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeVar

from functions.bill_aggregation_service.adapters.base import (
    DocumentError,
    NeedsAction,
    ProviderDeactivated,
    ProviderError,
    ProviderMisconfigured,
    ProviderTimeout,
)
from functions.bill_aggregation_service.breaker import Breaker, Entered, Left
from functions.bill_aggregation_service.model import LinkId, Provider, ProviderId
from functions.common import logs
from functions.common.clock import Clock
from functions.common.errors import AppError
from functions.common.ids import new_id

log = logging.getLogger(__name__)

T = TypeVar("T")
LEASE_MARGIN_SECONDS = 5.0
"""A fetch ends in time by itself; its place is free this much later even if its worker does not say so."""
FULL_RETRY_SECONDS = 5


class CircuitOpen(ProviderError):
    """The utility fails for many, and is left in peace for a while."""

    code = "circuit_open"


class ProviderProtected(ProviderError):
    """As many calls as the utility may be given are under way, and none of them ended in time."""

    code = "provider_protected"


class HealthReports(Protocol):
    def report_health(self, provider_id: ProviderId, state: str, at: datetime) -> None: ...


@dataclass(frozen=True, slots=True)
class Protection:
    breaker: Breaker
    reports: HealthReports
    clock: Clock
    fair_seconds: float
    """A fetch that was given less has timed out because of us, which says nothing of the utility."""
    least_seconds: float = 1.0
    """With less than this left a fetch is not worth beginning."""
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def guard(self, provider: Provider, link_id: LinkId, seconds: float, fetch: Callable[[float], T]) -> T:
        """What `fetch` answers, which is given what is left of `seconds` when a place is free.

        Raises what it raises, CircuitOpen, or ProviderProtected.
        """
        late_at = self.monotonic() + seconds
        token = new_id("cal")
        self._enter(provider, token, late_at)
        ending = "unknown"
        left = late_at - self.monotonic()
        try:
            answer = fetch(left)
            ending = "answered"
        except ProviderError as error:
            ending = self._ending(error, left)
            raise
        else:
            return answer
        finally:
            self._leave(provider, token, link_id, ending)

    def _enter(self, provider: Provider, token: str, late_at: float) -> None:
        """Returns once there is a place. One round trip, and another each time that all are taken."""
        tries = 0
        while True:
            left = late_at - self.monotonic()
            lease_ms = int((left + LEASE_MARGIN_SECONDS) * 1000)
            entered = self.breaker.enter(provider.provider_id, token, lease_ms, provider.health)
            if entered is None or entered.verdict == "pass":
                return
            if entered.report:
                self._report(provider.provider_id, entered.report)
            if entered.verdict == "open":
                raise CircuitOpen("the utility fails for many", retry_after=_seconds(entered))
            pause = max(entered.wait_ms / 1000, 0.05 * 2 ** min(tries, 3)) * random.uniform(1, 1.5)  # noqa: S311
            if left - pause < self.least_seconds:
                raise ProviderProtected("all places are taken", retry_after=max(FULL_RETRY_SECONDS, _seconds(entered)))
            self.sleep(pause)
            tries += 1

    def _leave(self, provider: Provider, token: str, link_id: LinkId, ending: str) -> None:
        left = self.breaker.leave(provider.provider_id, token, link_id, ending, provider.health)
        if left is None:
            return
        if left.event:
            _tell(provider.provider_id, left)
        if left.report:
            self._report(provider.provider_id, left.report)

    def _ending(self, error: ProviderError, seconds: float) -> str:
        match error:
            case NeedsAction() | DocumentError():
                return "answered"
            case ProviderMisconfigured() | ProviderDeactivated():
                return "unknown"
            case ProviderTimeout() if seconds < self.fair_seconds:
                return "unknown"
        return "failed"

    def _report(self, provider_id: ProviderId, state: str) -> None:
        """A report that does not arrive is made again by whoever calls the utility next, after a while."""
        try:
            self.reports.report_health(provider_id, state, self.clock.now())
        except AppError as error:
            log.warning("health_not_reported", extra=logs.fields(provider_id=provider_id, state=state, code=error.code))


def _tell(provider_id: ProviderId, left: Left) -> None:
    if left.event == "opened":
        log.warning("circuit_opened", extra=logs.fields(provider_id=provider_id))
    else:
        log.info("circuit_closed", extra=logs.fields(provider_id=provider_id))


def _seconds(entered: Entered) -> int:
    return -(-entered.wait_ms // 1000)
