"""RPC `Providers`, through its envelope."""

import pytest

from functions.common.errors import InvalidInput, NotFound
from functions.common.rpc.client import Stub
from functions.common.rpc.server import LambdaRpcHandler
from functions.contracts.rpc import providers_pb2 as pb
from functions.utility_provider_service import bootstrap, rpc
from functions.utility_provider_service.model import ServiceType
from functions.utility_provider_service.service import Registry
from tests.support.fakes import FakeClock, LoopbackChannel
from tests.unit.utility_provider_service.fakes import FACTS, FakeProviders, named


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Stub:
    registry = Registry(FakeProviders(), FakeClock())
    registry.create_provider(FACTS)
    registry.create_provider(named("prv_gas", "Gas", ServiceType.GAS))
    monkeypatch.setattr(bootstrap, "registry", lambda: registry)
    return Stub(rpc.SERVICE, LoopbackChannel(LambdaRpcHandler(rpc.SERVICE, rpc.build)))


def test_get_provider(stub: Stub) -> None:
    reply = stub.call("GetProvider", pb.GetProviderRequest(provider_id="prv_river_water"), pb.Provider)
    assert reply == pb.Provider(
        provider_id="prv_river_water",
        name="River Water",
        service_types=["water", "waste"],
        country="GB",
        currency="GBP",
        time_zone="Europe/London",
        adapter="bbps",
        base_url="https://api.riverwater.example.com/v2",
        auth_type="api_key",
        customer_params=[
            pb.CustomerParam(
                name="account_number", label="Account number", regex="[0-9]{6}", min_length=1, max_length=6,
                example="123456",
            ),
            pb.CustomerParam(name="pin", label="PIN", max_length=4, optional=True, secret=True),
        ],
        created_at="2026-03-15T12:00:00.000Z",
        updated_at="2026-03-15T12:00:00.000Z",
        version=1,
    )  # fmt: skip


def test_an_unknown_provider_is_not_found(stub: Stub) -> None:
    with pytest.raises(NotFound) as refused:
        stub.call("GetProvider", pb.GetProviderRequest(provider_id="prv_unknown"), pb.Provider)
    assert refused.value.code == "provider_not_found"


@pytest.mark.parametrize(("provider_id", "exists"), [("prv_gas", True), ("prv_unknown", False), ("", False)])
def test_provider_exists(stub: Stub, provider_id: str, exists: bool) -> None:
    request = pb.ProviderExistsRequest(provider_id=provider_id)
    assert stub.call("ProviderExists", request, pb.ProviderExistsReply).exists is exists


def test_list_providers(stub: Stub) -> None:
    everything = stub.call("ListProviders", pb.ListProvidersRequest(), pb.ListProvidersReply)
    assert [item.provider_id for item in everything.items] == ["prv_gas", "prv_river_water"]
    assert everything.next_cursor == ""

    first = stub.call("ListProviders", pb.ListProvidersRequest(limit=1), pb.ListProvidersReply)
    rest = stub.call("ListProviders", pb.ListProvidersRequest(cursor=first.next_cursor), pb.ListProvidersReply)
    assert [item.provider_id for item in (*first.items, *rest.items)] == ["prv_gas", "prv_river_water"]

    found = stub.call(
        "ListProviders", pb.ListProvidersRequest(service_type="water", query="RIV"), pb.ListProvidersReply
    )
    assert [item.provider_id for item in found.items] == ["prv_river_water"]


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.ListProvidersRequest(service_type="magic"), "service_type"),
        (pb.ListProvidersRequest(limit=201), "limit"),
        (pb.ListProvidersRequest(limit=-1), "limit"),
        (pb.ListProvidersRequest(cursor="nonsense"), "cursor"),
    ],
)
def test_a_field_at_fault_is_named(stub: Stub, request_: pb.ListProvidersRequest, field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        stub.call("ListProviders", request_, pb.ListProvidersReply)
    assert [error.field for error in refused.value.errors] == [field]
