"""Codes by mail, and passwords that change."""

from datetime import timedelta

import pytest

from functions.common.errors import Conflict, InvalidInput, NotFound, Unauthenticated
from functions.user_service.model import Email, Mail, Purpose, SessionId, User, UserId
from functions.user_service.tokens import RefreshToken
from tests.unit.user_service.fakes import World

EMAIL, PASSWORD, HOME = "ada@example.com", "correct horse", "192.0.2.7"
NEW = "another horse"


@pytest.fixture
def world() -> World:
    world = World()
    world.users.register(EMAIL, PASSWORD, "Ada")
    return world


def ada(world: World) -> User:
    user = world.user_items.find(Email(EMAIL))
    assert user is not None
    return user


def reset_code(world: World) -> str:
    world.recovery.request_code(EMAIL, Purpose.RESET_PASSWORD)
    return world.mailer.last_code


def refuse(world: World, code: str, email: str = EMAIL) -> None:
    with pytest.raises(InvalidInput) as refused:
        world.recovery.reset_password(email, code, NEW, HOME)
    assert [error.field for error in refused.value.errors] == ["code"]


# Verification.


def test_the_code_of_the_registration_verifies_the_address_once(world: World) -> None:
    code = world.mailer.last_code
    world.recovery.verify_email(" ADA@example.com", code)
    assert ada(world).email_verified
    with pytest.raises(InvalidInput):
        world.recovery.verify_email(EMAIL, code)


def test_a_code_is_good_for_its_address_and_purpose_only(world: World) -> None:
    verify = world.mailer.last_code
    world.users.register("eve@example.com", PASSWORD, "Eve")
    refuse(world, verify)
    for email, code in (("eve@example.com", verify), ("nobody@example.com", verify), ("no address", verify),
                        (EMAIL, ""), (EMAIL, verify[:-1]), (EMAIL, "é")):  # fmt: skip
        with pytest.raises(InvalidInput) as refused:
            world.recovery.verify_email(email, code)
        assert [error.field for error in refused.value.errors] == ["code"]
    world.recovery.verify_email(EMAIL, verify)


def test_who_is_verified_gets_no_further_code(world: World) -> None:
    world.recovery.verify_email(EMAIL, world.mailer.last_code)
    world.clock.advance(timedelta(hours=1))
    world.recovery.request_code(EMAIL, Purpose.VERIFY_EMAIL)
    assert len(world.mailer.sent) == 1


# Asking for a code.


def test_the_request_does_the_same_for_an_unknown_address(world: World) -> None:
    world.posted.clear()
    for email in (EMAIL, "nobody@example.com"):
        world.recovery.request_code(email, Purpose.RESET_PASSWORD)
    assert world.posted == [(EMAIL, Mail.RESET_PASSWORD), ("nobody@example.com", Mail.RESET_PASSWORD)]
    assert [(email, mail) for email, mail, _ in world.mailer.sent[1:]] == [(EMAIL, Mail.RESET_PASSWORD)]


def test_what_is_no_address_is_named(world: World) -> None:
    with pytest.raises(InvalidInput) as refused:
        world.recovery.request_code("nobody", Purpose.RESET_PASSWORD)
    assert [error.field for error in refused.value.errors] == ["email"]


def test_no_mailbox_is_flooded(world: World) -> None:
    first = reset_code(world)
    for _ in range(5):
        world.recovery.request_code(EMAIL, Purpose.RESET_PASSWORD)
    assert len(world.mailer.sent) == 2
    world.clock.advance(timedelta(minutes=1))
    assert reset_code(world) != first
    refuse(world, first)


def test_of_two_requests_at_once_one_sends(world: World) -> None:
    world.code_items.raced = True
    assert not world.mailing.send_mail(EMAIL, Mail.RESET_PASSWORD)


