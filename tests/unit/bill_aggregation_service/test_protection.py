"""What becomes of a call to a utility: it waits, it is refused, and how it ended is told."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import pytest

from functions.bill_aggregation_service import bootstrap
from functions.bill_aggregation_service.adapters.base import (
    BadCredentials,
    DocumentUnusable,
    MfaRequired,
    NoDocument,
    ProviderDeactivated,
    ProviderDown,
    ProviderError,
    ProviderMalformed,
    ProviderMisconfigured,
    ProviderThrottled,
    ProviderTimeout,
)
from functions.bill_aggregation_service.breaker import Breaker, Entered, Left, Limits
from functions.bill_aggregation_service.model import LinkId, Outcome, Provider, ProviderId
from functions.bill_aggregation_service.protection import CircuitOpen, Protection, ProviderProtected
from functions.common.cache import Cache
from functions.common.errors import Unavailable
from tests.support.redis_server import redis_server
from tests.unit.bill_aggregation_service import fakes
from tests.unit.bill_aggregation_service.fakes import USER, World

NOW = datetime(2026, 3, 5, 12, tzinfo=UTC)
LINK = fakes.LINK
PROVIDER = replace(fakes.PROVIDER, health="up")
PASS, FULL = Entered("pass", 0, ""), Entered("full", 0, "")


class Clock:
    def now(self) -> datetime:
        return NOW


@dataclass
class FakeBreaker(Breaker):
    """Answers from a list, the last one for ever; None: Redis is down."""

    verdicts: list[Entered | None]
    left: Left | None = field(default_factory=lambda: Left("", "up", ""))
    leases: list[int] = field(default_factory=list)
    endings: list[str] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)

    def enter(self, provider_id: ProviderId, token: str, lease_ms: int, known_health: str) -> Entered | None:
        assert (provider_id, known_health) == (PROVIDER.provider_id, "up")
        self.leases.append(lease_ms)
        self.tokens.append(token)
        return self.verdicts.pop(0) if len(self.verdicts) > 1 else self.verdicts[0]

    def leave(
        self, provider_id: ProviderId, token: str, link_id: LinkId, ending: str, known_health: str
    ) -> Left | None:
        assert (provider_id, link_id, known_health) == (PROVIDER.provider_id, LINK, "up")
        assert token == self.tokens[-1]
        self.endings.append(ending)
        return self.left


@dataclass
class Reports:
    told: list[tuple[ProviderId, str, datetime]] = field(default_factory=list)
    down: bool = False

    def report_health(self, provider_id: ProviderId, state: str, at: datetime) -> None:
        if self.down:
            raise Unavailable("The registry does not answer.")
        self.told.append((provider_id, state, at))


@dataclass
class Scene:
    breaker: FakeBreaker
    reports: Reports = field(default_factory=Reports)
    now: float = 100.0
    given: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    @property
    def protection(self) -> Protection:
        return Protection(
            self.breaker, self.reports, Clock(), fair_seconds=10, monotonic=lambda: self.now, sleep=self.sleep
        )

    def call(self, seconds: float = 20.0, error: BaseException | None = None) -> str:
        def fetch(left: float) -> str:
            self.given.append(left)
            if error:
                raise error
            return "bills"

        return self.protection.guard(PROVIDER, LINK, seconds, fetch)


def scene(*verdicts: Entered | None) -> Scene:
    return Scene(FakeBreaker(list(verdicts)))


def test_a_call_that_passes_is_made_and_told_of() -> None:
    calls = scene(PASS)

    assert calls.call(seconds=20) == "bills"

    assert calls.given == [20]
    assert calls.breaker.leases == [25_000]
    assert calls.breaker.endings == ["answered"]
    assert calls.reports.told == []


@pytest.mark.parametrize(
    ("error", "ending"),
    [
        (BadCredentials(), "answered"),
        (MfaRequired(["sms"], "ref"), "answered"),
        (NoDocument(), "answered"),
        (DocumentUnusable(), "answered"),
        (ProviderDown(), "failed"),
        (ProviderThrottled(), "failed"),
        (ProviderMalformed(), "failed"),
        (ProviderTimeout(), "failed"),
        (ProviderMisconfigured(), "unknown"),
        (ProviderDeactivated(), "unknown"),
        (ZeroDivisionError(), "unknown"),
        (KeyboardInterrupt(), "unknown"),
    ],
)
def test_how_a_call_ended_is_told_and_its_error_goes_on(error: BaseException, ending: str) -> None:
    calls = scene(PASS)

    with pytest.raises(type(error)) as raised:
        calls.call(error=error)

    assert raised.value is error
    assert calls.breaker.endings == [ending]


def test_a_time_out_of_a_call_that_was_given_little_time_says_nothing_of_the_utility() -> None:
    calls = scene(PASS)

    with pytest.raises(ProviderTimeout):
        calls.call(seconds=9.9, error=ProviderTimeout())
    with pytest.raises(ProviderDown):
        calls.call(seconds=9.9, error=ProviderDown())

    assert calls.breaker.endings == ["unknown", "failed"]


def test_while_the_circuit_is_open_the_utility_is_not_touched() -> None:
    calls = scene(Entered("open", 12_300, ""))

    with pytest.raises(CircuitOpen) as refused:
        calls.call()

    assert (refused.value.code, refused.value.retryable, refused.value.retry_after) == ("circuit_open", True, 13)
    assert (calls.given, calls.breaker.endings) == ([], [])


def test_a_call_waits_for_a_place_and_has_the_time_that_is_left() -> None:
    calls = scene(FULL, FULL, FULL, PASS)

    assert calls.call(seconds=20) == "bills"

    waited = calls.now - 100
    assert 0.05 + 0.1 + 0.2 <= waited <= 1.5 * 0.35
    assert calls.given == [pytest.approx(20 - waited)]
    assert calls.breaker.leases[-1] == int((25 - waited) * 1000)


def test_a_call_waits_as_long_as_the_rate_asks_for() -> None:
    calls = scene(Entered("full", 2_000, ""), PASS)

    calls.call()

    assert 2 <= calls.now - 100 <= 3


def test_where_no_place_comes_free_in_time_it_is_refused() -> None:
    calls = scene(FULL)

    with pytest.raises(ProviderProtected) as refused:
        calls.call(seconds=6)

    assert (refused.value.code, refused.value.retryable, refused.value.retry_after) == ("provider_protected", True, 5)
    assert (calls.given, calls.breaker.endings) == ([], [])
    assert 4 < calls.now - 100 <= 5, "what is left is worth no fetch"


def test_a_rate_that_asks_for_longer_than_there_is_time_refuses_at_once() -> None:
    calls = scene(Entered("full", 30_000, ""))

    with pytest.raises(ProviderProtected) as refused:
        calls.call(seconds=20)

    assert refused.value.retry_after == 30
    assert calls.now == 100


@pytest.mark.parametrize("error", [None, ProviderDown()])
def test_without_redis_every_call_passes(error: ProviderError | None) -> None:
    calls = scene(None)
    calls.breaker.left = None

    if error is None:
        assert calls.call() == "bills"
    else:
        with pytest.raises(ProviderDown):
            calls.call(error=error)

    assert calls.given == [20]
    assert calls.reports.told == []


def test_a_change_of_health_is_reported_by_whoever_sees_it() -> None:
    leaving = scene(PASS)
    leaving.breaker.left = Left("", "degraded", "degraded")
    leaving.call()
    refused = scene(Entered("open", 1_000, "down"))
    with pytest.raises(CircuitOpen):
        refused.call()

    assert leaving.reports.told == [(PROVIDER.provider_id, "degraded", NOW)]
    assert refused.reports.told == [(PROVIDER.provider_id, "down", NOW)]


def test_a_report_that_does_not_arrive_costs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    calls = scene(PASS)
    calls.breaker.left, calls.reports.down = Left("", "up", "up"), True

    assert calls.call() == "bills"

    assert [record.message for record in caplog.records] == ["health_not_reported"]


@pytest.mark.parametrize("event", ["opened", "closed"])
def test_the_log_tells_when_the_circuit_opens_and_closes(event: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    calls = scene(PASS)
    calls.breaker.left = Left(event, "up", "")

    calls.call()

    assert [record.message for record in caplog.records] == [f"circuit_{event}"]


def test_of_many_at_once_against_a_real_redis_no_more_than_its_places_reach_the_utility() -> None:
    """All get their turn, because they wait for it."""
    lock, under_way, most = threading.Lock(), 0, 0

    def fetch(_: float) -> str:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        time.sleep(0.01)
        with lock:
            under_way -= 1
        return "bills"

    with redis_server() as url, ThreadPoolExecutor(20) as pool:
        breaker = Breaker(Cache(url, 5000), Limits(places=3))
        protection = Protection(breaker, Reports(), Clock(), fair_seconds=10)
        calls = [pool.submit(protection.guard, PROVIDER, LinkId(f"lnk_{n}"), 30, fetch) for n in range(20)]
        assert [call.result() for call in calls] == ["bills"] * 20

    assert most == 3


def test_a_utility_that_goes_down_and_comes_back() -> None:
    """The whole story, with a real Redis: five fail, nobody is let through, a probe finds it up again."""
    reports, touched = Reports(), 0
    up = False

    def fetch(_: float) -> str:
        nonlocal touched
        touched += 1
        if not up:
            raise ProviderDown
        return "bills"

    def known() -> Provider:
        return replace(PROVIDER, health=reports.told[-1][1] if reports.told else "up")

    with redis_server() as url:
        breaker = Breaker(Cache(url, 5000), Limits(first_pause_ms=500))
        protection = Protection(breaker, reports, Clock(), fair_seconds=10)
        for number in range(5):
            with pytest.raises(ProviderDown):
                protection.guard(known(), LinkId(f"lnk_{number}"), 20, fetch)
        for number in range(5):
            with pytest.raises(CircuitOpen):
                protection.guard(known(), LinkId(f"lnk_{number}"), 20, fetch)
        assert touched == 5

        up = True
        time.sleep(0.52)
        assert [protection.guard(known(), LinkId(f"lnk_{n}"), 20, fetch) for n in range(5)] == ["bills"] * 5

    assert [state for _, state, _ in reports.told] == ["degraded", "down", "up"]


def test_a_refused_call_is_a_failed_attempt_that_may_be_made_again_when_it_says() -> None:
    world, calls = World(), scene(Entered("open", 12_300, ""))
    world.answers, world.services.providers = [[]], {PROVIDER.provider_id: PROVIDER}
    refresher = replace(world.refresher, guard=calls.protection.guard)

    refreshed = refresher.refresh_link(USER, LINK)

    [(_, attempt)] = world.services.outcomes
    assert (refreshed.outcome, refreshed.error_code, refreshed.retryable) == (Outcome.FAILED, "circuit_open", True)
    assert (attempt.error_code, attempt.retry_after) == ("circuit_open", 13)
    assert world.accesses == []


def test_a_fetch_is_given_what_is_left_after_waiting() -> None:
    world, calls = World(), scene(Entered("full", 2_000, ""), PASS)
    world.answers, world.services.providers = [[]], {PROVIDER.provider_id: PROVIDER}
    refresher = replace(world.refresher, guard=calls.protection.guard)

    assert refresher.refresh_link(USER, LINK).outcome is Outcome.SUCCESS

    [(_, seconds)] = world.accesses
    assert 17 <= seconds <= 18


def test_limits_come_from_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"PROVIDER_PLACES": "3", "PROVIDER_PER_MINUTE": "90", "BREAKER_WINDOW_SECONDS": "7"}
    for name, value in settings.items() | {("BREAKER_PAUSE_SECONDS", "2"), ("BILLS_TABLE", "bills")}:
        monkeypatch.setenv(name, value)
    bootstrap.answer_cache.cache_clear()

    built = bootstrap.protection(Reports(), 4.0)

    bootstrap.answer_cache.cache_clear()
    assert built.breaker.limits == Limits(places=3, per_minute=90, window_ms=7_000, first_pause_ms=2_000)
    assert built.fair_seconds == 4.0
