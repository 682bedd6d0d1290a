"""The cache against a real Redis, because what it promises is what its Lua scripts do."""

import socket
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import redis

from functions.common import cache as module
from functions.common.cache import LOOKS_SECONDS, MAX_FIELDS, Cache, Cached, Entry, Found
from functions.common.rate_limit import MAX_LOCAL, Limit, rate_limit_headers
from tests.support.logs import Lines
from tests.support.redis_server import gate

OFTEN = Limit("user", 600_000)
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
    return cache.limit_and_read(entry.owner, OFTEN, entry)[1]


def fill(
    cache: Cache,
    value: bytes,
    entry: Entry = ENTRY,
    seen: Cached | None = None,
    *,
    tag: str = "t",
    soft: float = 60,
    hard: float = 600,
) -> bool:
    """As who has read it, if not otherwise `seen`; `soft` and `hard`: seconds from now."""
    now = datetime.now(UTC)
    seen = seen or read(cache, entry)
    return cache.fill(entry, seen, value, tag, now + timedelta(seconds=soft), now + timedelta(seconds=hard))


def in_threads(*works: Callable[[], object]) -> None:
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


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
    limit = Limit("user", 60)  # one every second: a machine that is busy oversleeps by tenths
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
    limit = Limit("user", 600)
    verdict, _ = cache.limit_and_read("usr_1", limit)

    assert rate_limit_headers(limit, verdict) == {
        "RateLimit-Policy": '"user";q=600;w=60',
        "RateLimit": '"user";r=599;t=1',
    }


# the cached read


def test_what_was_filled_is_read_in_the_same_round_trip_as_the_limit(cache: Cache) -> None:
    value = bytes(range(256)) * 10
    missed = read(cache)
    assert (missed.value, missed.found) == (None, Found.MISS)

    assert fill(cache, value, tag="abc")

    verdict, cached = cache.limit_and_read("usr_1", OFTEN, ENTRY)
    assert verdict.allowed
    assert cached == Cached(missed.version, value, "abc", Found.FRESH)


@pytest.mark.parametrize("soft", [60, -1])
def test_limit_and_read_are_one_command(cache: Cache, server: "redis.Redis", soft: float) -> None:
    """Also for a stale answer, with the lease of its renewal."""
    read(cache)
    fill(cache, b"x", soft=soft)
    before = server.info("commandstats")

    read(cache)

    after = server.info("commandstats")
    client_side = ("cmdstat_evalsha", "cmdstat_eval", "cmdstat_script|load")
    called = {name: after[name]["calls"] - before.get(name, {"calls": 0})["calls"] for name in after}  # type: ignore[index, union-attr]
    assert {name: calls for name, calls in called.items() if calls and name in client_side} == {"cmdstat_evalsha": 1}


def test_a_refused_request_reads_nothing(cache: Cache) -> None:
    fill(cache, b"x")
    limit = Limit("user", 1)
    cache.limit_and_read("usr_1", limit, ENTRY)
    cache.limit_and_read("usr_1", limit, ENTRY)

    verdict, cached = cache.limit_and_read("usr_1", limit, ENTRY)

    assert (verdict.allowed, cached) == (False, Cached())


def test_answers_have_names_and_spaces(cache: Cache) -> None:
    fill(cache, b"first")
    fill(cache, b"second", Entry("usr_1", "bills", "second-page"))

    assert read(cache).value == b"first"
    assert read(cache, Entry("usr_1", "bills", "second-page")).value == b"second"
    assert read(cache, Entry("usr_1", "summary", "first-page")).value is None
    assert read(cache, Entry("usr_2", "bills", "first-page")).value is None


def test_an_answer_ends_at_its_own_time_although_others_live_on(cache: Cache) -> None:
    fill(cache, b"short", soft=0.05, hard=0.1)
    fill(cache, b"long", Entry("usr_1", "bills", "long"))
    assert read(cache).found is Found.FRESH

    time.sleep(0.06)
    stale = read(cache)
    assert (stale.value, stale.found) == (b"short", Found.RENEW)
    time.sleep(0.06)
    gone = read(cache)
    assert (gone.value, gone.found) == (None, Found.MISS)
    assert read(cache, Entry("usr_1", "bills", "long")).value == b"long"