def test_a_mail_service_that_fails_changes_nothing_and_the_next_request_sends(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.mailer.down = True
    world.recovery.request_code(EMAIL, Purpose.RESET_PASSWORD)
    assert "mail_not_sent" in caplog.messages
    world.mailer.down = False
    world.recovery.reset_password(EMAIL, reset_code(world), NEW, HOME)


def test_where_no_mail_is_sent_no_code_is_kept(world: World) -> None:
    world.mailer.silent = True
    assert not world.mailing.send_mail(EMAIL, Mail.RESET_PASSWORD)
    assert world.code_items.get(ada(world).user_id, Purpose.RESET_PASSWORD) is None


# Reset.


def test_a_reset_changes_the_password_ends_all_sessions_and_says_so(world: World) -> None:
    token = world.sessions.log_in(EMAIL, PASSWORD, HOME).refresh_token
    code = reset_code(world)
    world.recovery.reset_password(EMAIL, code, NEW, HOME)

    assert not world.session_items.sessions
    assert ada(world).email_verified
    assert world.mailer.sent[-1] == (EMAIL, Mail.PASSWORD_CHANGED, "")
    with pytest.raises(Unauthenticated):
        world.sessions.refresh(token)
    with pytest.raises(Unauthenticated):
        world.sessions.log_in(EMAIL, PASSWORD, HOME)
    world.sessions.log_in(EMAIL, NEW, HOME)
    refuse(world, code)


def test_an_expired_code_is_over_though_the_table_still_holds_it(world: World) -> None:
    code = reset_code(world)
    world.clock.advance(timedelta(hours=1))
    refuse(world, code)
    assert world.code_items.get(ada(world).user_id, Purpose.RESET_PASSWORD)


@pytest.mark.parametrize("password", ["password1", "short", EMAIL, "lovelace" * 40, "ADA LOVELACE"])
def test_a_password_that_may_not_be_does_not_use_the_code_up(password: str) -> None:
    world = World()
    world.users.register(EMAIL, PASSWORD, "Ada Lovelace")
    code = reset_code(world)
    with pytest.raises(InvalidInput) as refused:
        world.recovery.reset_password(EMAIL, code, password, HOME)
    assert [error.field for error in refused.value.errors] == ["new_password"]
    world.recovery.reset_password(EMAIL, code, NEW, HOME)


def test_of_two_that_use_a_code_at_once_one_wins(world: World) -> None:
    code = reset_code(world)
    world.code_items.raced = True
    refuse(world, code)


def test_nobody_is_reset_after_their_deletion(world: World) -> None:
    code = reset_code(world)
    world.users.delete_user(ada(world).user_id)
    refuse(world, code)


# Changing.


def test_a_change_ends_the_other_sessions(world: World) -> None:
    mine, other = (world.sessions.log_in(EMAIL, PASSWORD, HOME).refresh_token for _ in range(2))
    token = RefreshToken.parse(mine)
    assert token is not None
    world.recovery.change_password(token.user_id, token.session_id, PASSWORD, NEW, HOME)

    with pytest.raises(Unauthenticated):
        world.sessions.refresh(other)
    world.sessions.refresh(mine)
    world.sessions.log_in(EMAIL, NEW, HOME)
    assert world.mailer.sent[-1][1] is Mail.PASSWORD_CHANGED
    assert not ada(world).email_verified


def test_a_session_that_began_with_the_old_password_in_the_same_moment_is_over(world: World) -> None:
    token = RefreshToken.parse(world.sessions.log_in(EMAIL, PASSWORD, HOME).refresh_token)
    late = world.sessions.log_in(EMAIL, PASSWORD, HOME).refresh_token
    parsed = RefreshToken.parse(late)
    assert token is not None
    assert parsed is not None
    session = world.session_items.sessions[parsed.session_id]
    world.recovery.change_password(token.user_id, token.session_id, PASSWORD, NEW, HOME)
    world.session_items.create(session)
    with pytest.raises(Unauthenticated):
        world.sessions.refresh(late)


def test_a_wrong_or_weak_password_changes_nothing(world: World) -> None:
    user = ada(world)
    for current, new, field in (("wrong", NEW, "current_password"), (PASSWORD, "password1", "new_password")):
        with pytest.raises(InvalidInput) as refused:
            world.recovery.change_password(user.user_id, SessionId(""), current, new, HOME)
        assert [error.field for error in refused.value.errors] == [field]
    assert ada(world).password_hash == user.password_hash
    with pytest.raises(NotFound):
        world.recovery.change_password(UserId("usr_x"), SessionId(""), PASSWORD, NEW, HOME)


def test_of_two_changes_at_once_one_wins(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world.user_items, "change_password", lambda *_, **__: None)
    with pytest.raises(Conflict):
        world.recovery.change_password(ada(world).user_id, SessionId(""), PASSWORD, NEW, HOME)


def test_no_code_is_logged_or_shown(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    code = reset_code(world)
    kept = repr(world.code_items.codes)
    world.recovery.reset_password(EMAIL, code, NEW, HOME)
    logged = " ".join(repr(record.__dict__) for record in caplog.records)
    assert "password_reset" in logged
    assert [secret for secret in (code, NEW, EMAIL) if secret in logged or secret in kept] == []
