"""What is told of users' own security actions (ADR 18), and of whom."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from functions.common.errors import AppError, InvalidInput, NotFound, RateLimited, Unauthenticated
from functions.contracts.events.security import Action
from functions.user_service.lockout import account_key
from functions.user_service.model import Purpose, SessionId, UserId
from functions.user_service.tokens import RefreshToken
from tests.support.fakes import Recorded
from tests.unit.user_service.fakes import World

EMAIL, PASSWORD, ADDRESS = "ada@example.com", "correct horse", "192.0.2.7"


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def ada(world: World) -> UserId:
    """Registered; what was told of that is forgotten."""
    user_id = world.users.register(EMAIL, PASSWORD, "Ada").user_id
    world.actions.recorded.clear()
    return user_id


def log_in(world: World) -> str:
    """A refresh token. What was told of the login is forgotten."""
    token = world.sessions.log_in(EMAIL, PASSWORD, ADDRESS).refresh_token
    world.actions.recorded.clear()
    return token


def session_of(refresh_token: str) -> SessionId:
    token = RefreshToken.parse(refresh_token)
    assert token
    return token.session_id


def test_registering_is_told_once(world: World) -> None:
    user = world.users.register(EMAIL, PASSWORD, "Ada")

    assert world.actions.recorded == [Recorded(Action.USER_REGISTERED, user.user_id, user.user_id, "", None)]


def test_a_login_is_told_with_its_session(world: World, ada: UserId) -> None:
    tokens = world.sessions.log_in(EMAIL, PASSWORD, ADDRESS)

    session_id = session_of(tokens.refresh_token)
    assert world.actions.recorded == [Recorded(Action.LOGIN_SUCCEEDED, ada, ada, session_id, None)]


def fail(world: World, email: str, times: int) -> None:
    for _ in range(times):
        with pytest.raises(Unauthenticated):
            world.sessions.log_in(email, "wrong", ADDRESS)


def test_failed_logins_are_told_and_when_they_lock(world: World, ada: UserId) -> None:
    fail(world, EMAIL, 5)
    with pytest.raises(RateLimited):
        world.sessions.log_in(EMAIL, PASSWORD, ADDRESS)

    assert world.actions.names == ["login_failed"] * 4 + ["login_locked"]
    assert {(each.user_id, each.actor, each.target) for each in world.actions.recorded} == {(ada, "unknown", "")}


def test_a_login_of_nobody_we_know_is_told_without_the_e_mail(world: World) -> None:
    fail(world, "eve@example.com", 1)

    [told] = world.actions.recorded
    assert (told.action, told.user_id, told.actor) == (Action.LOGIN_FAILED, "", "unknown")
    assert told.target == account_key("eve@example.com")
    assert "eve" not in told.target


def test_ends_of_sessions_are_told(world: World, ada: UserId) -> None:
    first, second, third = log_in(world), log_in(world), log_in(world)

    world.sessions.log_out(ada, session_of(first), None)
    world.sessions.log_out(ada, session_of(first), second)
    world.sessions.end_session(ada, session_of(third))
    world.sessions.log_out_everywhere(ada)

    ended = [(each.action, each.target) for each in world.actions.recorded]
    assert ended == [(Action.SESSION_ENDED, session_of(each)) for each in (first, second, third)] + [
        (Action.LOGGED_OUT_EVERYWHERE, "")
    ]
    assert {each.user_id for each in world.actions.recorded} == {ada}


def test_what_is_no_session_of_theirs_is_not_told(world: World, ada: UserId) -> None:
    with pytest.raises(NotFound):
        world.sessions.end_session(ada, "ses_unknown")
    world.sessions.log_out(ada, SessionId(""), "no.token.of.ours")
    world.sessions.log_out(ada, SessionId(""), None)

    assert world.actions.recorded == []


def test_a_stolen_token_is_told_and_a_retry_is_not(world: World, ada: UserId) -> None:
    token = log_in(world)
    world.sessions.refresh(token)
    with pytest.raises(Unauthenticated):
        world.sessions.refresh(token)
    assert world.actions.recorded == []
    world.clock.advance(timedelta(minutes=1))

    with pytest.raises(Unauthenticated):
        world.sessions.refresh(token)

    assert world.actions.recorded == [Recorded(Action.REFRESH_TOKEN_REUSED, ada, "unknown", session_of(token), None)]


def test_passwords_and_codes_are_told(world: World, ada: UserId) -> None:
    session_id = session_of(log_in(world))
    with pytest.raises(InvalidInput):
        world.recovery.change_password(ada, session_id, "wrong", "battery staple", ADDRESS)
    world.recovery.change_password(ada, session_id, PASSWORD, "battery staple", ADDRESS)
    world.recovery.verify_email(EMAIL, code_for(world, Purpose.VERIFY_EMAIL))
    world.recovery.reset_password(EMAIL, code_for(world, Purpose.RESET_PASSWORD), "staple battery", ADDRESS)

    assert world.actions.names == [
        "password_change_refused", "password_changed", "email_verified", "password_reset",
    ]  # fmt: skip
    assert {(each.user_id, each.actor, each.target) for each in world.actions.recorded} == {(ada, ada, "")}


def code_for(world: World, purpose: Purpose) -> str:
    world.clock.advance(timedelta(hours=2))
    world.recovery.request_code(EMAIL, purpose)
    return world.mailer.last_code


def test_a_role_is_told_once_and_that_an_operator_gave_it(world: World, ada: UserId) -> None:
    for _ in range(2):
        world.users.grant_role(EMAIL, "admin")

    assert world.actions.recorded == [Recorded(Action.ROLE_GRANTED, ada, "operator", "admin", None)]


@pytest.mark.parametrize(
    "act",
    [
        lambda world: world.users.register(EMAIL, PASSWORD, "Ada"),
        lambda world: world.recovery.verify_email(EMAIL, "wrong"),
        lambda world: world.recovery.reset_password(EMAIL, "wrong", "battery staple", ADDRESS),
        lambda world: world.users.grant_role("eve@example.com", "admin"),
    ],
)
def test_what_was_refused_otherwise_is_not_told(world: World, ada: UserId, act: Callable[[World], object]) -> None:
    with pytest.raises(AppError):
        act(world)

    assert world.actions.recorded == []
