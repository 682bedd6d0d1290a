"""Whoever guesses is slowed down, and nobody else is."""

from datetime import timedelta

import pytest

from functions.common.errors import InvalidInput, RateLimited, Unauthenticated
from functions.user_service.lockout import Pace, address_key
from functions.user_service.model import Purpose
from tests.unit.user_service.fakes import World

EMAIL, PASSWORD, HOME, ELSEWHERE = "ada@example.com", "correct horse", "192.0.2.7", "198.51.100.9"
NOBODY = "nobody@example.com"


@pytest.fixture
def world() -> World:
    world = World()
    world.users.register(EMAIL, PASSWORD, "Ada")
    return world


def fail(world: World, times: int, email: str = EMAIL, address: str = ELSEWHERE) -> None:
    for _ in range(times):
        with pytest.raises(Unauthenticated):
            world.sessions.log_in(email, "wrong", address)


def wait(world: World, email: str = EMAIL, address: str = ELSEWHERE) -> int:
    """Seconds that a locked account asks to wait."""
    verified = world.hasher.verified
    with pytest.raises(RateLimited) as locked:
        world.sessions.log_in(email, PASSWORD, address)
    assert world.hasher.verified == verified
    assert locked.value.code == "locked"
    return locked.value.retry_after


@pytest.mark.parametrize("email", [EMAIL, NOBODY])
def test_after_some_failures_each_further_one_locks_for_twice_as_long(world: World, email: str) -> None:
    fail(world, 5, email)
    waits = []
    for _ in range(12):
        waits.append(wait(world, email))
        world.clock.advance(timedelta(seconds=waits[-1]))
        fail(world, 1, email)
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]


def test_what_is_tried_while_locked_makes_the_lock_no_longer(world: World) -> None:
    fail(world, 5)
    for _ in range(10):
        wait(world)
    world.clock.advance(timedelta(seconds=1))
    world.sessions.log_in(EMAIL, PASSWORD, ELSEWHERE)


def test_a_success_forgets_the_failures(world: World) -> None:
    for _ in range(4):
        fail(world, 4)
        world.sessions.log_in(EMAIL, PASSWORD, ELSEWHERE)


def test_failures_are_forgotten_after_a_day(world: World) -> None:
    fail(world, 5)
    world.clock.advance(timedelta(days=1))
    fail(world, 5)


def test_whoever_guesses_elsewhere_does_not_lock_the_household_out_of_its_home(world: World) -> None:
    world.sessions.log_in(EMAIL, PASSWORD, HOME)
    for _ in range(8):
        fail(world, 1)
        world.clock.advance(timedelta(seconds=900))
    fail(world, 1)
    assert wait(world) > 1
    assert wait(world, address="203.0.113.5") > 1
    world.sessions.log_in(EMAIL, PASSWORD, HOME)


def test_guessing_at_home_is_slowed_down_too(world: World) -> None:
    world.sessions.log_in(EMAIL, PASSWORD, HOME)
    fail(world, 5, address=HOME)
    assert wait(world, address=HOME) == 1
    world.sessions.log_in(EMAIL, PASSWORD, ELSEWHERE)


def test_a_home_of_long_ago_is_a_strange_place(world: World) -> None:
    world.sessions.log_in(EMAIL, PASSWORD, HOME)
    world.clock.advance(timedelta(days=91))
    fail(world, 5)
    assert wait(world, address=HOME) == 1


def test_a_password_reset_lets_the_household_in_from_where_it_is(world: World) -> None:
    fail(world, 5)
    world.clock.advance(timedelta(seconds=61))
    fail(world, 1)
    wait(world)
    world.recovery.request_code(EMAIL, Purpose.RESET_PASSWORD)
    world.recovery.reset_password(EMAIL, world.mailer.last_code, "another horse", ELSEWHERE)
    world.sessions.log_in(EMAIL, "another horse", ELSEWHERE)


def test_an_address_that_tries_many_accounts_is_locked_for_all(world: World) -> None:
    for number in range(20):
        fail(world, 1, f"user{number}@example.com")
    assert wait(world, "user99@example.com") == 1
    assert wait(world) == 1
    world.sessions.log_in(EMAIL, PASSWORD, HOME)
    world.clock.advance(timedelta(hours=1))
    world.sessions.log_in(EMAIL, PASSWORD, ELSEWHERE)


def test_a_success_does_not_wash_an_address_clean(world: World) -> None:
    for number in range(19):
        fail(world, 1, f"user{number}@example.com")
    world.sessions.log_in(EMAIL, PASSWORD, ELSEWHERE)
    fail(world, 1, "user19@example.com")
    assert wait(world) == 1


def test_many_at_once_are_counted_one_after_the_other(world: World) -> None:
    world.count_items.raced = True
    assert wait(world) == 1


def test_every_try_is_counted_before_the_password_is_looked_at(world: World) -> None:
    attempts = [world.lockout.admit(EMAIL, ELSEWHERE) for _ in range(5)]
    assert wait(world) == 1
    world.lockout.succeeded(attempts[0])
    world.sessions.log_in(EMAIL, PASSWORD, ELSEWHERE)


def test_the_present_password_is_not_guessed_by_changing_it(world: World) -> None:
    world.sessions.log_in(EMAIL, PASSWORD, HOME)
    [session] = world.session_items.sessions.values()
    for _ in range(5):
        with pytest.raises(InvalidInput):
            world.recovery.change_password(session.user_id, session.session_id, "wrong", "another horse", HOME)
    with pytest.raises(RateLimited):
        world.recovery.change_password(session.user_id, session.session_id, PASSWORD, "another horse", HOME)


def test_a_household_is_one_address() -> None:
    assert address_key("2001:db8:1:2::1") == address_key("2001:db8:1:2:ffff::9")
    assert address_key("2001:db8:1:2::1") != address_key("2001:db8:1:3::1")
    assert address_key("192.0.2.7") != address_key("192.0.2.8")
    assert address_key("unknown") == address_key("unknown")


def test_nothing_that_is_kept_names_anybody(world: World) -> None:
    fail(world, 2)
    fail(world, 2, NOBODY)
    kept = repr(world.count_items.counts)
    assert [name for name in (EMAIL, NOBODY, ELSEWHERE) if name in kept] == []


def test_no_count_overflows() -> None:
    world = World()
    pace = Pace(5, timedelta(seconds=1), timedelta(minutes=15), timedelta(days=1))
    assert pace.lock(10_000, world.clock.now()) == world.clock.now() + timedelta(minutes=15)
