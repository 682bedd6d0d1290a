"""Registration, the user's own data, roles, and deletion."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from functions.common.errors import Conflict, InvalidInput, NotFound, PreconditionFailed, Unauthenticated
from functions.contracts.events.envelope import unwrap
from functions.contracts.events.users import UserDeletedV1
from functions.user_service.model import Mail, Role, RoleGrant, UserId
from tests.unit.user_service.fakes import World

EMAIL, PASSWORD, HOME = "ada@example.com", "correct horse", "192.0.2.7"


@pytest.fixture
def world() -> World:
    world = World()
    world.users.register(EMAIL, PASSWORD, "Ada")
    return world


# Users.


def test_a_user_registers() -> None:
    world = World()
    user = world.users.register(" Ada@Example.com", PASSWORD, " Ada ")
    assert (user.email, user.name, user.created_at) == (EMAIL, "Ada", world.clock.now())
    assert user.user_id.startswith("usr_")
    assert world.users.get_user(user.user_id) == user
    assert world.directory.get_user(user.user_id) == user
    assert not user.email_verified
    assert [(email, mail) for email, mail, _ in world.mailer.sent] == [(EMAIL, Mail.VERIFY_EMAIL)]


def test_an_email_registers_once(world: World) -> None:
    with pytest.raises(Conflict) as refused:
        world.users.register("ADA@example.com ", "another password", "Eve")
    assert refused.value.code == "email_taken"
    assert EMAIL not in refused.value.detail


def test_every_field_at_fault_is_named() -> None:
    with pytest.raises(InvalidInput) as refused:
        World().users.register("nobody", PASSWORD, " ")
    assert {error.field for error in refused.value.errors} == {"email", "name"}


def test_an_unknown_user_is_not_found() -> None:
    with pytest.raises(NotFound):
        World().users.get_user(UserId("usr_x"))


def test_a_role_is_granted_once(world: World) -> None:
    assert world.users.grant_role(" ADA@example.com", "admin").roles == {Role.ADMIN}
    granted = world.user_items.find(world.users.grant_role(EMAIL, "admin").email)
    assert granted is not None
    assert granted.roles == {Role.ADMIN}
    assert granted.version == 2
    assert granted.role_grants == (RoleGrant(Role.ADMIN, world.clock.now()),)


def test_who_grants_a_role_learns_what_was_kept_of_it(world: World) -> None:
    first = world.users.grant_role(EMAIL, "admin")

    assert first.role_grants == (RoleGrant(Role.ADMIN, world.clock.now()),)
    assert world.users.grant_role(EMAIL, "admin").role_grants == first.role_grants


@pytest.mark.parametrize("email", ["eve@example.com", "nobody"])
def test_a_role_needs_a_user(world: World, email: str) -> None:
    with pytest.raises(NotFound):
        world.users.grant_role(email, "admin")


def test_an_unknown_role_is_refused(world: World) -> None:
    with pytest.raises(InvalidInput):
        world.users.grant_role(EMAIL, "emperor")


@pytest.mark.parametrize(
    ("password", "code"),
    [
        ("1234567", "length"),
        ("e\u0301" * 7, "length"),
        ("\u00e9" * 129, "length"),
        ("\ufdfa" * 8, "length"),
        ("password1", "common"),
        ("QwertyUiop", "common"),
        ("ADA@example.com", "personal"),
        ("ada lovelace", "personal"),
        ("\uff41\uff44\uff41\uff20example.com", "personal"),
    ],
)
def test_a_password_that_is_guessed_first_is_refused(password: str, code: str) -> None:
    world = World()
    with pytest.raises(InvalidInput) as refused:
        world.users.register(EMAIL, password, "Ada Lovelace")
    assert [(error.field, error.code) for error in refused.value.errors] == [("password", code)]
    assert password not in str(refused.value.errors)


@pytest.mark.parametrize("password", ["\u00e9" * 8, "e\u0301" * 128, " " * 8, "\U0001f40e" * 8, "correct horse"])
def test_a_password_has_any_characters_and_as_many_as_one_sees(password: str) -> None:
    world = World()
    world.users.register(EMAIL, password, "Ada")
    assert world.sessions.log_in(EMAIL, password, HOME).access_token


def test_of_fifty_registrations_at_once_one_wins() -> None:
    world = World()
    started, lock = threading.Barrier(50), threading.Lock()
    create = world.user_items.create

    def atomic(user: object) -> bool:  # what the table's condition does
        with lock:
            return create(user)  # type: ignore[arg-type]

    world.user_items.create = atomic  # type: ignore[method-assign]

    def register(number: int) -> bool:
        started.wait()
        try:
            world.users.register("Ada@Example.com " if number % 2 else EMAIL, PASSWORD, f"Ada {number}")
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(50) as pool:
        assert sum(pool.map(register, range(50))) == 1
    assert len(world.user_items.users) == 1


# The user's own data.


def test_preferences_change_one_by_one_and_can_be_taken_back(world: World) -> None:
    [user] = world.user_items.users.values()
    world.users.update_user(user.user_id, {"currency": "EUR", "time_zone": "Europe/Berlin", "reminder_days": 0})
    changed = world.users.update_user(user.user_id, {"name": " Ada L. ", "reminder_days": None})
    assert changed.name == "Ada L."
    assert (changed.preferences.currency, changed.preferences.time_zone) == ("EUR", "Europe/Berlin")
    assert changed.preferences.reminder_days is None
    assert changed.version == 3
    assert world.users.update_user(user.user_id, {}) == changed


@pytest.mark.parametrize(
    ("field", "value"),
    [("name", " "), ("name", "A\x00"), ("currency", "XXX"), ("currency", "eur"), ("time_zone", "Europe/Atlantis"),
     ("time_zone", "Europe"), ("time_zone", "../etc/passwd"), ("time_zone", "")],
)  # fmt: skip
def test_a_preference_that_cannot_be_is_named(world: World, field: str, value: str) -> None:
    [user] = world.user_items.users.values()
    with pytest.raises(InvalidInput) as refused:
        world.users.update_user(user.user_id, {"reminder_days": 3, field: value})
    assert [error.field for error in refused.value.errors] == [field]
    assert world.users.get_user(user.user_id) == user


def test_nobody_has_no_preferences(world: World) -> None:
    with pytest.raises(NotFound):
        world.users.update_user(UserId("usr_x"), {"currency": "EUR"})


# Deletion.


def test_a_deleted_user_is_gone_at_once_and_the_others_hear_of_it(world: World) -> None:
    [user] = world.user_items.users.values()
    tokens = world.sessions.log_in(EMAIL, PASSWORD, HOME)
    for _ in range(2):
        world.users.delete_user(user.user_id)

    [event] = world.publisher.events
    assert unwrap(event, UserDeletedV1) == UserDeletedV1(user_id=user.user_id)
    assert (event.source, event.subject) == ("/billing/user", user.user_id)
    assert not world.session_items.sessions
    assert not world.user_items.outbox
    with pytest.raises(NotFound):
        world.users.get_user(user.user_id)
    with pytest.raises(Unauthenticated):
        world.sessions.log_in(EMAIL, PASSWORD, HOME)
    with pytest.raises(Unauthenticated):
        world.sessions.refresh(tokens.refresh_token)
    with pytest.raises(Conflict):
        world.users.register(EMAIL, PASSWORD, "Eve")


def test_while_the_broker_is_down_the_deletion_waits_for_the_sweep(world: World) -> None:
    [user] = world.user_items.users.values()
    world.publisher.down = True
    world.users.delete_user(user.user_id)
    assert world.purge.flush_outbox(10) == (0, False)
    world.publisher.down = False
    assert world.purge.flush_outbox(10) == (1, False)
    assert world.publisher.types == ["user.deleted.v1"]


def test_the_purge_leaves_nothing_and_frees_the_email(world: World) -> None:
    [user] = world.user_items.users.values()
    world.sessions.log_in(EMAIL, PASSWORD, HOME)
    world.users.delete_user(user.user_id)
    with pytest.raises(Unauthenticated):
        world.sessions.log_in(EMAIL, PASSWORD, "198.51.100.9")
    assert world.purge.purge_user(user.user_id) > 2
    assert world.purge.purge_user(user.user_id) == 0
    assert not world.user_items.users
    assert [place for place in world.count_items.counts if place.account] == []
    world.clock.advance(timedelta(minutes=1))
    assert world.users.register(EMAIL, PASSWORD, "Ada").user_id != user.user_id


def test_nobody_is_purged_who_did_not_want_it(world: World) -> None:
    [user] = world.user_items.users.values()
    with pytest.raises(PreconditionFailed):
        world.purge.purge_user(user.user_id)
    assert world.users.get_user(user.user_id) == user
