"""Registration, roles, and the life of a session."""

from datetime import timedelta

import jwt
import pytest

from functions.common.errors import Conflict, InvalidInput, NotFound, Unauthenticated, Unavailable
from functions.user_service.model import Role, SessionId, UserId
from functions.user_service.tokens import RefreshToken
from tests.unit.user_service.fakes import World

EMAIL, PASSWORD = "ada@example.com", "correct horse"


@pytest.fixture
def world() -> World:
    world = World()
    world.users.register(EMAIL, PASSWORD, "Ada")
    return world


def family(refresh_token: str) -> RefreshToken:
    token = RefreshToken.parse(refresh_token)
    assert token is not None
    return token


# Users.


def test_a_user_registers() -> None:
    world = World()
    user = world.users.register(" Ada@Example.com", PASSWORD, " Ada ")
    assert (user.email, user.name, user.created_at) == (EMAIL, "Ada", world.clock.now())
    assert user.user_id.startswith("usr_")
    assert world.users.get_user(user.user_id) == user


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


@pytest.mark.parametrize("email", ["eve@example.com", "nobody"])
def test_a_role_needs_a_user(world: World, email: str) -> None:
    with pytest.raises(NotFound):
        world.users.grant_role(email, "admin")


def test_an_unknown_role_is_refused(world: World) -> None:
    with pytest.raises(InvalidInput):
        world.users.grant_role(EMAIL, "emperor")


# Logging in.


def test_logging_in_gives_tokens(world: World) -> None:
    world.users.grant_role(EMAIL, "admin")
    tokens = world.sessions.log_in("ADA@example.com", PASSWORD)
    claims = jwt.decode(tokens.access_token, options={"verify_signature": False})
    assert (claims["iss"], claims["aud"], claims["roles"]) == ("billing-aggregator", "billing-api", ["user", "admin"])
    assert claims["sid"] in world.session_items.sessions
    assert tokens.expires_in == 900 == claims["exp"] - claims["nbf"]


@pytest.mark.parametrize(
    ("email", "password"), [(EMAIL, "wrong"), ("eve@example.com", PASSWORD), ("nobody", PASSWORD), (EMAIL, "")]
)
def test_wrong_credentials_are_refused_alike(world: World, email: str, password: str) -> None:
    with pytest.raises(Unauthenticated) as refused:
        world.sessions.log_in(email, password)
    assert (refused.value.code, refused.value.detail) == (
        "invalid_credentials",
        "The e-mail or the password is wrong.",
    )
    assert world.hasher.verified == 1
    assert not world.session_items.sessions


def test_an_outdated_hash_is_made_anew(world: World) -> None:
    world.hasher.pepper = "v2"
    world.sessions.log_in(EMAIL, PASSWORD)
    [user] = world.user_items.users.values()
    assert user.password_hash.startswith("v2")
    world.sessions.log_in(EMAIL, PASSWORD)


# Refreshing.


def test_a_session_goes_on_with_each_refresh(world: World) -> None:
    token = world.sessions.log_in(EMAIL, PASSWORD).refresh_token
    for _ in range(3):
        world.clock.advance(timedelta(days=29))
        token = world.sessions.refresh(token).refresh_token
    assert len(world.session_items.sessions) == 1


def test_new_roles_show_from_the_next_refresh(world: World) -> None:
    token = world.sessions.log_in(EMAIL, PASSWORD).refresh_token
    world.users.grant_role(EMAIL, "admin")
    access_token = world.sessions.refresh(token).access_token
    assert jwt.decode(access_token, options={"verify_signature": False})["roles"] == ["user", "admin"]


def test_a_token_used_again_ends_the_session(world: World, caplog: pytest.LogCaptureFixture) -> None:
    stolen = world.sessions.log_in(EMAIL, PASSWORD).refresh_token
    fresh = world.sessions.refresh(stolen).refresh_token
    other = world.sessions.log_in(EMAIL, PASSWORD).refresh_token

    for token in (stolen, fresh):
        with pytest.raises(Unauthenticated) as refused:
            world.sessions.refresh(token)
        assert refused.value.code == "invalid_refresh_token"

    assert "refresh_token_reused" in caplog.messages
    world.sessions.refresh(other)


def test_a_token_never_issued_changes_nothing(world: World) -> None:
    genuine = family(world.sessions.log_in(EMAIL, PASSWORD).refresh_token)
    forged = RefreshToken.first(genuine.user_id, genuine.session_id)
    with pytest.raises(Unauthenticated):
        world.sessions.refresh(str(forged))
    world.sessions.refresh(str(genuine))


@pytest.mark.parametrize("token", ["", "x", "a.b.c.d", "é" * 40, ".".join(["usr_x", "ses_x", "a" * 43, "b" * 43])])
def test_what_is_no_token_is_refused(world: World, token: str) -> None:
    with pytest.raises(Unauthenticated):
        world.sessions.refresh(token)


def test_an_expired_session_is_over_though_the_table_still_holds_it(world: World) -> None:
    token = world.sessions.log_in(EMAIL, PASSWORD).refresh_token
    world.clock.advance(timedelta(days=30))
    with pytest.raises(Unauthenticated):
        world.sessions.refresh(token)
    assert world.session_items.sessions


def test_the_loser_of_two_refreshes_does_not_end_the_session(world: World) -> None:
    token = world.sessions.log_in(EMAIL, PASSWORD).refresh_token
    world.session_items.raced = True
    with pytest.raises(Unauthenticated):
        world.sessions.refresh(token)
    assert world.session_items.sessions


def test_a_token_is_not_used_up_when_signing_fails(world: World) -> None:
    token = world.sessions.log_in(EMAIL, PASSWORD).refresh_token
    world.signer.down = True
    with pytest.raises(Unavailable):
        world.sessions.refresh(token)
    world.signer.down = False
    world.sessions.refresh(token)


def test_a_deleted_user_refreshes_nothing(world: World) -> None:
    token = world.sessions.log_in(EMAIL, PASSWORD).refresh_token
    world.user_items.users.clear()
    with pytest.raises(Unauthenticated):
        world.sessions.refresh(token)


# Logging out.


def test_logging_out_ends_the_tokens_session(world: World) -> None:
    mine, other = (world.sessions.log_in(EMAIL, PASSWORD).refresh_token for _ in range(2))
    token = family(mine)
    for _ in range(2):
        world.sessions.log_out(token.user_id, family(other).session_id, mine)
    with pytest.raises(Unauthenticated):
        world.sessions.refresh(mine)
    world.sessions.refresh(other)


def test_logging_out_without_a_token_ends_the_access_tokens_session(world: World) -> None:
    token = family(world.sessions.log_in(EMAIL, PASSWORD).refresh_token)
    world.sessions.log_out(token.user_id, SessionId(""), None)
    assert world.session_items.sessions
    world.sessions.log_out(token.user_id, token.session_id, None)
    assert not world.session_items.sessions


def test_nobody_logs_somebody_else_out(world: World) -> None:
    token = world.sessions.log_in(EMAIL, PASSWORD).refresh_token
    world.sessions.log_out(UserId("usr_eve"), SessionId("ses_x"), token)
    world.sessions.log_out(family(token).user_id, SessionId("ses_x"), "no token")
    assert world.session_items.sessions


# Nothing secret shows.


def test_no_secret_stands_in_a_representation_or_a_log(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    tokens = world.sessions.log_in(EMAIL, PASSWORD)
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
