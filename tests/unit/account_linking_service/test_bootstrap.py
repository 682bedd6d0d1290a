"""Each function is built of its own settings alone."""

from collections.abc import Iterator

import pytest

from functions.account_linking_service import bootstrap
from functions.account_linking_service.door import CredentialsDoor
from functions.account_linking_service.personal import PersonalData
from functions.account_linking_service.register import LinkRegister
from functions.account_linking_service.repair import LinkRepair
from functions.account_linking_service.service import AccountLinking
from functions.common.settings import SettingsError

API = {
    "LINKS_TABLE": "links", "LINK_KEYS_TABLE": "keys", "CREDENTIALS_KEY_ID": "key", "LOOKUP_KEY": "k" * 32,
    "RPC_PROVIDERS": "lambda:providers", "RPC_BROKER": "lambda:broker",
}  # fmt: skip


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in (*API, "REFRESH_INTERVAL_SECONDS", "MAX_LINKS_PER_USER"):
        monkeypatch.delenv(name, raising=False)
    yield
    for build in (bootstrap.linking, bootstrap.repair, bootstrap.register, bootstrap.personal, bootstrap.door):
        build.cache_clear()


def set_env(monkeypatch: pytest.MonkeyPatch, *names: str, **values: str) -> None:
    for name in names:
        monkeypatch.setenv(name, API[name])
    for name, value in values.items():
        monkeypatch.setenv(name, value)


def test_the_api(monkeypatch: pytest.MonkeyPatch) -> None:
    set_env(monkeypatch, *API, MAX_LINKS_PER_USER="7")
    assert isinstance(bootstrap.linking(), AccountLinking)
    assert bootstrap.linking() is bootstrap.linking()


def test_the_register_needs_no_master_key(monkeypatch: pytest.MonkeyPatch) -> None:
    set_env(monkeypatch, "LINKS_TABLE", "LINK_KEYS_TABLE", "LOOKUP_KEY", "RPC_BROKER", REFRESH_INTERVAL_SECONDS="60")
    assert isinstance(bootstrap.register(), LinkRegister)


def test_repairing_needs_no_registry_and_makes_no_client_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("functions.common.aws.kms", None)
    set_env(monkeypatch, "LINKS_TABLE", "LINK_KEYS_TABLE", "CREDENTIALS_KEY_ID", "RPC_BROKER")
    assert isinstance(bootstrap.repair(), LinkRepair)


def test_personal_data_needs_tables_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    set_env(monkeypatch, "LINKS_TABLE", "LINK_KEYS_TABLE")
    assert isinstance(bootstrap.personal(), PersonalData)


def test_credentials_need_no_neighbour(monkeypatch: pytest.MonkeyPatch) -> None:
    set_env(monkeypatch, "LINKS_TABLE", "LINK_KEYS_TABLE", "CREDENTIALS_KEY_ID")
    assert isinstance(bootstrap.door(), CredentialsDoor)


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match="LINK_KEYS_TABLE"):
        bootstrap.linking()
    set_env(monkeypatch, *API, LOOKUP_KEY="short")
    with pytest.raises(SettingsError, match="LOOKUP_KEY"):
        bootstrap.linking()


def test_the_lookup_key_does_not_show() -> None:
    settings = bootstrap.LinkingSettings(**{name.lower(): value for name, value in API.items()})  # type: ignore[arg-type]
    assert "k" * 32 not in repr(settings)
