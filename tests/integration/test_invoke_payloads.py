"""tests/events/*.json, one payload per kind of trigger: the deployed functions take them as `make invoke` does."""

import json
from pathlib import Path
from typing import Any  # JSON

import msgspec

from functions.common.rpc.envelope import Call, Reply
from functions.common.rpc.status import StatusCode
from functions.contracts.events.catalogue import CATALOGUE
from functions.contracts.events.envelope import parse, unwrap
from functions.contracts.routes import ROUTES
from functions.contracts.rpc.providers_pb2 import ListProvidersReply
from infra import template
from tests.integration.household import UTILITIES
from tests.integration.platform import Platform

EVENTS = Path(__file__).parent.parent / "events"
FUNCTION = {
    "api_get": "BrokerApi",
    "api_post": "UserApi",
    "rpc": "ProviderRpc",
    "schedule": "Sweep",
    "sqs_audit": "AuditWorker",
    "sqs_import": "ImportWorker",
    "sqs_notify": "NotifyWorker",
    "sqs_project": "ProjectionWorker",
    "sqs_refresh": "RefreshWorker",
}


def payload(name: str) -> Any:
    return json.loads((EVENTS / f"{name}.json").read_text())


def test_every_payload_has_its_function() -> None:
    assert {path.stem for path in EVENTS.glob("*.json")} == FUNCTION.keys()
    assert set(FUNCTION.values()) <= template.functions().keys()


def test_requests_name_a_route() -> None:
    for name in ("api_get", "api_post"):
        context = payload(name)["requestContext"]
        assert context["httpMethod"] in ROUTES[context["resourcePath"]]


def test_messages_hold_events_of_the_catalogue() -> None:
    for name in ("sqs_refresh", "sqs_project", "sqs_import", "sqs_audit", "sqs_notify"):
        for record in payload(name)["Records"]:
            event = parse(record["body"])
            assert isinstance(unwrap(event, CATALOGUE[event.type]), msgspec.Struct)


def test_a_get_is_answered(platform: Platform) -> None:
    answer = platform.invoke("BrokerApi", payload("api_get"))

    assert answer["statusCode"] == 200
    assert json.loads(answer["body"])["status"] == "ok"


def test_a_post_is_answered(platform: Platform) -> None:
    answer = platform.invoke("UserApi", payload("api_post"))

    assert answer["statusCode"] == 401
    assert json.loads(answer["body"])["code"] == "invalid_credentials"


def test_messages_about_an_unknown_link_are_done_with(platform: Platform) -> None:
    assert platform.invoke("RefreshWorker", payload("sqs_refresh")) == {"batchItemFailures": []}
    assert platform.invoke("ProjectionWorker", payload("sqs_project")) == {"batchItemFailures": []}


def test_a_message_about_an_unknown_import_is_done_with(platform: Platform) -> None:
    assert platform.invoke("ImportWorker", payload("sqs_import")) == {"batchItemFailures": []}


def test_an_event_of_the_audit_is_kept(platform: Platform) -> None:
    assert platform.invoke("AuditWorker", payload("sqs_audit")) == {"batchItemFailures": []}


def test_an_event_of_a_user_without_webhooks_is_done_with(platform: Platform) -> None:
    assert platform.invoke("NotifyWorker", payload("sqs_notify")) == {"batchItemFailures": []}


def test_the_schedule_sweeps(platform: Platform) -> None:
    assert platform.invoke("Sweep", payload("schedule")) is not None


def test_a_call_is_answered_in_the_envelope(platform: Platform) -> None:
    assert Call.from_payload(payload("rpc")).method == "billing.providers.v1.Providers/ListProviders"

    reply = Reply.from_payload(platform.invoke("ProviderRpc", payload("rpc")))

    assert reply.status is StatusCode.OK
    found = {provider.provider_id for provider in ListProvidersReply.FromString(reply.message).items}
    assert found >= set(UTILITIES)
