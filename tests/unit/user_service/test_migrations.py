"""Migrations of the user service, on items as they were written."""

from collections.abc import Iterator

import pytest

from tests.support.migrations import Database, database, migration

ENV = {"USERS_TABLE": "users", "SESSIONS_TABLE": "sessions"}
ended_sessions = migration("user_service", "0001_clear_ended_sessions")


@pytest.fixture
def base() -> Iterator[Database]:
    with database() as base:
        base.create("users", "user_id")
        base.create("sessions", "user_id", "session_id")
        yield base


def session(user: str, name: str, **attributes: object) -> dict[str, object]:
    return {"user_id": user, "session_id": name, "token_hash": "h", "expires_at": 2_000_000_000, **attributes}


def test_sessions_that_are_over_go_and_living_ones_stay(base: Database) -> None:
    base.put("users", {"user_id": "usr_first"}, {"user_id": "usr_left", "session_epoch": 2})
    base.put(
        "sessions",
        session("usr_first", "ses_before_epochs"),
        session("usr_first", "ses_now", epoch=0),
        session("usr_left", "ses_before_epochs"),
        session("usr_left", "ses_ended", epoch=1),
        session("usr_left", "ses_now", epoch=2),
        session("usr_gone", "ses_orphan", epoch=0),
        session("usr_gone", "code#verify_email"),
        session("count#address#x", "all"),
    )

    for _ in range(2):
        ended_sessions.up(base.context("user_service", ENV, page=3))

    assert sorted((item["user_id"], item["session_id"]) for item in base.items("sessions")) == [
        ("count#address#x", "all"),
        ("usr_first", "ses_before_epochs"),
        ("usr_first", "ses_now"),
        ("usr_gone", "code#verify_email"),
        ("usr_left", "ses_now"),
    ]


def test_the_session_in_which_the_password_is_changed_now_is_judged_anew(
    base: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The user's epoch has grown already, the session is given the new one after that."""
    base.put("users", {"user_id": "usr_a", "session_epoch": 1})
    base.put("sessions", session("usr_a", "ses_kept", epoch=0))
    ctx = base.context("user_service", ENV)
    read, calls = ctx.tables.get, iter([1])

    def adopted_meanwhile(table: str, key: dict[str, str]) -> object:
        if next(calls, None):
            base.put("sessions", session("usr_a", "ses_kept", epoch=1))
        return read(table, key)

    monkeypatch.setattr(ctx.tables, "get", adopted_meanwhile)
    ended_sessions.up(ctx)

    assert [item["session_id"] for item in base.items("sessions")] == ["ses_kept"]


def test_back_there_is_nothing_to_do(base: Database) -> None:
    ended_sessions.down(base.context("user_service", ENV))

    assert base.logged == ["nothing to take back: what was deleted was good for nothing"]
