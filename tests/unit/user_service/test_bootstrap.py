"""What is built from the environment, and that each function needs only what is its own."""

import boto3
import pytest
from moto import mock_aws

from functions.common.settings import SettingsError
from functions.user_service import bootstrap
from functions.user_service.table import SessionItem, UserItem
from tests.support.http import KID, jwks


@pytest.fixture(autouse=True)
def fresh() -> None:
    for build in (bootstrap.users, bootstrap.sessions, bootstrap.access_tokens):
        build.cache_clear()


def test_the_whole_service(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {
        "USERS_TABLE": "users", "SESSIONS_TABLE": "sessions", "JWKS": jwks(), "ARGON2_MEMORY_KIB": "64",
        "ARGON2_TIME_COST": "1", "ARGON2_PARALLELISM": "1", "ACCESS_TOKEN_SECONDS": "60",
    }  # fmt: skip
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with mock_aws():
        monkeypatch.setattr("functions.common.aws.kms", lambda: boto3.client("kms"))
        key = boto3.client("kms").create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")
        monkeypatch.setenv("SIGNING_KEY_ID", key["KeyMetadata"]["KeyId"])
        users, sessions = bootstrap.users(), bootstrap.sessions()
        UserItem.create_table(wait=True)
        SessionItem.create_table(wait=True)

        users.register("ada@example.com", "correct horse", "Ada")
        tokens = sessions.refresh(sessions.log_in("ada@example.com", "correct horse").refresh_token)

    assert tokens.expires_in == 60
    assert bootstrap.access_tokens().signer.kid == KID
    assert bootstrap.sessions() is sessions


def test_the_rpc_function_needs_the_users_table_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USERS_TABLE", "users")
    assert bootstrap.users() is bootstrap.users()
    with pytest.raises(SettingsError, match="SESSIONS_TABLE"):
        bootstrap.sessions()


def test_the_default_is_the_second_option_of_rfc_9106(monkeypatch: pytest.MonkeyPatch) -> None:
    from argon2.profiles import RFC_9106_LOW_MEMORY

    settings = bootstrap.UserSettings(users_table="users")
    assert (settings.argon2_time_cost, settings.argon2_memory_kib, settings.argon2_parallelism) == (
        RFC_9106_LOW_MEMORY.time_cost,
        RFC_9106_LOW_MEMORY.memory_cost,
        RFC_9106_LOW_MEMORY.parallelism,
    )
