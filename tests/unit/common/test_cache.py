"""The cache against a real Redis, because what it promises is what its Lua scripts do."""

import socket
import threading
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import redis

from functions.common.cache import MAX_LOCAL, Cache, Cached, Entry, Limit, rate_limit_headers
from tests.unit.common.conftest import Lines

OFTEN = Limit("user", 600)
ENTRY = Entry("usr_1", "bills", "first-page")


class Time:
    """A clock of one's own: `time.monotonic` and `time.time` in one."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def cache(redis_url: str) -> Cache:
    return Cache(redis_url, 1000)


@pytest.fixture
def server(redis_url: str) -> "redis.Redis":
    return redis.Redis.from_url(redis_url)


def read(cache: Cache, entry: Entry = ENTRY) -> Cached:
    return cache.limit_and_read("usr_1", OFTEN, entry)[1]


# the limit


def test_a_burst_of_the_whole_quota_passes_and_the_next_request_does_not(cache: Cache) -> None:
    limit = Limit("user", 5)

    verdicts = [cache.limit_and_read("usr_1", limit)[0] for _ in range(6)]

    assert [verdict.allowed for verdict in verdicts] == [True] * 5 + [False]
    assert [verdict.remaining for verdict in verdicts] == [4, 3, 2, 1, 0, 0]
    # one interval of 12 s refills one request; a few milliseconds of it have passed
    assert verdicts[5].retry_after == pytest.approx(12, abs=0.5)
    assert verdicts[5].reset == pytest.approx(60, abs=0.5)
    assert verdicts[0].retry_after == 0


def test_a_request_passes_again_exactly_when_it_was_said(cache: Cache) -> None:
    limit = Limit("user", 600)  # one every 100 ms
    while (refused := cache.limit_and_read("usr_1", limit)[0]).allowed:
        pass

    time.sleep(refused.retry_after / 2)
    early = cache.limit_and_read("usr_1", limit)[0]
    time.sleep(early.retry_after + 0.001)
    due = cache.limit_and_read("usr_1", limit)[0]

    assert not early.allowed
    assert early.retry_after < refused.retry_after
    assert due.allowed
    assert due.remaining == 0


def test_of_200_requests_at_once_against_a_limit_of_100_exactly_100_pass(redis_url: str) -> None:
    """From caches of their own, as functions have them. One more is refilled after 600 ms: by then all must be over."""
    limit, start = Limit("user", 100), threading.Barrier(50)
    caches = [Cache(redis_url, 5000) for _ in range(50)]
    for each in caches:
        each.limit_and_read("usr_warm", limit)  # connected, with the script
    verdicts: list[bool] = []

    def ask(each: Cache) -> None:
        start.wait()
        verdicts.extend(each.limit_and_read("usr_1", limit)[0].allowed for _ in range(4))

    threads = [threading.Thread(target=ask, args=[each]) for each in caches]
    for thread in threads:
        thread.start()
    began = time.monotonic()
    for thread in threads:
        thread.join()
    took = time.monotonic() - began

    assert len(verdicts) == 200
    assert 100 <= verdicts.count(True) <= 100 + int(took / 0.6)


def test_a_refused_request_costs_nothing(cache: Cache, server: "redis.Redis") -> None:
    limit = Limit("user", 1)
    cache.limit_and_read("usr_1", limit)
    before = server.get("{usr_1}:limit:user")

    for _ in range(10):
        assert not cache.limit_and_read("usr_1", limit)[0].allowed

    assert server.get("{usr_1}:limit:user") == before


def test_the_theoretical_arrival_time_is_exact_to_the_microsecond(cache: Cache, server: "redis.Redis") -> None:
    limit = Limit("user", 60)
    cache.limit_and_read("usr_1", limit)
    [first] = [int(str(server.get("{usr_1}:limit:user"), "ascii"))]  # type: ignore[arg-type]  # the stub knows async too
    cache.limit_and_read("usr_1", limit)
    [second] = [int(str(server.get("{usr_1}:limit:user"), "ascii"))]  # type: ignore[arg-type]

    assert second - first == 1_000_000
    assert 0 < int(server.pttl("{usr_1}:limit:user")) <= 2000  # type: ignore[arg-type]


def test_owners_and_policies_do_not_share_a_quota(cache: Cache) -> None:
    for owner, policy in (("usr_1", "user"), ("usr_2", "user"), ("usr_1", "auth")):
        assert cache.limit_and_read(owner, Limit(policy, 1))[0].allowed
    assert not cache.limit_and_read("usr_1", Limit("user", 1))[0].allowed


def test_the_headers_say_policy_rest_and_reset(cache: Cache) -> None:
    verdict, _ = cache.limit_and_read("usr_1", OFTEN)

    assert rate_limit_headers(OFTEN, verdict) == {
        "RateLimit-Policy": '"user";q=600;w=60',
        "RateLimit": '"user";r=599;t=1',
    }


# the cached read


def test_what_was_filled_is_read_in_the_same_round_trip_as_the_limit(cache: Cache) -> None:
    value = bytes(range(256)) * 10
    assert read(cache) == Cached()

    assert cache.fill(ENTRY, 0, value, 60)

    verdict, cached = cache.limit_and_read("usr_1", OFTEN, ENTRY)
    assert verdict.allowed
    assert cached.value == value
    assert cached.stored_at == pytest.approx(time.time(), abs=2)


def test_limit_and_read_are_one_command(cache: Cache, server: "redis.Redis") -> None:
    cache.fill(ENTRY, 0, b"x", 60)
    read(cache)
    before = server.info("commandstats")

    read(cache)

    after = server.info("commandstats")
    client_side = ("cmdstat_evalsha", "cmdstat_eval", "cmdstat_script|load")
    called = {name: after[name]["calls"] - before.get(name, {"calls": 0})["calls"] for name in after}  # type: ignore[index, union-attr]
    assert {name: calls for name, calls in called.items() if calls and name in client_side} == {"cmdstat_evalsha": 1}


def test_a_refused_request_reads_nothing(cache: Cache) -> None:
    cache.fill(ENTRY, 0, b"x", 60)
    limit = Limit("user", 1)
    cache.limit_and_read("usr_1", limit, ENTRY)

    verdict, cached = cache.limit_and_read("usr_1", limit, ENTRY)

    assert (verdict.allowed, cached) == (False, Cached())


def test_answers_have_names_and_spaces(cache: Cache) -> None:
    cache.fill(ENTRY, 0, b"first", 60)
    cache.fill(Entry("usr_1", "bills", "second-page"), 0, b"second", 60)

    assert read(cache).value == b"first"
    assert read(cache, Entry("usr_1", "bills", "second-page")).value == b"second"
    assert read(cache, Entry("usr_1", "summary", "first-page")).value is None
    assert read(cache, Entry("usr_2", "bills", "first-page")).value is None


def test_a_bump_drops_every_answer_of_the_space_and_of_no_other(cache: Cache) -> None:
    other = Entry("usr_1", "summary", "s")
    cache.fill(ENTRY, 0, b"old", 60)
    cache.fill(other, 0, b"kept", 60)

    cache.bump("usr_1", "bills")

    assert read(cache) == Cached(version=1)
    assert read(cache, other).value == b"kept"


def test_a_reader_that_began_before_the_bump_cannot_store_what_it_read(cache: Cache) -> None:
    seen = read(cache).version
    cache.bump("usr_1", "bills")

    assert not cache.fill(ENTRY, seen, b"old", 60)

    assert read(cache).value is None
    assert cache.fill(ENTRY, read(cache).version, b"new", 60)
    assert read(cache).value == b"new"


def test_versions_grow(cache: Cache) -> None:
    for expected in (1, 2, 3):
        cache.bump("usr_1", "bills")
        assert read(cache).version == expected


def test_an_answer_ends_at_its_own_time_although_others_live_on(redis_url: str) -> None:
    clock = Time()
    cache = Cache(redis_url, 1000, clock=clock)
    cache.fill(ENTRY, 0, b"short", 10)
    cache.fill(Entry("usr_1", "bills", "long"), 0, b"long", 100)

    clock.now += 9.9
    assert read(cache).value == b"short"
    assert read(cache).stored_at == 1000
    clock.now += 0.1
    assert read(cache).value is None
    assert read(cache, Entry("usr_1", "bills", "long")).value == b"long"


@pytest.mark.parametrize("seconds", [0, -5])
def test_what_has_ended_already_is_not_stored(cache: Cache, server: "redis.Redis", seconds: int) -> None:
    assert not cache.fill(ENTRY, 0, b"x", seconds)
    assert server.dbsize() == 0


def test_nothing_stays_for_ever(cache: Cache, server: "redis.Redis") -> None:
    cache.limit_and_read("usr_1", Limit("user", 1))
    cache.fill(ENTRY, 0, b"x", 60)
    cache.bump("usr_2", "bills")

    ends = {key: int(server.ttl(key)) for key in server.scan_iter()}  # type: ignore[arg-type]
    assert len(ends) == 3
    assert all(0 < seconds <= 86_400 for seconds in ends.values())


def test_the_keys_of_one_owner_live_in_one_slot_of_a_cluster(cache: Cache, server: "redis.Redis") -> None:
    read(cache)
    cache.fill(ENTRY, 0, b"x", 60)

    assert sorted(server.scan_iter()) == [b"{usr_1}:bills", b"{usr_1}:limit:user"]


def test_a_server_that_forgot_the_scripts_is_told_them_again(cache: Cache, server: "redis.Redis") -> None:
    cache.fill(ENTRY, 0, b"x", 60)
    server.script_flush()

    assert read(cache).value == b"x"


# without Redis


def test_without_a_url_limits_are_kept_here_and_nothing_is_cached(log_lines: Lines) -> None:
    cache = Cache("", 50)

    assert not cache.fill(ENTRY, 0, b"x", 60)
    cache.bump("usr_1", "bills")
    assert read(cache) == Cached()
    assert log_lines() == []


@pytest.mark.parametrize("per_minute", [1, 5, 7, 120, 300, 600, 1200])
@pytest.mark.parametrize("start", [0.0, 1000.0, 86_400.123456, 4_000_000.7])
def test_the_limit_kept_here_is_exact_as_well(per_minute: int, start: float) -> None:
    now = Time()
    now.now = start
    cache, limit = Cache("", 50, now=now), Limit("user", per_minute)

    verdicts = [cache.limit_and_read("usr_1", limit)[0] for _ in range(per_minute + 1)]

    assert [verdict.allowed for verdict in verdicts] == [True] * per_minute + [False]
    assert [verdict.remaining for verdict in verdicts] == [*reversed(range(per_minute)), 0]
    interval = 60 / per_minute
    assert verdicts[-1].retry_after == pytest.approx(interval, abs=1e-3)
    assert verdicts[-1].reset == pytest.approx(60, abs=1e-3)
    now.now += interval + 1e-3
    assert cache.limit_and_read("usr_1", limit)[0].allowed
    assert not cache.limit_and_read("usr_1", limit)[0].allowed


def test_the_limit_kept_here_forgets_owners_that_are_idle() -> None:
    now = Time()
    cache = Cache("", 50, now=now)
    for number in range(MAX_LOCAL):
        cache.limit_and_read(f"usr_{number}", OFTEN)
    now.now += 60

    cache.limit_and_read("usr_late", OFTEN)

    assert len(cache._local) == 1


def test_many_owners_at_once_cost_the_limit_kept_here_neither_memory_nor_those_that_used_up_theirs() -> None:
    now = Time()
    cache, limit = Cache("", 50, now=now), Limit("auth", 2)
    for _ in range(2):
        cache.limit_and_read("192.0.2.66", limit)

    for number in range(MAX_LOCAL + 100):
        cache.limit_and_read(f"2001:db8::{number:x}", limit)

    assert len(cache._local) <= MAX_LOCAL
    assert not cache.limit_and_read("192.0.2.66", limit)[0].allowed


def test_while_redis_is_down_limits_hold_it_is_tried_again_and_one_warning_is_logged(
    redis_url: str, log_lines: Lines
) -> None:
    now = Time()
    cache = Cache("unix:///nowhere/at/all", 50, now=now)
    limit = Limit("user", 3)

    assert [cache.limit_and_read("usr_1", limit, ENTRY)[0].allowed for _ in range(4)] == [True] * 3 + [False]
    assert not cache.fill(ENTRY, 0, b"x", 60)
    [warning] = log_lines()
    assert (warning["event"], warning["level"], warning["error"]) == ("cache_unavailable", "WARNING", "ConnectionError")

    for _ in range(3):
        now.now += 1
        cache.limit_and_read("usr_1", limit)
    assert log_lines() == []

    now.now += 1
    cache._url, cache._client, cache._scripts = redis_url, None, {}
    for _ in range(2):
        cache.limit_and_read("usr_1", limit)
    assert [line["event"] for line in log_lines()] == ["cache_available"]


def test_after_a_failure_redis_is_used_again(redis_url: str) -> None:
    now = Time()
    cache = Cache(redis_url, 1000, now=now)
    cache.fill(ENTRY, 0, b"x", 60)
    cache._retry_at = now.now + 1

    assert read(cache).value is None
    now.now += 1
    assert read(cache).value == b"x"


def test_a_bump_is_tried_even_right_after_a_failure(redis_url: str) -> None:
    now = Time()
    cache = Cache(redis_url, 1000, now=now)
    cache.fill(ENTRY, 0, b"old", 60)
    cache._retry_at = now.now + 1

    cache.bump("usr_1", "bills")

    assert read(cache) == Cached(version=1)


def test_a_redis_that_hangs_costs_its_time_limit_and_no_more() -> None:
    with TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(str(Path(folder, "s")))
        deaf.listen()
        cache = Cache(f"unix://{folder}/s", 50)
        began = time.perf_counter()

        verdict, cached = cache.limit_and_read("usr_1", OFTEN, ENTRY)

        assert time.perf_counter() - began < 1
        assert (verdict.allowed, cached) == (True, Cached())


def test_an_error_of_the_server_is_swallowed_too(cache: Cache, server: "redis.Redis") -> None:
    server.lpush("{usr_1}:bills", "not a hash")

    verdict, cached = cache.limit_and_read("usr_1", OFTEN, ENTRY)

    assert (verdict.allowed, cached) == (True, Cached())
