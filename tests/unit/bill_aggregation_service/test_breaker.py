"""The breaker against a real Redis, because what it promises is what its Lua scripts do."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.connection import AbstractConnection

from functions.bill_aggregation_service.breaker import Breaker, Entered, Left, Limits
from functions.bill_aggregation_service.model import LinkId, ProviderId
from functions.common.cache import Cache
from tests.support.redis_server import redis_server

POWER, GAS = ProviderId("prv_power"), ProviderId("prv_gas")
LEASE = 10_000
PASS = Entered("pass", 0, "")


@pytest.fixture(scope="module")
def redis_process() -> Iterator[str]:
    with redis_server() as url:
        yield url


@pytest.fixture
def cache(redis_process: str) -> Cache:
    redis.Redis.from_url(redis_process).flushall()
    return Cache(redis_process, 5000)


def enter(breaker: Breaker, token: str = "t", *, known: str = "up", provider: ProviderId = POWER) -> Entered:
    entered = breaker.enter(provider, token, LEASE, known)
    assert entered
    return entered


def leave(breaker: Breaker, link: str, ending: str, *, token: str = "t", known: str = "up") -> Left:
    left = breaker.leave(POWER, token, LinkId(link), ending, known)
    assert left
    return left


def calls(breaker: Breaker, *endings: str, known: str = "up") -> list[Left]:
    """One call after the other, each for a link of its own."""
    done = []
    for number, ending in enumerate(endings):
        assert enter(breaker, known=known).verdict == "pass"
        done.append(leave(breaker, f"lnk_{number}", ending, known=known))
    return done


# places


def test_as_many_calls_as_there_are_places_and_one_more_when_one_has_left(cache: Cache) -> None:
    breaker = Breaker(cache, Limits(places=2))

    assert [enter(breaker, f"t{n}").verdict for n in range(3)] == ["pass", "pass", "full"]
    leave(breaker, "lnk_1", "answered", token="t1")
    assert [enter(breaker, f"u{n}").verdict for n in range(2)] == ["pass", "full"]


def test_each_utility_has_places_of_its_own(cache: Cache) -> None:
    breaker = Breaker(cache, Limits(places=1))

    assert enter(breaker) == PASS
    assert enter(breaker, provider=GAS) == PASS


def test_a_worker_that_crashed_frees_its_place_when_its_lease_ends(cache: Cache) -> None:
    breaker = Breaker(cache, Limits(places=2))
    enter(breaker, "at work")
    breaker.enter(POWER, "crashed", 300, "up")
    assert enter(breaker).verdict == "full"

    time.sleep(0.32)

    assert [enter(breaker, f"t{n}").verdict for n in range(2)] == ["pass", "full"]


def test_without_a_limit_all_pass(cache: Cache) -> None:
    breaker = Breaker(cache, Limits(places=0))

    assert {enter(breaker, f"t{n}") for n in range(200)} == {PASS}


def test_a_burst_passes_at_once_and_then_calls_pass_at_the_rate(cache: Cache) -> None:
    breaker = Breaker(cache, Limits(places=3, per_minute=120))  # one every 500 ms

    for number in range(3):
        assert enter(breaker, f"t{number}") == PASS
        leave(breaker, "lnk_1", "answered", token=f"t{number}")
    refused = enter(breaker)
    assert (refused.verdict, 0 < refused.wait_ms <= 500) == ("full", True)
    time.sleep(refused.wait_ms / 1000 + 0.001)
    assert enter(breaker) == PASS


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(places=st.integers(1, 6), workers=st.integers(1, 12), crashes=st.integers(0, 3), rounds=st.integers(1, 4))
def test_a_burst_never_has_more_calls_under_way_than_places(
    redis_process: str, places: int, workers: int, crashes: int, rounds: int
) -> None:
    """Workers with caches of their own, as functions have them, all at once; some never leave."""
    redis.Redis.from_url(redis_process).flushall()
    lock, under_way, most, passed = threading.Lock(), 0, 0, 0
    start = threading.Barrier(workers)

    def work(number: int) -> None:
        nonlocal under_way, most, passed
        breaker = Breaker(Cache(redis_process, 5000), Limits(places=places))
        start.wait()
        for turn in range(rounds):
            if enter(breaker, f"{number}.{turn}").verdict != "pass":
                continue
            with lock:
                under_way, passed = under_way + 1, passed + 1
                most = max(most, under_way)
            if number < crashes:
                continue  # its place stays taken
            with lock:
                under_way -= 1
            leave(breaker, f"lnk_{number}", "answered", token=f"{number}.{turn}")

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(work, range(workers)))

    assert most <= places
    assert passed >= min(places, workers)


# the circuit


@pytest.mark.parametrize(
    ("endings", "opens"),
    [
        (["failed"] * 4, False),  # too few links to conclude anything
        (["failed"] * 5, True),
        (["answered", "answered", "answered", "failed", "failed"], False),
        (["answered", "answered", "failed", "failed", "failed"], True),
        (["answered", "failed"] * 3, True),  # exactly half
        (["unknown"] * 9, False),
        (["failed"] * 4 + ["unknown"] * 9, False),
    ],
)
def test_it_opens_when_half_of_the_calls_over_five_links_fail(cache: Cache, endings: list[str], opens: bool) -> None:
    breaker = Breaker(cache, Limits())

    events = [left.event for left in calls(breaker, *endings)]

    assert events == [""] * (len(endings) - 1) + (["opened"] if opens else [""])
    assert (enter(breaker).verdict == "open") is opens


def test_one_account_that_is_tried_again_and_again_counts_once(cache: Cache) -> None:
    breaker = Breaker(cache, Limits())
    calls(breaker, "answered", "answered", "answered", "answered")

    for _ in range(20):
        enter(breaker)
        assert leave(breaker, "lnk_cursed", "failed").event == ""


def test_of_a_link_the_latest_call_counts(cache: Cache) -> None:
    breaker = Breaker(cache, Limits())
    calls(breaker, *["failed"] * 4)
    calls(breaker, *["answered"] * 4)  # the same links

    enter(breaker)
    assert leave(breaker, "lnk_5", "failed").event == ""


def test_old_calls_do_not_count(cache: Cache) -> None:
    """Nor do they while others come in all the time."""
    breaker = Breaker(cache, Limits(window_ms=200))
    calls(breaker, "failed", "failed")
    for number in range(3):
        time.sleep(0.09)
        enter(breaker)
        assert leave(breaker, f"lnk_later_{number}", "failed").event == ""


def test_the_record_does_not_grow_without_end(cache: Cache, redis_process: str) -> None:
    breaker = Breaker(cache, Limits(kept_calls=7))

    calls(breaker, *["answered"] * 20)

    assert redis.Redis.from_url(redis_process).llen("{prv_power}:latest") == 7


def test_nothing_is_kept_for_ever(cache: Cache, redis_process: str) -> None:
    breaker = Breaker(cache, Limits(per_minute=6000, first_pause_ms=20))
    calls(breaker, *["failed"] * 5)
    time.sleep(0.03)
    enter(breaker, "probe")

    server = redis.Redis.from_url(redis_process)
    names = {"calling", "probing", "latest", "circuit"}
    assert {key.decode() for key in server.scan_iter()} == {f"{{prv_power}}:{name}" for name in names}
    assert all(int(str(server.pttl(key))) > 0 for key in server.scan_iter())


def test_while_open_calls_are_refused_and_told_for_how_long(cache: Cache) -> None:
    breaker = Breaker(cache, Limits())
    calls(breaker, *["failed"] * 5)

    refused = enter(breaker)

    assert refused.verdict == "open"
    assert 29_000 < refused.wait_ms <= 30_000


def half_open(cache: Cache, *, probes: int = 2, pause_ms: int = 60) -> Breaker:
    breaker = Breaker(cache, Limits(probes=probes, first_pause_ms=pause_ms, longest_pause_ms=5 * pause_ms))
    calls(breaker, *["failed"] * 5)
    time.sleep(pause_ms / 1000 + 0.02)
    return breaker


def test_half_open_it_lets_a_few_try(cache: Cache) -> None:
    breaker = half_open(cache, probes=2)

    assert [enter(breaker, f"p{n}").verdict for n in range(3)] == ["pass", "pass", "open"]
    assert enter(breaker).wait_ms == 1000


def test_a_probe_that_crashed_makes_room_for_another(cache: Cache) -> None:
    breaker = half_open(cache, probes=2)
    enter(breaker, "at work")
    breaker.enter(POWER, "crashed", 300, "down")
    assert enter(breaker).verdict == "open"

    time.sleep(0.32)

    assert [enter(breaker, f"p{n}").verdict for n in range(2)] == ["pass", "open"]


def test_a_probe_that_is_answered_closes_it_and_the_past_is_forgotten(cache: Cache) -> None:
    breaker = half_open(cache)
    enter(breaker, "probe", known="down")

    assert leave(breaker, "lnk_1", "answered", token="probe", known="down") == Left("closed", "up", "up")
    assert [left.event for left in calls(breaker, *["failed"] * 3)] == [""] * 3


def test_a_probe_that_fails_opens_it_for_twice_as_long_up_to_the_longest(cache: Cache) -> None:
    breaker = half_open(cache, pause_ms=60)
    pauses: list[int] = []
    for number in range(3):
        enter(breaker, f"probe{number}")
        assert leave(breaker, "lnk_1", "failed", token=f"probe{number}").event == "opened"
        pauses.append(int(cache.run("return redis.call('HGET', KEYS[1], 'pause')", ["{prv_power}:circuit"], [])))
        assert redis_time_left(cache) <= pauses[-1]
        time.sleep(pauses[-1] / 1000 + 0.02)

    assert pauses == [120, 240, 300]


def redis_time_left(cache: Cache) -> float:
    """Milliseconds until the breaker is half open."""
    script = "local t = redis.call('TIME') return redis.call('HGET', KEYS[1], 'open_until') - t[1]*1000 - t[2]/1000"
    return float(cache.run(script, ["{prv_power}:circuit"], []))


def test_a_probe_that_says_nothing_leaves_it_half_open(cache: Cache) -> None:
    breaker = half_open(cache, probes=1)
    enter(breaker, "probe")

    assert leave(breaker, "lnk_1", "unknown", token="probe").event == ""
    assert enter(breaker) == PASS


@pytest.mark.parametrize("ending", ["answered", "failed"])
def test_a_call_from_before_neither_closes_it_nor_keeps_it_open_for_longer(cache: Cache, ending: str) -> None:
    breaker = Breaker(cache, Limits())
    enter(breaker, "early")
    calls(breaker, *["failed"] * 5)
    left = redis_time_left(cache)

    assert leave(breaker, "lnk_9", ending, token="early").event == ""
    assert redis_time_left(cache) <= left
    assert enter(breaker).verdict == "open"


# health


@pytest.mark.parametrize(
    ("endings", "health"),
    [
        (["answered"], "up"),
        (["failed"], ""),  # one account's trouble is not yet the utility's, and nothing says that it is up
        (["answered", "failed"], "up"),
        (["failed", "failed"], "degraded"),
        (["answered"] * 8 + ["failed"] * 2, "degraded"),
        (["answered"] * 9 + ["failed"] * 2, "up"),  # less than a fifth
        (["failed"] * 5, "down"),
        (["unknown"], ""),
    ],
)
def test_health_is_judged_from_the_same_calls(cache: Cache, endings: list[str], health: str) -> None:
    assert calls(Breaker(cache, Limits()), *endings)[-1].health == health


def test_only_what_the_registry_does_not_say_is_reported(cache: Cache) -> None:
    breaker = Breaker(cache, Limits())

    assert [left.report for left in calls(breaker, "answered", "answered")] == ["", ""]
    assert [left.report for left in calls(breaker, *["failed"] * 5)] == ["", "degraded", "", "", "down"]


def test_a_report_is_made_once_and_again_when_it_seems_lost(cache: Cache) -> None:
    breaker = Breaker(cache, Limits(report_again_ms=400))
    assert [left.report for left in calls(breaker, "failed", "failed", "failed")] == ["", "degraded", ""]

    time.sleep(0.42)

    enter(breaker)
    assert leave(breaker, "lnk_0", "failed").report == "degraded"
    enter(breaker)
    assert leave(breaker, "lnk_0", "failed", known="degraded").report == ""


def test_while_open_whoever_is_refused_reports_what_got_lost(cache: Cache) -> None:
    breaker = Breaker(cache, Limits(report_again_ms=400))
    assert calls(breaker, *["failed"] * 5)[-1].report == "down"
    assert enter(breaker).report == ""

    time.sleep(0.42)

    assert [enter(breaker).report for _ in range(3)] == ["down", "", ""]
    assert enter(breaker, known="down").report == ""


# without Redis


def test_without_redis_there_is_no_protection_and_no_error() -> None:
    for url in ("", "unix:///nowhere/redis"):
        breaker = Breaker(Cache(url, 50), Limits(places=1))

        assert breaker.enter(POWER, "t", LEASE, "up") is None
        assert breaker.leave(POWER, "t", LinkId("lnk_1"), "failed", "up") is None


def test_a_call_costs_a_round_trip_to_enter_and_one_to_leave(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    breaker, sent = Breaker(cache, Limits()), []
    calls(breaker, "answered")  # connected, and the scripts are loaded
    send = AbstractConnection.send_packed_command

    def record(self: AbstractConnection, *command: object, **options: object) -> None:
        sent.append(command)
        send(self, *command, **options)  # type: ignore[no-untyped-call]  # redis-py's own

    monkeypatch.setattr(AbstractConnection, "send_packed_command", record)
    calls(breaker, "failed")

    assert len(sent) == 2
