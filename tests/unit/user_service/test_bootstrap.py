"""What is built from the environment, and that each function needs only what is its own."""

import boto3
import pytest
from moto import mock_aws

from functions.common.errors import RateLimited, Unauthenticated
from functions.common.settings import SettingsError
from functions.user_service import bootstrap
from functions.user_service.model import Purpose
from functions.user_service.schemas import ExportReply
from functions.user_service.session_table import SessionItem
from functions.user_service.settings import PasswordSettings
from functions.user_service.table import UserItem
from tests.support.http import KID, jwks

BUILDERS = (
    bootstrap.users, bootstrap.sessions, bootstrap.recovery, bootstrap.export, bootstrap.access_tokens,
    bootstrap.directory, bootstrap.mailing, bootstrap.purge, bootstrap._users, bootstrap._sessions,
    bootstrap._codes, bootstrap._hasher,
)  # fmt: skip


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    for build in BUILDERS:
        build.cache_clear()
    monkeypatch.setenv("USERS_TABLE", "users")
    monkeypatch.setenv("SESSIONS_TABLE", "sessions")
    monkeypatch.setenv("RPC_BROKER", "lambda:broker")


def test_the_routes(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {
        "JWKS": jwks(), "ARGON2_MEMORY_KIB": "64", "ARGON2_TIME_COST": "1", "ARGON2_PARALLELISM": "1",
        "ACCESS_TOKEN_SECONDS": "60", "ACCOUNT_FAILURES": "1", "RPC_USERS": "lambda:users", "RPC_WEBHOOKS": "lambda:w",
        "RPC_ACCOUNTS": "lambda:accounts", "RPC_BILLS": "lambda:bills", "RPC_ACTIVITY": "lambda:activity",
    }  # fmt: skip
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    posted = []

    class Lambda:
        def invoke(self, **call: object) -> None:
            posted.append((call["FunctionName"], call["InvocationType"]))

    with mock_aws():
        monkeypatch.setattr("functions.common.aws.kms", lambda: boto3.client("kms"))
        monkeypatch.setattr("functions.common.aws.lambda_invoke", Lambda)
        key = boto3.client("kms").create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")
        monkeypatch.setenv("SIGNING_KEY_ID", key["KeyMetadata"]["KeyId"])
        users, sessions, recovery = bootstrap.users(), bootstrap.sessions(), bootstrap.recovery()
        UserItem.create_table(wait=True)
        SessionItem.create_table(wait=True)

        users.register("ada@example.com", "correct horse", "Ada")
        tokens = sessions.refresh(sessions.log_in("ada@example.com", "correct horse", "::1").refresh_token)
        with pytest.raises(Unauthenticated):
            sessions.log_in("ada@example.com", "wrong", "::1")
        with pytest.raises(RateLimited):
            sessions.log_in("ada@example.com", "correct horse", "::1")
        recovery.request_code("ada@example.com", Purpose.RESET_PASSWORD)

    assert tokens.expires_in == 60
    assert bootstrap.access_tokens().signer.kid == KID
    assert bootstrap.sessions() is sessions
    assert sorted(posted) == [("broker", "Event")] * 3 + [("users", "Event")] * 2
    assert set(bootstrap.export().owners) == {"accounts", "bills", "jobs", "webhooks", "activity"}
    assert set(bootstrap.export().owners) < set(ExportReply.__struct_fields__)


def test_the_rpc_function_needs_neither_keys_nor_targets_of_the_routes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAIL_SENDER", "billing@example.com")
    assert bootstrap.directory() is bootstrap.directory()
    assert bootstrap.mailing() is bootstrap.mailing()
    assert bootstrap.purge() is bootstrap.purge()
    with pytest.raises(SettingsError, match="RPC_USERS"):
        bootstrap.users()


def test_the_default_is_the_second_option_of_rfc_9106(monkeypatch: pytest.MonkeyPatch) -> None:
    from argon2.profiles import RFC_9106_LOW_MEMORY

    settings = PasswordSettings()
    assert (settings.argon2_time_cost, settings.argon2_memory_kib, settings.argon2_parallelism) == (
        RFC_9106_LOW_MEMORY.time_cost,
        RFC_9106_LOW_MEMORY.memory_cost,
        RFC_9106_LOW_MEMORY.parallelism,
    )