def test_nothing_stays_for_ever(cache: Cache, server: "redis.Redis") -> None:
    cache.limit_and_read("usr_1", Limit("user", 1))
    fill(cache, b"x")
    cache.bump("usr_2", "bills")
    cache.lease("usr_2", "lnk_1", 900)

    ends = {key: int(server.ttl(key)) for key in server.scan_iter()}  # type: ignore[arg-type]
    assert len(ends) == 4
    assert all(0 < seconds <= 86_400 for seconds in ends.values())


def test_the_keys_of_one_owner_live_in_one_slot_of_a_cluster(cache: Cache, server: "redis.Redis") -> None:
    fill(cache, b"x")
    cache.limit_and_read("usr_1", Limit("user", 1))  # its count stays for a minute

    assert sorted(server.scan_iter()) == [b"{usr_1}:bills", b"{usr_1}:limit:user"]


def test_one_owner_cannot_fill_the_cache(cache: Cache, server: "redis.Redis") -> None:
    """Filters may be put in ever new ways: past a number of answers all go, and the newest stays."""
    for number in range(MAX_FIELDS + 1):
        last = Entry("usr_1", "bills", f"page-{number}")
        assert fill(cache, b"x", last)

    assert int(server.hlen("{usr_1}:bills")) < MAX_FIELDS  # type: ignore[arg-type]
    assert read(cache, last).value == b"x"
    assert read(cache, Entry("usr_1", "bills", "page-0")).found is Found.MISS


def test_a_server_that_forgot_the_scripts_is_told_them_again(cache: Cache, server: "redis.Redis") -> None:
    fill(cache, b"x")
    server.script_flush()

    assert read(cache).value == b"x"


# versions


def test_a_bump_drops_every_answer_of_the_space_and_of_no_other(cache: Cache) -> None:
    other = Entry("usr_1", "summary", "s")
    fill(cache, b"old")
    fill(cache, b"kept", other)

    cache.bump("usr_1", "bills")

    assert read(cache).found is Found.MISS
    assert read(cache, other).value == b"kept"


def test_a_reader_that_began_before_the_write_cannot_store_what_it_read(cache: Cache) -> None:
    seen = read(cache)
    cache.bump("usr_1", "bills")

    assert not fill(cache, b"old", seen=seen)

    fresh = read(cache)
    assert (fresh.value, fresh.found) == (None, Found.MISS)  # and the lease of that reader is gone as well
    assert fill(cache, b"new", seen=fresh)
    assert read(cache).value == b"new"


def test_a_writer_never_reads_what_was_before_while_others_fill_all_the_time(redis_url: str) -> None:
    """One value that a writer counts up; readers store what they read of it, as late as they can."""
    truth, stop = [0], threading.Event()

    def fill_on() -> None:
        own = Cache(redis_url, 5000, sleep=lambda _: None)
        while not stop.is_set():
            seen = read(own)
            value = truth[0]
            time.sleep(0.0005)
            fill(own, str(value).encode(), seen=seen)

    readers = [threading.Thread(target=fill_on) for _ in range(6)]
    for reader in readers:
        reader.start()
    writer, kept = Cache(redis_url, 5000, sleep=lambda _: None), 0
    for number in range(1, 301):
        truth[0] = number
        writer.bump("usr_1", "bills")
        found = read(writer)
        kept += found.value is not None
        assert found.value in (None, str(number).encode())
        time.sleep(0.001)
        later = read(writer)
        kept += later.value is not None
        assert later.value in (None, str(number).encode())
    stop.set()
    for reader in readers:
        reader.join()
    assert kept > 50  # answers were kept and read: it is no empty promise


def test_versions_grow(cache: Cache) -> None:
    seen = [read(cache).version]
    for _ in range(20):
        cache.bump("usr_1", "bills")
        seen.append(read(cache).version)

    assert seen == sorted(set(seen))


