"""Everything is built from the environment, and only when it is used."""

from collections.abc import Callable, Iterator

import pytest

from functions.bill_aggregation_service import bootstrap, rpc
from functions.bill_aggregation_service.adapters.base import ProviderMisconfigured
from functions.bill_aggregation_service.adapters.http_client import UtilityClient
from functions.bill_aggregation_service.clients import RenewalsClient
from functions.bill_aggregation_service.settings import RefreshSettings
from functions.common.errors import Unavailable
from functions.common.settings import SettingsError

OF_BILL_API = {
    "BILLS_TABLE": "bills",
    "RPC_BILLS": "lambda:bills",
    "RPC_BROKER": "lambda:broker",
    "CURSOR_SECRET": "0123456789abcdef",
}
OF_BILL_RPC = {
    "BILLS_TABLE": "bills",
    "RPC_ACCOUNTS": "lambda:accounts",
    "RPC_CREDENTIALS": "lambda:credentials",
    "RPC_PROVIDERS": "lambda:providers",
    "RPC_BROKER": "lambda:broker",
    "CURSOR_SECRET": "0123456789abcdef",
    "SANDBOX_ORIGIN": "http://localhost:4566",
}
BUILDERS = (
    bootstrap.service,
    bootstrap.live_reader,
    bootstrap.live_reads,
    bootstrap.renewals,
    bootstrap.renewal,
    bootstrap.publisher,
    bootstrap.refresher,
    bootstrap.utilities,
    bootstrap.documents,
    bootstrap.projection,
    bootstrap.outbox,
    bootstrap.personal,
    bootstrap.table,
    bootstrap.answer_cache,
)


@pytest.fixture(autouse=True)
def unbuilt(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in OF_BILL_API | OF_BILL_RPC:
        monkeypatch.delenv(name, raising=False)
    yield
    for builder in BUILDERS:
        builder.cache_clear()


def given(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)


def test_builds_the_servicer(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, OF_BILL_RPC)

    assert isinstance(rpc.handler._servicer, rpc.BillsServicer)


def test_builds_what_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, OF_BILL_API)

    assert bootstrap.service().live() is bootstrap.live_reader()
    assert bootstrap.live_reader().reads is bootstrap.live_reads()
    assert bootstrap.service().outbox() is bootstrap.outbox()


def test_builds_what_renews(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, OF_BILL_API)
    assert isinstance(bootstrap.renewals(), RenewalsClient)
    assert bootstrap.answers().bills is bootstrap.service()

    renewal = bootstrap.renewal()

    assert renewal is bootstrap.renewal()
    with pytest.raises(Unavailable):
        renewal.answers.bills.live()


def test_a_short_secret_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, OF_BILL_API | {"CURSOR_SECRET": "0123456789abcde"})

    with pytest.raises(SettingsError, match="CURSOR_SECRET"):
        bootstrap.service()


def test_only_the_sandbox_may_be_plain_http() -> None:
    settings = RefreshSettings(
        rpc_accounts="", rpc_credentials="", rpc_providers="", sandbox_origin="http://localhost:4566"
    )

    assert isinstance(bootstrap.connect(settings, "http://localhost:4566/mock/gas", 5.0), UtilityClient)
    with pytest.raises(ProviderMisconfigured):
        bootstrap.connect(settings, "http://127.0.0.1:4566/mock/gas", 5.0)


@pytest.mark.parametrize(
    ("build", "missing"),
    [
        (bootstrap.table, "BILLS_TABLE"),
        (bootstrap.live_reads, "RPC_BILLS"),
        (bootstrap.refresher, r"RPC_ACCOUNTS.*RPC_CREDENTIALS.*RPC_PROVIDERS"),
    ],
)
def test_names_what_is_missing(build: Callable[[], object], missing: str) -> None:
    with pytest.raises(SettingsError, match=missing):
        build()
