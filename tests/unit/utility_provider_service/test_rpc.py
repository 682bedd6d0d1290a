"""RPC `Providers`, through its envelope."""

from datetime import timedelta

import pytest
from standardwebhooks import Webhook

from functions.common.errors import InvalidInput, NotFound
from functions.common.outbox import Outbox
from functions.common.rpc.client import Stub
from functions.common.rpc.server import LambdaRpcHandler
from functions.contracts.rpc import providers_pb2 as pb
from functions.contracts.rpc.common_pb2 import FlushOutboxReply, FlushOutboxRequest
from functions.utility_provider_service import bootstrap, rpc
from functions.utility_provider_service.model import HealthState, ServiceType
from functions.utility_provider_service.service import Registry
from functions.utility_provider_service.webhook_secrets import SecretMaking
from functions.utility_provider_service.webhooks import Verifying
from tests.support.fakes import FakeClock, FakePublisher, LoopbackChannel
from tests.unit.utility_provider_service.fakes import FACTS, FakeProviders, FakeSecrets, ReversingKms, named, public


@pytest.fixture
def publisher() -> FakePublisher:
    return FakePublisher()


@pytest.fixture
def registry(publisher: FakePublisher) -> Registry:
    providers = FakeProviders()
    registry = Registry(providers, FakeClock(), resolve=public, outbox=Outbox(providers, publisher))
    registry.create_provider(FACTS)
    registry.create_provider(named("prv_gas", "Gas", ServiceType.GAS))
    return registry


@pytest.fixture
def stub(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> Stub:
    making = SecretMaking(registry, FakeSecrets(), ReversingKms(), registry.clock)
    verifying = Verifying(making.repository, ReversingKms(), registry.clock)
    monkeypatch.setattr(bootstrap, "reported_registry", lambda: registry)
    monkeypatch.setattr(bootstrap, "secret_making", lambda: making)
    monkeypatch.setattr(bootstrap, "verifying", lambda: verifying)
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
            pb.CustomerParam(
                name="pin", label="PIN", min_length=1, max_length=4, optional=True, secret=True, example="1234"
            ),
        ],
        created_at="2026-03-15T12:00:00.000Z",
        updated_at="2026-03-15T12:00:00.000Z",
        version=1,
        health=pb.ProviderHealth(state="up"),
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


def test_list_providers_of_a_country(stub: Stub) -> None:
    def found(country: str) -> int:
        request = pb.ListProvidersRequest(country=country)
        return len(stub.call("ListProviders", request, pb.ListProvidersReply).items)

    assert (found("GB"), found("DE")) == (2, 0)


def test_a_provider_out_of_service(stub: Stub, registry: Registry) -> None:
    """Its links are told; nobody else finds it."""
    registry.deactivate_provider("prv_gas")
    assert stub.call("GetProvider", pb.GetProviderRequest(provider_id="prv_gas"), pb.Provider).deactivated
    exists = stub.call("ProviderExists", pb.ProviderExistsRequest(provider_id="prv_gas"), pb.ProviderExistsReply)
    assert not exists.exists
    everything = stub.call("ListProviders", pb.ListProvidersRequest(), pb.ListProvidersReply)
    assert [item.provider_id for item in everything.items] == ["prv_river_water"]


def report(stub: Stub, state: str, at: str, provider_id: str = "prv_gas") -> pb.ReportHealthReply:
    request = pb.ReportHealthRequest(provider_id=provider_id, state=state, at=at)
    return stub.call("ReportHealth", request, pb.ReportHealthReply)


def test_report_health(stub: Stub) -> None:
    down = pb.ProviderHealth(state="down", since="2026-03-15T11:30:00.000Z")
    first, again = (report(stub, "down", "2026-03-15T11:30:00Z") for _ in range(2))
    late = report(stub, "up", "2026-03-15T11:29:59+00:00")
    assert (first.health, first.changed) == (down, True)
    assert [(reply.health, reply.changed) for reply in (again, late)] == [(down, False)] * 2
    provider = stub.call("GetProvider", pb.GetProviderRequest(provider_id="prv_gas"), pb.Provider)
    assert (provider.health, provider.version) == (down, 2)


@pytest.mark.parametrize(
    ("state", "at", "field"),
    [
        ("asleep", "2026-03-15T11:30:00Z", "state"), ("", "2026-03-15T11:30:00Z", "state"), ("up", "yesterday", "at"),
        ("up", "", "at"), ("up", "2026-03-15T11:30:00", "at"), ("up", "2026-03-15T13:00:00Z", "at"),
    ],
)  # fmt: skip
def test_a_report_at_fault_is_named(stub: Stub, state: str, at: str, field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        report(stub, state, at)
    assert [error.field for error in refused.value.errors] == [field]


def test_a_report_of_an_unknown_provider_is_not_found(stub: Stub) -> None:
    with pytest.raises(NotFound):
        report(stub, "asleep", "", "prv_unknown")


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.ListProvidersRequest(service_type="magic"), "service_type"),
        (pb.ListProvidersRequest(country="uk"), "country"),
        (pb.ListProvidersRequest(limit=201), "limit"),
        (pb.ListProvidersRequest(limit=-1), "limit"),
        (pb.ListProvidersRequest(cursor="nonsense"), "cursor"),
    ],
)
def test_a_field_at_fault_is_named(stub: Stub, request_: pb.ListProvidersRequest, field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        stub.call("ListProviders", request_, pb.ListProvidersReply)
    assert [error.field for error in refused.value.errors] == [field]


def test_verify_webhook(stub: Stub, registry: Registry) -> None:
    secret, _ = bootstrap.secret_making().create_webhook_secret("prv_gas")
    at = registry.clock.now()
    request = pb.VerifyWebhookRequest(
        provider_id="prv_gas",
        webhook_id="msg_1",
        timestamp=str(int(at.timestamp())),
        signatures=Webhook(secret).sign("msg_1", at, "{}"),
        body=b"{}",
    )

    assert stub.call("VerifyWebhook", request, pb.VerifyWebhookReply).verified
    for provider_id in ("prv_river_water", "prv_unknown", ""):
        request.provider_id = provider_id
        assert not stub.call("VerifyWebhook", request, pb.VerifyWebhookReply).verified


def test_flush_outbox(stub: Stub, registry: Registry, publisher: FakePublisher) -> None:
    publisher.down = True
    for provider_id in ("prv_gas", "prv_river_water"):
        registry.report_health(provider_id, HealthState.DOWN, registry.clock.now() - timedelta(minutes=1))
    publisher.down = False

    first = stub.call("FlushOutbox", FlushOutboxRequest(limit=1), FlushOutboxReply)
    rest = stub.call("FlushOutbox", FlushOutboxRequest(limit=100), FlushOutboxReply)
    none = stub.call("FlushOutbox", FlushOutboxRequest(), FlushOutboxReply)

    assert [(reply.published, reply.more) for reply in (first, rest, none)] == [(1, True), (1, False), (0, False)]
    assert publisher.types == ["provider.health_changed.v1"] * 2