@pytest.mark.parametrize("lost", ["{usr_1}:bills", None])
def test_a_cache_that_lost_its_memory_takes_no_answer_from_before(
    cache: Cache, server: "redis.Redis", lost: str | None
) -> None:
    """Evicted or started anew: what a reader saw before must not fit what a later one finds."""
    seen = read(cache)
    _ = server.delete(lost) if lost else server.flushall()

    assert not fill(cache, b"old", seen=seen)
    read(cache)
    assert not fill(cache, b"old", seen=seen)


def test_without_having_seen_a_version_nothing_is_stored(cache: Cache, server: "redis.Redis") -> None:
    assert not fill(cache, b"x", seen=Cached(found=Found.DOWN))
    assert server.dbsize() == 0


# an answer past its soft age


def test_past_its_soft_age_it_is_served_and_one_reader_is_told_to_have_it_renewed(cache: Cache) -> None:
    fill(cache, b"old", soft=-1)

    found = [read(cache) for _ in range(5)]

    assert [each.value for each in found] == [b"old"] * 5
    assert [each.found for each in found] == [Found.RENEW, *[Found.STALE] * 4]


def test_of_many_readers_at_once_exactly_one_is_told(redis_url: str) -> None:
    caches, start = [Cache(redis_url, 5000) for _ in range(30)], threading.Barrier(30)
    fill(caches[0], b"old", soft=-1)
    found: list[Found] = []

    def ask(each: Cache) -> None:
        each.limit_and_read("usr_warm", OFTEN)
        start.wait()
        found.extend(read(each).found for _ in range(5))

    in_threads(*(partial(ask, each) for each in caches))

    assert len(found) == 150
    assert found.count(Found.RENEW) == 1
    assert found.count(Found.STALE) == 149


