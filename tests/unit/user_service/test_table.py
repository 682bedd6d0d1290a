"""Users and sessions in DynamoDB, through moto."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import boto3
import pytest
from moto import mock_aws

from functions.common.errors import Unavailable
from functions.common.outbox import Outbox
from functions.user_service.code_table import DynamoCodes
from functions.user_service.count_table import DynamoCounts
from functions.user_service.lockout import AccountKey, AddressKey, Count, Place
from functions.user_service.model import (
    Code,
    Email,
    Preferences,
    Purpose,
    Role,
    RoleGrant,
    Session,
    SessionId,
    User,
    UserId,
)
from functions.user_service.session_table import DynamoSessions, SessionItem
from functions.user_service.table import DynamoUsers, UserItem
from tests.support.fakes import FakeClock, FakePublisher

NOW = datetime(2026, 3, 15, 12, 0, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
CLOCK = FakeClock(NOW)
ADA = User(
    user_id=UserId("usr_ada"),
    email=Email("ada@example.com"),
    preferences=Preferences(name="Ada"),
    password_hash="hash-1",
    created_at=NOW,
    updated_at=NOW,
)
SESSION = Session(
    user_id=ADA.user_id,
    session_id=SessionId("ses_1"),
    family_hash="family",
    token_hash="first",
    created_at=NOW,
    refreshed_at=NOW,
    expires_at=NOW + timedelta(days=30),
)


@pytest.fixture(autouse=True)
def tables() -> Iterator[None]:
    with mock_aws():
        DynamoUsers("users", CLOCK), DynamoSessions("sessions")
        UserItem.create_table(wait=True)
        SessionItem.create_table(wait=True)
        yield


def test_a_user_is_found_by_id_and_by_email() -> None:
    users = DynamoUsers("users", CLOCK)
    assert users.create(ADA)
    assert users.get(ADA.user_id) == ADA
    assert users.find(ADA.email) == ADA
    assert users.get(UserId("usr_eve")) is None
    assert users.find(Email("eve@example.com")) is None


def test_a_marker_is_no_user() -> None:
    users = DynamoUsers("users", CLOCK)
    users.create(ADA)
    assert users.find(Email("email#ada@example.com")) is None
    assert users.get(UserId("email#ada@example.com")) is None


def test_an_email_belongs_to_one_user() -> None:
    users = DynamoUsers("users", CLOCK)
    assert users.create(ADA)
    eve = replace(ADA, user_id=UserId("usr_eve"), preferences=Preferences(name="Eve"))
    assert not users.create(eve)
    assert users.get(eve.user_id) is None
    assert users.find(ADA.email) == ADA


def test_a_role_is_kept() -> None:
    users, later = DynamoUsers("users", CLOCK), NOW + timedelta(hours=1)
    users.create(ADA)
    users.grant_role(ADA, Role.ADMIN, later)
    assert users.get(ADA.user_id) == replace(
        ADA,
        roles=frozenset({Role.ADMIN}),
        role_grants=(RoleGrant(Role.ADMIN, later),),
        version=2,
        updated_at=later,
    )


def test_a_password_changed_meanwhile_stands() -> None:
    users = DynamoUsers("users", CLOCK)
    users.create(ADA)
    users.rehash(ADA, "hash-2")
    users.rehash(ADA, "hash-3")
    user = users.get(ADA.user_id)
    assert user is not None
    assert user.password_hash == "hash-2"


def test_a_session_rotates_once() -> None:
    sessions = DynamoSessions("sessions")
    sessions.create(SESSION)
    assert sessions.get(ADA.user_id, SESSION.session_id) == SESSION
    rotated = replace(SESSION, token_hash="second", previous_hash="first", refreshed_at=NOW + timedelta(hours=1))
    assert sessions.rotate(SESSION, rotated)
    assert not sessions.rotate(SESSION, replace(rotated, token_hash="third"))
    assert sessions.get(ADA.user_id, SESSION.session_id) == rotated


def test_a_session_belongs_to_its_user_and_ends_for_good() -> None:
    sessions = DynamoSessions("sessions")
    sessions.create(SESSION)
    sessions.delete(UserId("usr_eve"), SESSION.session_id)
    assert sessions.get(UserId("usr_eve"), SESSION.session_id) is None
    for _ in range(2):
        sessions.delete(ADA.user_id, SESSION.session_id)
    assert sessions.get(ADA.user_id, SESSION.session_id) is None
    assert not sessions.rotate(SESSION, replace(SESSION, token_hash="second"))


def test_the_expiry_is_what_dynamodb_deletes_by() -> None:
    DynamoSessions("sessions").create(SESSION)
    [item] = boto3.client("dynamodb").scan(TableName="sessions")["Items"]
    assert item["expires_at"] == {"N": str(int(SESSION.expires_at.timestamp()))}


def test_a_missing_table_is_a_dependency_that_is_down() -> None:
    boto3.client("dynamodb").delete_table(TableName="users")
    with pytest.raises(Unavailable):
        DynamoUsers("users", CLOCK).create(ADA)


def living(users: DynamoUsers) -> User:
    user = users.get(ADA.user_id)
    assert user is not None
    return user


def test_preferences_are_set_and_taken_back() -> None:
    users = DynamoUsers("users", CLOCK)
    users.create(ADA)
    said: dict[str, str | int | None] = {"currency": "EUR", "time_zone": "UTC", "reminder_days": 0}
    said["reminder_repeat_days"] = 3
    changed = users.set_preferences(ADA.user_id, said, LATER)
    chosen = Preferences(name="Ada", currency="EUR", time_zone="UTC", reminder_days=0, reminder_repeat_days=3)
    assert changed == replace(ADA, preferences=chosen, updated_at=LATER, version=2) == users.get(ADA.user_id)
    users.set_preferences(ADA.user_id, {"name": "Ada L.", "currency": None, "reminder_days": None}, LATER)
    users.set_preferences(ADA.user_id, {"reminder_repeat_days": None}, LATER)
    assert living(users).preferences == Preferences(name="Ada L.", time_zone="UTC")
    assert users.set_preferences(UserId("usr_x"), {"name": "X"}, LATER) is None


def test_a_password_changes_once_and_begins_the_next_epoch() -> None:
    users = DynamoUsers("users", CLOCK)
    users.create(ADA)
    changed = replace(ADA, password_hash="hash-2", email_verified=True, session_epoch=1, updated_at=LATER, version=2)
    assert users.change_password(ADA, "hash-2", LATER, verifies_email=True) == changed
    assert users.change_password(ADA, "hash-3", LATER, verifies_email=False) is None
    assert users.get(ADA.user_id) == changed
    users.end_sessions(ADA.user_id, LATER)
    assert living(users).session_epoch == 2


def test_what_else_changes_meanwhile_neither_hinders_another_password_nor_is_undone() -> None:
    users = DynamoUsers("users", CLOCK)
    users.create(ADA)
    users.set_email_verified(ADA.user_id, LATER)
    users.set_preferences(ADA.user_id, {"name": "Ada L."}, LATER)
    users.end_sessions(ADA.user_id, LATER)
    changed = users.change_password(ADA, "hash-2", LATER, verifies_email=False)
    assert changed is not None
    assert (changed.email_verified, changed.preferences.name, changed.session_epoch) == (True, "Ada L.", 2)


def test_an_address_is_verified() -> None:
    users = DynamoUsers("users", CLOCK)
    users.create(ADA)
    users.set_email_verified(ADA.user_id, LATER)
    assert living(users).email_verified


def test_a_deleted_user_keeps_the_email_until_removed_and_nothing_writes_them_anew() -> None:
    users = DynamoUsers("users", CLOCK)
    users.create(ADA)
    assert users.mark_deleted(ADA.user_id, LATER, ["event"])
    assert users.mark_deleted(ADA.user_id, LATER, ["event"]) is None
    assert users.get(ADA.user_id) is None
    assert users.find(ADA.email) is None
    gone = users.get_even_deleted(ADA.user_id)
    assert gone is not None
    assert gone.deleted_at == LATER
    assert not users.create(replace(ADA, user_id=UserId("usr_eve")))
    assert users.set_preferences(ADA.user_id, {"name": "X"}, LATER) is None
    assert not users.change_password(gone, "hash-2", LATER, verifies_email=True)
    users.end_sessions(ADA.user_id, LATER)
    users.set_email_verified(ADA.user_id, LATER)
    users.grant_role(ADA, Role.ADMIN, LATER)
    assert users.get_even_deleted(ADA.user_id) == gone

    for _ in range(2):
        users.remove(gone)
    users.rehash(ADA, "hash-2")
    users.end_sessions(ADA.user_id, LATER)
    assert boto3.client("dynamodb").scan(TableName="users")["Items"] == []
    assert users.create(replace(ADA, user_id=UserId("usr_new")))


def test_who_is_not_being_deleted_is_not_removed() -> None:
    users = DynamoUsers("users", CLOCK)
    users.create(ADA)
    users.remove(ADA)
    assert users.get(ADA.user_id) == ADA
    assert users.find(ADA.email) == ADA


def test_events_wait_in_the_item_until_they_are_sent() -> None:
    clock, publisher = FakeClock(NOW), FakePublisher()
    users = DynamoUsers("users", clock)
    users.create(ADA)
    pending = users.mark_deleted(ADA.user_id, NOW, [document()])
    assert pending is not None
    assert list(users.pending_events(10)) == []
    clock.advance(timedelta(seconds=16))
    assert list(users.pending_events(10)) == [pending]
    assert Outbox(users, publisher).flush(10) == (1, False)
    assert publisher.types == ["user.deleted.v1"]
    assert list(users.pending_events(10)) == []
    users.clear_outbox(pending)


def document() -> str:
    from functions.contracts.events.envelope import wrap
    from functions.contracts.events.users import UserDeletedV1

    return wrap(UserDeletedV1(user_id=ADA.user_id), NOW).to_json()


def test_sessions_are_listed_newest_first_and_deleted_together() -> None:
    sessions, codes = DynamoSessions("sessions"), DynamoCodes("sessions")
    for number in range(30):
        sessions.create(replace(SESSION, session_id=SessionId(f"ses_{number:02}")))
    codes.replace(ADA.user_id, None, CODE)
    sessions.create(replace(SESSION, user_id=UserId("usr_eve")))
    assert [session.session_id for session in sessions.newest(ADA.user_id, 2)] == ["ses_29", "ses_28"]
    assert len(sessions.newest(ADA.user_id, 200)) == 30
    assert [session.session_id for session in sessions.newest(ADA.user_id, 2, "ses_02")] == ["ses_01", "ses_00"]
    assert sessions.newest(ADA.user_id, 2, "ses_00") == []

    assert sessions.delete_all(ADA.user_id, keep=SessionId("ses_07")) == 30
    assert [session.session_id for session in sessions.newest(ADA.user_id, 200)] == ["ses_07"]
    assert codes.get(ADA.user_id, Purpose.RESET_PASSWORD) is None
    assert len(sessions.newest(UserId("usr_eve"), 200)) == 1


def test_a_session_goes_over_into_an_epoch_if_there_is_one() -> None:
    sessions = DynamoSessions("sessions")
    sessions.create(SESSION)
    for session_id in (SESSION.session_id, SessionId("ses_x"), SessionId("")):
        sessions.adopt(ADA.user_id, session_id, 3)
    assert list(sessions.newest(ADA.user_id, 200)) == [replace(SESSION, epoch=3)]


CODE = Code(purpose=Purpose.RESET_PASSWORD, code_hash="first", sent_at=NOW, expires_at=NOW + timedelta(hours=1))


def test_a_code_is_used_once() -> None:
    codes = DynamoCodes("sessions")
    assert codes.replace(ADA.user_id, None, CODE)
    assert codes.get(ADA.user_id, CODE.purpose) == CODE
    assert codes.get(ADA.user_id, Purpose.VERIFY_EMAIL) is None
    assert not codes.replace(ADA.user_id, None, replace(CODE, code_hash="second"))
    second = replace(CODE, code_hash="second")
    assert codes.replace(ADA.user_id, CODE, second)
    assert not codes.use(ADA.user_id, CODE)
    assert codes.use(ADA.user_id, second)
    assert not codes.use(ADA.user_id, second)


ACCOUNT, ADDRESS = AccountKey("account"), AddressKey("address")
PLACES = (Place(ACCOUNT, ADDRESS), Place(ACCOUNT, None), Place(None, ADDRESS))


def test_counts_are_read_together_and_written_as_seen() -> None:
    counts = DynamoCounts("sessions")
    assert list(counts.read(PLACES)) == [Count()] * 3
    one = Count(failures=1, expires_at=LATER)
    two = Count(failures=2, locked_until=LATER, expires_at=LATER, known=True)
    assert counts.write(PLACES[1], Count(), one)
    assert not counts.write(PLACES[1], Count(), one)
    assert counts.write(PLACES[1], one, two)
    assert not counts.write(PLACES[1], one, two)
    assert counts.add_failure(PLACES[2], LATER) == 1
    assert counts.add_failure(PLACES[2], LATER) == 2
    counts.lock(PLACES[2], LATER)
    assert list(counts.read(PLACES)) == [
        Count(), two, Count(failures=2, locked_until=LATER, expires_at=LATER),
    ]  # fmt: skip
    counts.delete(PLACES[2])
    assert counts.delete_account(ACCOUNT) == 1
    assert list(counts.read(PLACES)) == [Count()] * 3
