"""What is built from the environment, and the migrations that enter utilities."""

import importlib
from collections.abc import Iterator

import pytest
from moto import mock_aws

from functions.common.errors import InvalidInput
from functions.common.migration import MigrationContext
from functions.common.settings import SettingsError
from functions.utility_provider_service import bootstrap
from functions.utility_provider_service.model import ServiceType
from functions.utility_provider_service.table import ProviderItem
from functions.utility_provider_service.webhook_secrets import SecretMaking
from functions.utility_provider_service.webhooks import Verifying

migration = importlib.import_module("functions.utility_provider_service.migrations.0001_sandbox_providers")
files = importlib.import_module("functions.utility_provider_service.migrations.0002_green_button_file")
ORIGIN = "http://localhost:4566"
BUILDERS = (
    bootstrap.registry, bootstrap.reported_registry, bootstrap.secret_making, bootstrap.verifying, bootstrap._providers,
)  # fmt: skip


def context(api: str = "one", sandbox: str = "true") -> MigrationContext:
    base_url = f"{ORIGIN}/restapis/{api}/v1/_user_request_/mock"
    return MigrationContext("utility_provider_service", {"SANDBOX": sandbox, "SANDBOX_BASE_URL": base_url}, print)


@pytest.fixture(autouse=True)
def table(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("PROVIDERS_TABLE", "providers")
    monkeypatch.setenv("SANDBOX_ORIGIN", ORIGIN)
    for builder in BUILDERS:
        builder.cache_clear()
    with mock_aws():
        bootstrap.registry()
        ProviderItem.create_table(wait=True)
        yield
    for builder in BUILDERS:
        builder.cache_clear()


def places() -> dict[str, str]:
    return {p.facts.provider_id: p.facts.base_url for p in bootstrap.registry().list_providers().items}


def test_up_enters_the_four_utilities() -> None:
    for _ in range(2):
        migration.up(context())
    assert places() == {
        "prv_northwind_power": f"{ORIGIN}/restapis/one/v1/_user_request_/mock/electricity",
        "prv_greenline_gas": f"{ORIGIN}/restapis/one/v1/_user_request_/mock/gas",
        "prv_clearwater": f"{ORIGIN}/restapis/one/v1/_user_request_/mock/water",
        "prv_fibernet": f"{ORIGIN}/restapis/one/v1/_user_request_/mock/internet",
    }


def test_after_a_deploy_they_follow_the_api() -> None:
    migration.up(context("one"))
    migration.after(context("two"))
    assert all("/restapis/two/" in base_url for base_url in places().values())
    assert {p.version for p in bootstrap.registry().list_providers().items} == {2}


def test_down_takes_them_back() -> None:
    migration.up(context())
    for _ in range(2):
        migration.down(context())
    assert places() == {}


def test_without_a_sandbox_there_are_none() -> None:
    migration.up(context(sandbox="false"))
    migration.after(context(sandbox="false"))
    assert places() == {}


def test_a_sandbox_at_another_origin_than_the_functions_accept_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SANDBOX_ORIGIN", "http://elsewhere:4566")
    bootstrap.registry.cache_clear()
    with pytest.raises(InvalidInput):
        migration.up(context())


def test_the_provider_of_imported_files_is_entered_everywhere() -> None:
    for _ in range(2):
        files.up(context(sandbox="false"))
    [provider] = bootstrap.registry().list_providers().items
    assert provider.facts == files.FILES
    assert (provider.facts.provider_id, provider.facts.linkable) == ("prv_green_button", False)
    assert provider.facts.service_types == tuple(ServiceType)
    for _ in range(2):
        files.down(context(sandbox="false"))
    assert places() == {}


def test_each_function_needs_only_what_it_does(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RPC_BROKER", "PROVIDER_WEBHOOK_KEY_ID"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(SettingsError, match="RPC_BROKER"):
        bootstrap.reported_registry()
    for builder in (bootstrap.secret_making, bootstrap.verifying):
        with pytest.raises(SettingsError, match="PROVIDER_WEBHOOK_KEY_ID"):
            builder()

    monkeypatch.setenv("RPC_BROKER", "lambda:broker")
    monkeypatch.setenv("PROVIDER_WEBHOOK_KEY_ID", "key")

    assert bootstrap.reported_registry().outbox is not None
    assert bootstrap.registry().outbox is None
    assert isinstance(bootstrap.secret_making(), SecretMaking)
    assert isinstance(bootstrap.verifying(), Verifying)
