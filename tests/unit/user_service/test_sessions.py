"""The life of a session."""

from datetime import timedelta

import jwt
import pytest

from functions.common import cursor as cursors
from functions.common.errors import InvalidInput, NotFound, Unauthenticated, Unavailable
from functions.user_service.model import SessionId, UserId
from functions.user_service.tokens import RefreshToken
from tests.unit.user_service.fakes import World

EMAIL, PASSWORD, HOME = "ada@example.com", "correct horse", "192.0.2.7"


@pytest.fixture
def world() -> World:
    world = World()
    world.users.register(EMAIL, PASSWORD, "Ada")
    return world


def family(refresh_token: str) -> RefreshToken:
    token = RefreshToken.parse(refresh_token)
    assert token is not None
    return token


# Logging in.


def test_logging_in_gives_tokens(world: World) -> None:
    world.users.grant_role(EMAIL, "admin")
    tokens = world.sessions.log_in("ADA@example.com", PASSWORD, HOME)
    claims = jwt.decode(tokens.access_token, options={"verify_signature": False})
    assert (claims["iss"], claims["aud"], claims["roles"]) == ("billing-aggregator", "billing-api", ["user", "admin"])
    assert claims["sid"] in world.session_items.sessions
    assert tokens.expires_in == 900 == claims["exp"] - claims["nbf"]


@pytest.mark.parametrize(
    ("email", "password"), [(EMAIL, "wrong"), ("eve@example.com", PASSWORD), ("nobody", PASSWORD), (EMAIL, "")]
)
def test_wrong_credentials_are_refused_alike(world: World, email: str, password: str) -> None:
    with pytest.raises(Unauthenticated) as refused:
        world.sessions.log_in(email, password, HOME)
    assert (refused.value.code, refused.value.detail) == (
        "invalid_credentials",
        "The e-mail or the password is wrong.",
    )
    assert world.hasher.verified == 1
    assert not world.session_items.sessions


def test_an_outdated_hash_is_made_anew(world: World) -> None:
    world.hasher.pepper = "v2"
    world.sessions.log_in(EMAIL, PASSWORD, HOME)
    [user] = world.user_items.users.values()
    assert user.password_hash.startswith("v2")
    world.sessions.log_in(EMAIL, PASSWORD, HOME)


# Refreshing.


def test_a_session_goes_on_with_each_refresh(world: World) -> None:
    token = world.sessions.log_in(EMAIL, PASSWORD, HOME).refresh_token
    for _ in range(3):
        world.clock.advance(timedelta(days=29))
        token = world.sessions.refresh(token).refresh_token
    assert len(world.session_items.sessions) == 1


def test_new_roles_show_from_the_next_refresh(world: World) -> None:
    token = world.sessions.log_in(EMAIL, PASSWORD, HOME).refresh_token
    world.users.grant_role(EMAIL, "admin")
    access_token = world.sessions.refresh(token).access_token
    assert jwt.decode(access_token, options={"verify_signature": False})["roles"] == ["user", "admin"]


def test_a_token_used_again_ends_the_session(world: World, caplog: pytest.LogCaptureFixture) -> None:
    stolen = world.sessions.log_in(EMAIL, PASSWORD, HOME).refresh_token
    fresh = world.sessions.refresh(stolen).refresh_token
    world.clock.advance(timedelta(seconds=6))
    other = world.sessions.log_in(EMAIL, PASSWORD, HOME).refresh_token

    for token in (stolen, fresh):
        with pytest.raises(Unauthenticated) as refused:
            world.sessions.refresh(token)
        assert refused.value.code == "invalid_refresh_token"

    assert "refresh_token_reused" in caplog.messages
    world.sessions.refresh(other)


def test_a_token_never_issued_changes_nothing(world: World) -> None:
    genuine = family(world.sessions.log_in(EMAIL, PASSWORD, HOME).refresh_token)
    forged = RefreshToken.first(genuine.user_id, genuine.session_id)
    with pytest.raises(Unauthenticated):
        world.sessions.refresh(str(forged))
    world.sessions.refresh(str(genuine))


