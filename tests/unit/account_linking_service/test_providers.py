"""What linking makes of the registry's answers."""

from dataclasses import dataclass, field

import pytest

from functions.account_linking_service.model import ProviderId
from functions.account_linking_service.providers import RegisteredProviders
from functions.common.errors import AppError, Conflict, NotFound
from functions.common.rpc.client import Stub
from functions.common.rpc.server import LambdaRpcHandler, RpcContext
from functions.contracts.rpc import providers_pb2
from functions.contracts.rpc.providers_pb2 import CustomerParam, GetProviderRequest, Provider
from tests.support.fakes import LoopbackChannel

SERVICE = providers_pb2.DESCRIPTOR.services_by_name["Providers"]
POWER = Provider(adapter="oauth_json", customer_params=[CustomerParam(name="account_number")])


@dataclass
class Registry:
    entries: dict[str, Provider] = field(default_factory=dict)

    def GetProvider(self, request: GetProviderRequest, context: RpcContext) -> Provider:
        if request.provider_id not in self.entries:
            raise NotFound("Nothing here.")
        return self.entries[request.provider_id]


@pytest.fixture
def registry() -> Registry:
    return Registry({"prv_power": POWER})


@pytest.fixture
def providers(registry: Registry) -> RegisteredProviders:
    return RegisteredProviders(Stub(SERVICE, LoopbackChannel(LambdaRpcHandler(SERVICE, lambda: registry))))


def refusal(providers: RegisteredProviders) -> AppError:
    with pytest.raises(AppError) as refused:
        providers.customer_params(ProviderId("prv_power"))
    return refused.value


def test_a_provider_in_service_can_be_linked(providers: RegisteredProviders) -> None:
    assert [param.name for param in providers.customer_params(ProviderId("prv_power"))] == ["account_number"]


def test_an_unknown_provider_is_not_found(providers: RegisteredProviders, registry: Registry) -> None:
    registry.entries.clear()
    refused = refusal(providers)
    assert (type(refused), refused.code) == (NotFound, "provider_not_found")


def test_a_provider_out_of_service_is_not_found(providers: RegisteredProviders, registry: Registry) -> None:
    """Though the registry answers it, for the links that are there already."""
    registry.entries["prv_power"] = Provider(adapter="oauth_json", deactivated=True)
    refused = refusal(providers)
    assert (type(refused), refused.code) == (NotFound, "provider_not_found")


def test_nobody_links_where_bills_come_from_files(providers: RegisteredProviders, registry: Registry) -> None:
    registry.entries["prv_power"] = Provider(adapter="manual")
    refused = refusal(providers)
    assert (type(refused), refused.code) == (Conflict, "provider_not_linkable")
