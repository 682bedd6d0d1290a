"""Each of the two functions of webhooks builds its own part, from its own settings."""

from collections.abc import Iterator

import pytest

from functions.broker_service import bootstrap
from functions.broker_service.sending import Sending
from functions.broker_service.webhooks import Webhooks
from functions.common.settings import SettingsError


@pytest.fixture(autouse=True)
def _nothing_built(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("WEBHOOKS_TABLE", "WEBHOOK_KEY_ID", "RPC_WEBHOOKS", "RECEIVER_ORIGIN"):
        monkeypatch.delenv(name, raising=False)
    for builder in (bootstrap.webhooks, bootstrap.sending):
        builder.cache_clear()
    yield
    for builder in (bootstrap.webhooks, bootstrap.sending):
        builder.cache_clear()


def test_what_sends_needs_table_and_key_and_calls_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match=r"WEBHOOKS_TABLE.*WEBHOOK_KEY_ID"):
        bootstrap.sending()
    monkeypatch.setenv("WEBHOOKS_TABLE", "webhooks")
    monkeypatch.setenv("WEBHOOK_KEY_ID", "key")

    assert isinstance(bootstrap.sending(), Sending)


def test_the_routes_need_to_know_who_sends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEBHOOKS_TABLE", "webhooks")
    monkeypatch.setenv("WEBHOOK_KEY_ID", "key")
    with pytest.raises(SettingsError, match="RPC_WEBHOOKS"):
        bootstrap.webhooks()
    monkeypatch.setenv("RPC_WEBHOOKS", "lambda:webhooks")

    assert isinstance(bootstrap.webhooks(), Webhooks)
