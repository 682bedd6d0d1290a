"""Kept answers on the running platform: what is old is served at once, and renewed behind its reader's back."""

import threading
import time

import pytest
import redis

from infra import cache_server
from infra.client import Client
from tests.integration.household import POWER, Household
from tests.integration.patience import await_value
from tests.integration.platform import Platform

RENEWAL_SECONDS = 30.0
"""A posted call may start a function."""


@pytest.fixture
def memory(cache: "redis.Redis | None") -> "redis.Redis":
    if not cache:
        pytest.skip("the cache of this target cannot be reached from here")
    cache.ping()
    return cache


def kept(memory: "redis.Redis", user_id: str) -> dict[bytes, bytes]:
    """The answers, by name; leases and version left out."""
    fields: dict[bytes, bytes] = memory.hgetall(f"{{{user_id}}}:bills")  # type: ignore[assignment]  # the stub knows async
    return {name: value for name, value in fields.items() if b"\n" in value}


def age(memory: "redis.Redis", user_id: str, mark: bytes) -> bytes:
    """Makes the one kept answer old, and lets it be known by `mark`. Answers its name."""
    [(name, framed)] = kept(memory, user_id).items()
    head, _, body = framed.partition(b"\n")
    _, hard, tag = head.split(b" ")
    past = b"%d" % (time.time() * 1000 - 1000)
    old = b" ".join([past, hard, tag]) + b"\n" + body.replace(b'"next_cursor":null', b'"next_cursor":"%s"' % mark)
    assert mark in old
    memory.hset(f"{{{user_id}}}:bills", name.decode(), old)  # type: ignore[arg-type]  # bytes are as good
    return name


def test_an_old_answer_is_served_and_made_anew_behind_its_reader(household: Household, memory: "redis.Redis") -> None:
    household.link(POWER)
    household.settle()

    def quiet() -> bool:
        """News of the link may still be on its way, and ends what is kept."""
        household.client.call("GET", "/bills")
        first = kept(memory, household.user_id)
        time.sleep(2)
        return len(first) == 1 and kept(memory, household.user_id) == first

    await_value(quiet, RENEWAL_SECONDS, "a kept answer that stays")
    before = household.client.call("GET", "/bills")
    name = age(memory, household.user_id, b"marked")

    stale = household.client.call("GET", "/bills")

    assert stale == {**before, "next_cursor": "marked"}

    def renewed() -> bool:
        return b"marked" not in kept(memory, household.user_id)[name]

    await_value(renewed, RENEWAL_SECONDS, "the renewal of the answer")
    assert household.client.call("GET", "/bills") == before


def test_answers_say_which_copy_they_are(household: Household) -> None:
    first = household.client.send("GET", "/bills")
    kept_one = household.client.send("GET", "/bills")

    assert first.headers["etag"] == kept_one.headers["etag"]
    known = household.client.send("GET", "/bills", headers={"If-None-Match": first.headers["etag"]})
    assert (known.status_code, known.text) == (304, "")


def test_a_cache_that_stops_and_starts_under_load_fails_no_request(household: Household, platform: Platform) -> None:
    """Six readers, while it goes twice and comes back empty."""
    chosen = platform.settings
    if cache_server.daemon(chosen).process() is None:
        pytest.skip("only a cache that was started from here may be stopped")
    household.link(POWER)
    household.settle()
    before = household.client.call("GET", "/bills")
    stop, answers = threading.Event(), list[tuple[int, bool]]()

    def read_on() -> None:
        client = Client(household.client.base_url, household.client.token)
        while not stop.is_set():
            answer = client.send("GET", "/bills")
            answers.append((answer.status_code, answer.status_code == 200 and answer.json() == before))
        client.close()

    readers = [threading.Thread(target=read_on) for _ in range(6)]
    for reader in readers:
        reader.start()
    try:
        for _ in range(2):
            time.sleep(1)
            cache_server.stop(chosen)
            time.sleep(3)
            cache_server.start(chosen)
        time.sleep(3)
    finally:
        cache_server.start(chosen)
        stop.set()
        for reader in readers:
            reader.join()

    assert set(answers) == {(200, True)}
    assert len(answers) > 20