@pytest.mark.parametrize("token", ["", "x", "a.b.c.d", "é" * 40, ".".join(["usr_x", "ses_x", "a" * 43, "b" * 43])])
def test_what_is_no_token_is_refused(world: World, token: str) -> None:
    with pytest.raises(Unauthenticated):
        world.sessions.refresh(token)


def test_an_expired_session_is_over_though_the_table_still_holds_it(world: World) -> None:
    token = world.sessions.log_in(EMAIL, PASSWORD, HOME).refresh_token
    world.clock.advance(timedelta(days=30))
    with pytest.raises(Unauthenticated):
        world.sessions.refresh(token)
    assert world.session_items.sessions


def test_the_loser_of_two_refreshes_does_not_end_the_session(world: World) -> None:
    token = world.sessions.log_in(EMAIL, PASSWORD, HOME).refresh_token
    world.session_items.raced = True
    with pytest.raises(Unauthenticated):
        world.sessions.refresh(token)
    assert world.session_items.sessions


def test_the_losers_retry_is_refused_and_the_session_lives(world: World) -> None:
    token = world.sessions.log_in(EMAIL, PASSWORD, HOME).refresh_token
    fresh = world.sessions.refresh(token).refresh_token
    world.clock.advance(timedelta(seconds=5))
    for _ in range(3):
        with pytest.raises(Unauthenticated):
            world.sessions.refresh(token)
    world.sessions.refresh(fresh)


def test_only_the_token_used_up_last_has_a_grace(world: World) -> None:
    oldest = world.sessions.log_in(EMAIL, PASSWORD, HOME).refresh_token
    newest = world.sessions.refresh(world.sessions.refresh(oldest).refresh_token).refresh_token
    for token in (oldest, newest):
        with pytest.raises(Unauthenticated):
            world.sessions.refresh(token)
    assert not world.session_items.sessions


def test_a_retry_that_waited_for_a_cold_function_is_judged_by_when_it_came_in(world: World) -> None:
    used_up = world.sessions.log_in(EMAIL, PASSWORD, HOME).refresh_token
    came_in = world.clock.now()
    fresh = world.sessions.refresh(used_up).refresh_token
    world.clock.advance(timedelta(seconds=30))

    with pytest.raises(Unauthenticated):
        world.sessions.refresh(used_up, came_in)

    world.sessions.refresh(fresh)  # the session lives


def test_a_token_is_not_used_up_when_signing_fails(world: World) -> None:
    token = world.sessions.log_in(EMAIL, PASSWORD, HOME).refresh_token
    world.signer.down = True
    with pytest.raises(Unavailable):
        world.sessions.refresh(token)
    world.signer.down = False
    world.sessions.refresh(token)


def test_a_deleted_user_refreshes_nothing(world: World) -> None:
    token = world.sessions.log_in(EMAIL, PASSWORD, HOME).refresh_token
    world.user_items.users.clear()
    with pytest.raises(Unauthenticated):
        world.sessions.refresh(token)


# Logging out.


def test_logging_out_ends_the_tokens_session(world: World) -> None:
    mine, other = (world.sessions.log_in(EMAIL, PASSWORD, HOME).refresh_token for _ in range(2))
    token = family(mine)
    for _ in range(2):
        world.sessions.log_out(token.user_id, family(other).session_id, mine)
    with pytest.raises(Unauthenticated):
        world.sessions.refresh(mine)
    world.sessions.refresh(other)


def test_logging_out_without_a_token_ends_the_access_tokens_session(world: World) -> None:
    token = family(world.sessions.log_in(EMAIL, PASSWORD, HOME).refresh_token)
    world.sessions.log_out(token.user_id, SessionId(""), None)
    assert world.session_items.sessions
    world.sessions.log_out(token.user_id, token.session_id, None)
    assert not world.session_items.sessions


def test_nobody_logs_somebody_else_out(world: World) -> None:
    token = world.sessions.log_in(EMAIL, PASSWORD, HOME).refresh_token
    world.sessions.log_out(UserId("usr_eve"), SessionId("ses_x"), token)
    world.sessions.log_out(family(token).user_id, SessionId("ses_x"), "no token")
    assert world.session_items.sessions


