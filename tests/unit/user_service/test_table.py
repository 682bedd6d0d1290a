"""Users and sessions in DynamoDB, through moto."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import boto3
import pytest
from moto import mock_aws

from functions.common.errors import Unavailable
from functions.user_service.model import Email, Role, Session, SessionId, User, UserId
from functions.user_service.table import DynamoSessions, DynamoUsers, SessionItem, UserItem

NOW = datetime(2026, 3, 15, 12, 0, tzinfo=UTC)
ADA = User(
    user_id=UserId("usr_ada"),
    email=Email("ada@example.com"),
    name="Ada",
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
        DynamoUsers("users"), DynamoSessions("sessions")
        UserItem.create_table(wait=True)
        SessionItem.create_table(wait=True)
        yield


def test_a_user_is_found_by_id_and_by_email() -> None:
    users = DynamoUsers("users")
    assert users.create(ADA)
    assert users.get(ADA.user_id) == ADA
    assert users.find(ADA.email) == ADA
    assert users.get(UserId("usr_eve")) is None
    assert users.find(Email("eve@example.com")) is None


def test_a_marker_is_no_user() -> None:
    users = DynamoUsers("users")
    users.create(ADA)
    assert users.find(Email("email#ada@example.com")) is None


def test_an_email_belongs_to_one_user() -> None:
    users = DynamoUsers("users")
    assert users.create(ADA)
    eve = replace(ADA, user_id=UserId("usr_eve"), name="Eve")
    assert not users.create(eve)
    assert users.get(eve.user_id) is None
    assert users.find(ADA.email) == ADA


def test_a_role_is_kept() -> None:
    users, later = DynamoUsers("users"), NOW + timedelta(hours=1)
    users.create(ADA)
    users.grant_role(ADA, Role.ADMIN, later)
    assert users.get(ADA.user_id) == replace(ADA, roles=frozenset({Role.ADMIN}), version=2, updated_at=later)


def test_a_password_changed_meanwhile_stands() -> None:
    users = DynamoUsers("users")
    users.create(ADA)
    users.set_password_hash(ADA, "hash-2")
    users.set_password_hash(ADA, "hash-3")
    user = users.get(ADA.user_id)
    assert user is not None
    assert user.password_hash == "hash-2"


def test_a_session_rotates_once() -> None:
    sessions = DynamoSessions("sessions")
    sessions.create(SESSION)
    assert sessions.get(ADA.user_id, SESSION.session_id) == SESSION
    rotated = replace(SESSION, token_hash="second", refreshed_at=NOW + timedelta(hours=1))
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
        DynamoUsers("users").create(ADA)
