from collections.abc import Iterator

import pytest

from functions.common.settings import SettingsError
from functions.listener_service import bootstrap
from functions.listener_service.service import Notifying, Projecting, Purging, Refreshing
from functions.listener_service.sweeping import Sweeping

BUILDERS = (bootstrap.refreshing, bootstrap.projecting, bootstrap.purging, bootstrap.sweeping, bootstrap.notifying)


@pytest.fixture(autouse=True)
def _nothing_built() -> Iterator[None]:
    for builder in BUILDERS:
        builder.cache_clear()
    yield
    for builder in BUILDERS:
        builder.cache_clear()


def test_each_function_needs_only_what_it_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RPC_BILLS", "RPC_BROKER", "RPC_ACCOUNTS", "RPC_USERS", "RPC_WEBHOOKS"):
        monkeypatch.delenv(name, raising=False)

    monkeypatch.setenv("RPC_BILLS", "lambda:bills")
    assert isinstance(bootstrap.projecting(), Projecting)
    with pytest.raises(SettingsError, match="RPC_BROKER"):
        bootstrap.refreshing()
    monkeypatch.setenv("RPC_BROKER", "lambda:broker")
    assert isinstance(bootstrap.refreshing(), Refreshing)
    with pytest.raises(SettingsError, match="RPC_ACCOUNTS"):
        bootstrap.sweeping()
    monkeypatch.setenv("RPC_ACCOUNTS", "lambda:accounts")
    monkeypatch.setenv("RPC_ACTIVITY", "lambda:activity")
    with pytest.raises(SettingsError, match="RPC_REMINDERS"):
        bootstrap.sweeping()
    with pytest.raises(SettingsError, match="RPC_USERS"):
        bootstrap.purging()
    monkeypatch.setenv("RPC_USERS", "lambda:users")
    with pytest.raises(SettingsError, match="RPC_WEBHOOKS"):
        bootstrap.notifying()
    monkeypatch.setenv("RPC_WEBHOOKS", "lambda:webhooks")
    monkeypatch.setenv("RPC_REMINDERS", "lambda:reminders")
    monkeypatch.setenv("RPC_PROVIDERS", "lambda:providers")
    assert isinstance(bootstrap.notifying(), Notifying)
    assert isinstance(bootstrap.purging(), Purging)
    assert isinstance(bootstrap.sweeping(), Sweeping)