def test_logging_out_everywhere_ends_every_session_though_the_table_still_holds_it(world: World) -> None:
    tokens = [world.sessions.log_in(EMAIL, PASSWORD, HOME).refresh_token for _ in range(3)]
    kept = dict(world.session_items.sessions)
    world.sessions.log_out_everywhere(family(tokens[0]).user_id)
    assert not world.session_items.sessions

    world.session_items.sessions = kept
    for token in tokens:
        with pytest.raises(Unauthenticated):
            world.sessions.refresh(token)
    assert list(world.sessions.every_session(family(tokens[0]).user_id)) == []
    world.sessions.refresh(world.sessions.log_in(EMAIL, PASSWORD, HOME).refresh_token)


def test_living_sessions_are_listed_and_one_can_be_ended(world: World) -> None:
    first = family(world.sessions.log_in(EMAIL, PASSWORD, HOME).refresh_token)
    world.clock.advance(timedelta(days=29))
    second, third = (family(world.sessions.log_in(EMAIL, PASSWORD, HOME).refresh_token) for _ in range(2))
    listed = world.sessions.every_session(first.user_id)
    assert [session.session_id for session in listed] == [third.session_id, second.session_id, first.session_id]

    world.clock.advance(timedelta(days=2))
    world.sessions.end_session(first.user_id, third.session_id)
    assert [session.session_id for session in world.sessions.every_session(first.user_id)] == [second.session_id]
    for gone in (third.session_id, first.session_id, "ses_x", "code#verify_email"):
        with pytest.raises(NotFound):
            world.sessions.end_session(first.user_id, gone)


def test_nobody_ends_or_lists_somebody_elses_session(world: World) -> None:
    token = family(world.sessions.log_in(EMAIL, PASSWORD, HOME).refresh_token)
    eve = world.users.register("eve@example.com", PASSWORD, "Eve")
    with pytest.raises(NotFound):
        world.sessions.end_session(eve.user_id, token.session_id)
    with pytest.raises(NotFound):
        world.sessions.list_sessions(UserId("usr_x"), 1)
    assert world.session_items.sessions


def test_sessions_are_listed_by_the_page(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = [family(world.sessions.log_in(EMAIL, PASSWORD, HOME).refresh_token) for _ in range(5)]
    user_id, newest_first = begun[0].user_id, [token.session_id for token in reversed(begun)]
    pages: list[list[SessionId]] = []
    cursor: str | None = ""
    while cursor is not None:
        page, cursor = world.sessions.list_sessions(user_id, 2, cursor)
        pages.append([session.session_id for session in page])
    assert pages == [newest_first[:2], newest_first[2:4], newest_first[4:]]

    monkeypatch.setattr("functions.user_service.sessions.PAGE", 2)
    assert [session.session_id for session in world.sessions.every_session(user_id)] == newest_first


@pytest.mark.parametrize("cursor", ["x", cursors.encode({"session_id": "code#verify_email"}), cursors.encode({})])
def test_a_cursor_that_is_none_is_named(world: World, cursor: str) -> None:
    token = family(world.sessions.log_in(EMAIL, PASSWORD, HOME).refresh_token)
    with pytest.raises(InvalidInput) as refused:
        world.sessions.list_sessions(token.user_id, 2, cursor)
    assert [error.field for error in refused.value.errors] == ["cursor"]


# Nothing secret shows.


def test_no_secret_stands_in_a_representation_or_a_log(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    tokens = world.sessions.log_in(EMAIL, PASSWORD, HOME)
    again = world.sessions.refresh(tokens.refresh_token)
    with pytest.raises(Unauthenticated) as refused:
        world.sessions.refresh(tokens.refresh_token)
    [user] = world.user_items.users.values()
    parts = family(tokens.refresh_token)
    shown = " ".join(
        [repr(value) for value in (tokens, again, user, parts, *world.session_items.sessions.values())]
        + [repr(record.__dict__) for record in caplog.records]
        + [refused.value.detail, str(refused.value)]
    )
    secrets = (
        PASSWORD, PASSWORD[::-1], EMAIL + '"', tokens.access_token, tokens.refresh_token, again.refresh_token,
        parts.family_secret, parts.own_secret, parts.token_hash, parts.family_hash,
    )  # fmt: skip
    assert [secret for secret in secrets if secret in shown] == []