def test_a_renewal_ends_the_lease_and_one_that_got_lost_is_asked_for_again(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RENEW_LEASE_MS", 50)
    fill(cache, b"old", soft=-1)
    first = read(cache)
    assert (first.found, read(cache).found) == (Found.RENEW, Found.STALE)
    time.sleep(0.06)
    assert read(cache).found is Found.RENEW

    fill(cache, b"old again", seen=first, soft=-1)

    assert read(cache).found is Found.RENEW


def test_an_answer_past_its_hard_age_is_missed_even_while_its_renewal_is_under_way(cache: Cache) -> None:
    fill(cache, b"old", soft=-1, hard=0.05)
    assert read(cache).found is Found.RENEW
    time.sleep(0.06)

    gone = read(cache)
    assert (gone.value, gone.found) == (None, Found.MISS)


# an answer that is not there


def test_of_many_readers_that_miss_it_one_fills_it_and_the_others_get_what_it_filled(redis_url: str) -> None:
    caches, start = [Cache(redis_url, 5000) for _ in range(20)], threading.Barrier(20)
    found: list[Cached] = []

    def ask(each: Cache) -> None:
        each.limit_and_read("usr_warm", OFTEN)
        start.wait()
        cached = read(each)
        if cached.found is Found.MISS:
            time.sleep(0.003)  # a read of the table
            fill(each, b"x", seen=cached)
        found.append(cached)

    in_threads(*(partial(ask, each) for each in caches))

    assert len(found) == 20
    assert [each.found for each in found].count(Found.MISS) == 1
    served = [each for each in found if each.value == b"x" and each.found is Found.FRESH]
    assert len(served) >= 15  # the machine may be too busy for some, which read the table


def test_who_waits_in_vain_reads_the_table_and_may_store_it(redis_url: str) -> None:
    pauses: list[float] = []
    cache = Cache(redis_url, 1000, sleep=pauses.append)
    assert read(cache).found is Found.MISS

    waited = read(cache)

    assert (waited.value, waited.found) == (None, Found.BUSY)
    assert tuple(pauses) == LOOKS_SECONDS
    assert sum(LOOKS_SECONDS) <= 0.03
    assert fill(cache, b"mine", seen=waited)
    assert read(cache).value == b"mine"


def test_an_old_answer_is_no_reason_to_stop_waiting(redis_url: str) -> None:
    """While it waits, the reader is not served what is past its soft age: that may be past its hard age, too."""
    cache = Cache(redis_url, 1000, sleep=lambda _: None)
    fill(cache, b"old", soft=-2, hard=-1)
    assert read(cache).found is Found.MISS

    waited = read(cache)
    assert (waited.value, waited.found) == (None, Found.BUSY)


def test_who_took_the_lease_and_broke_keeps_the_others_waiting_only_so_long(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FILL_LEASE_MS", 50)
    cache = Cache(redis_url, 1000, sleep=lambda _: None)
    assert [read(cache).found, read(cache).found] == [Found.MISS, Found.BUSY]

    time.sleep(0.06)

    assert read(cache).found is Found.MISS


# leases


def test_a_lease_is_given_once_in_its_time(cache: Cache, server: "redis.Redis") -> None:
    assert [cache.lease("usr_1", "lnk_1", 900) for _ in range(3)] == [True, False, False]
    assert cache.lease("usr_1", "lnk_2", 900)
    assert cache.lease("usr_2", "lnk_1", 900)
    assert 0 < int(server.ttl("{usr_1}:lease:lnk_1")) <= 900  # type: ignore[arg-type]


def test_a_lease_that_is_given_back_the_next_one_gets(cache: Cache) -> None:
    cache.lease("usr_1", "lnk_1", 900)
    cache.lease("usr_1", "lnk_2", 900)

    cache.give_back("usr_1", "lnk_1")
    cache.give_back("usr_2", "lnk_2")

    assert cache.lease("usr_1", "lnk_1", 900)
    assert not cache.lease("usr_1", "lnk_2", 900)


# without Redis


def test_without_a_url_limits_are_kept_here_and_nothing_is_cached(log_lines: Lines) -> None:
    cache = Cache("", 50)

    assert not fill(cache, b"x")
    cache.bump("usr_1", "bills")
    assert read(cache) == Cached()
    assert not cache.lease("usr_1", "lnk_1", 60)
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
    with gate(redis_url) as redis:
        redis.close()
        cache = Cache(redis.url, 1000, now=now)
        limit = Limit("user", 3)

        assert [cache.limit_and_read("usr_1", limit, ENTRY)[0].allowed for _ in range(4)] == [True] * 3 + [False]
        assert not fill(cache, b"x", seen=Cached(1))
        [warning] = log_lines()
        assert (warning["event"], warning["level"], warning["error"]) == (
            "cache_unavailable",
            "WARNING",
            "ConnectionError",
        )

        for _ in range(5):
            now.now += 8
            cache.limit_and_read("usr_1", limit)
        assert log_lines() == []

        redis.open()
        now.now += 8
        for _ in range(2):
            cache.limit_and_read("usr_1", limit)
        assert [line["event"] for line in log_lines()] == ["cache_available"]


def test_a_redis_that_is_down_is_left_alone_for_ever_longer_up_to_eight_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now, tried = Time(), list[float]()

    def refuse(self: "redis.connection.UnixDomainSocketConnection") -> socket.socket:
        tried.append(round(now.now - 1000))
        raise ConnectionRefusedError

    monkeypatch.setattr(redis.connection.UnixDomainSocketConnection, "_connect", refuse)
    cache = Cache("unix:///somewhere", 50, now=now)
    for _ in range(400):
        cache.limit_and_read("usr_1", OFTEN, ENTRY)
        now.now += 0.1

    assert sorted(set(tried)) == [0, 1, 3, 7, 15, 23, 31, 39]


def test_after_a_success_the_pause_is_short_again(redis_url: str) -> None:
    now = Time()
    with gate(redis_url) as redis:
        cache = Cache(redis.url, 1000, now=now)
        for _ in range(3):
            redis.close()
            now.now += 8
            assert read(cache).found is Found.DOWN
            redis.open()
            now.now += 1
            assert read(cache).found is not Found.DOWN


def test_a_connection_that_broke_while_the_function_slept_costs_no_answer(redis_url: str, log_lines: Lines) -> None:
    with gate(redis_url) as redis:
        cache = Cache(redis.url, 1000)
        fill(cache, b"x")
        redis.close()
        redis.open()

        assert read(cache).value == b"x"
        assert log_lines() == []


def test_a_bump_is_tried_even_right_after_a_failure(redis_url: str) -> None:
    now = Time()
    cache = Cache(redis_url, 1000, now=now)
    fill(cache, b"old")
    cache._retry_at = now.now + 1

    cache.bump("usr_1", "bills")

    assert read(cache).found is Found.MISS


def test_a_bump_has_more_patience_than_a_reader(redis_url: str) -> None:
    fill(Cache(redis_url, 1000), b"old")
    with gate(redis_url) as redis:
        redis.delay = 0.15
        cache = Cache(redis.url, 50)
        assert read(cache).found is Found.DOWN

        cache.bump("usr_1", "bills")

    assert read(Cache(redis_url, 1000)).found is Found.MISS


def test_a_bump_that_fails_is_an_error_in_the_log(redis_url: str, log_lines: Lines) -> None:
    with gate(redis_url) as redis:
        redis.close()
        Cache(redis.url, 50).bump("usr_1", "bills")

    assert [(line["level"], line["event"]) for line in log_lines()] == [
        ("WARNING", "cache_unavailable"),
        ("ERROR", "cache_not_bumped"),
    ]


def test_a_slow_redis_costs_its_time_limit_once_and_then_nothing(redis_url: str) -> None:
    with gate(redis_url) as redis:
        redis.delay = 2
        cache = Cache(redis.url, 50)
        took: list[float] = []
        for _ in range(50):
            began = time.perf_counter()
            verdict, cached = cache.limit_and_read("usr_1", OFTEN, ENTRY)
            took.append(time.perf_counter() - began)
            assert (verdict.allowed, cached) == (True, Cached(found=Found.DOWN))

    assert 0.04 < took[0] < 1
    assert sum(took[1:]) < 1


def test_a_redis_that_hangs_costs_its_time_limit_and_no_more() -> None:
    with TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(str(Path(folder, "s")))
        deaf.listen()
        cache = Cache(f"unix://{folder}/s", 50)
        began = time.perf_counter()

        verdict, cached = cache.limit_and_read("usr_1", OFTEN, ENTRY)

        assert time.perf_counter() - began < 1
        assert (verdict.allowed, cached.value) == (True, None)


def test_redis_stopped_and_started_under_load_fails_nobody(redis_url: str) -> None:
    stop, found = threading.Event(), list[Found]()
    with gate(redis_url) as redis:

        def ask(number: int) -> None:
            own = Cache(redis.url, 50, now=lambda: time.monotonic() * 100)  # pauses of 10 to 80 ms
            entry = Entry(f"usr_{number}", "bills", "p")
            while not stop.is_set():
                cached = read(own, entry)
                found.append(cached.found)
                assert cached.value in (None, b"x")
                if cached.value is None:
                    fill(own, b"x", entry, cached)
                own.bump(entry.owner, "other")

        def disturb() -> None:
            for _ in range(4):
                time.sleep(0.2)
                redis.close()
                time.sleep(0.2)
                redis.open()
            time.sleep(0.3)
            stop.set()

        errors: list[BaseException] = []

        def watched(work: Callable[[], object]) -> None:
            try:
                work()
            except BaseException as error:
                errors.append(error)
                raise

        in_threads(*(partial(watched, partial(ask, number)) for number in range(6)), partial(watched, disturb))

    assert errors == []
    assert {Found.FRESH, Found.MISS, Found.DOWN} <= set(found)
    assert Found.FRESH in found[-6:]


def test_an_error_of_the_server_is_swallowed_too(cache: Cache, server: "redis.Redis") -> None:
    server.lpush("{usr_1}:bills", "not a hash")

    verdict, cached = cache.limit_and_read("usr_1", OFTEN, ENTRY)

    assert (verdict.allowed, cached) == (True, Cached(found=Found.DOWN))
