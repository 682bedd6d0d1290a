"""Everything is built from the environment, and only when it is used."""

from collections.abc import Iterator

import pytest

from functions.bill_aggregation_service import bootstrap, rpc
from functions.bill_aggregation_service.adapters.base import ProviderMisconfigured
from functions.bill_aggregation_service.adapters.http_client import RequestsClient
from functions.common.settings import SettingsError

ENVIRONMENT = {
    "BILLS_TABLE": "bills",
    "RPC_ACCOUNTS": "lambda:accounts",
    "RPC_CREDENTIALS": "lambda:credentials",
    "RPC_PROVIDERS": "lambda:providers",
    "RPC_BROKER": "lambda:broker",
    "SANDBOX_ORIGIN": "http://localhost:4566",
}
BUILDERS = (
    bootstrap.settings,
    bootstrap.service,
    bootstrap.refresher,
    bootstrap.accounts,
    bootstrap.outbox,
    bootstrap.personal,
    bootstrap.table,
    bootstrap.answer_cache,
)


@pytest.fixture(autouse=True)
def unbuilt() -> Iterator[None]:
    yield
    for builder in BUILDERS:
        builder.cache_clear()


def test_builds_the_servicer(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)

    assert isinstance(rpc.handler._servicer, rpc.BillsServicer)
    refresher, accounts = bootstrap.service().live()
    assert refresher is bootstrap.refresher()
    assert accounts is bootstrap.accounts()
    assert isinstance(bootstrap.connect("http://localhost:4566/mock/gas", 5.0), RequestsClient)
    with pytest.raises(ProviderMisconfigured):
        bootstrap.connect("http://127.0.0.1:4566/mock/gas", 5.0)


def test_names_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)

    with pytest.raises(SettingsError, match=r"BILLS_TABLE.*RPC_BROKER"):
        bootstrap.settings()
