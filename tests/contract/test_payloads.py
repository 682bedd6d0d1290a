"""tests/events: every function has a payload that its trigger could have sent, and that is meant for it."""

import json
from pathlib import Path
from typing import Any  # JSON

import pytest

from functions.common.rpc.envelope import Call
from functions.common.rpc.server import LambdaRpcHandler
from functions.contracts.events.catalogue import CATALOGUE
from functions.contracts.events.envelope import parse, unwrap
from infra import payloads
from tests.contract.platform import BY_NAME, FUNCTION_LIST, RESOURCES
from tests.contract.test_routes import queue_name

PAYLOADS = payloads.all_payloads()
OF_APIS, OF_QUEUES, OF_SCHEDULES = (
    [path for path in PAYLOADS if BY_NAME[payloads.function_of(path)].events(kind)]
    for kind in ("Api", "SQS", "Schedule")
)
OF_RPCS = [path for path in PAYLOADS if path not in {*OF_APIS, *OF_QUEUES, *OF_SCHEDULES}]


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def names(paths: list[Path]) -> list[str]:
    return [path.stem for path in paths]


@pytest.mark.parametrize("function", [function.name for function in FUNCTION_LIST])
def test_every_function_has_a_payload(function: str) -> None:
    assert payloads.payload_of(function) in PAYLOADS


@pytest.mark.parametrize("path", OF_APIS, ids=names(OF_APIS))
def test_a_request_is_one_that_the_gateway_sends_to_this_function(path: Path) -> None:
    event, function = read(path), BY_NAME[payloads.function_of(path)]
    method, resource = event["httpMethod"], event["resource"]

    assert (method.lower(), resource) in {(each["Method"], each["Path"]) for each in function.events("Api")}
    asked = resource.replace("{proxy+}", "{proxy}").format(**(event["pathParameters"] or {}))
    assert event["path"] == asked
    context = event["requestContext"]
    assert (context["httpMethod"], context["resourcePath"]) == (method, resource)
    assert context["path"] == f"/{context['stage']}{asked}"


@pytest.mark.parametrize("path", OF_APIS, ids=names(OF_APIS))
def test_what_a_request_says_once_it_says_as_a_list_too(path: Path) -> None:
    event = read(path)

    assert event["multiValueHeaders"] == {name: [value] for name, value in event["headers"].items()}
    query = event["queryStringParameters"]
    assert event["multiValueQueryStringParameters"] == (query and {name: [value] for name, value in query.items()})


@pytest.mark.parametrize("path", OF_APIS, ids=names(OF_APIS))
def test_a_request_has_a_place_for_a_token_where_one_is_needed_and_nowhere_else(path: Path) -> None:
    event = read(path)
    spec = BY_NAME[payloads.function_of(path)].load().specs[event["resource"], event["httpMethod"]]

    bearer = event["headers"].get("Authorization") == f"Bearer {payloads.TOKEN}"
    assert bearer is not spec.public


@pytest.mark.parametrize("path", OF_QUEUES, ids=names(OF_QUEUES))
def test_a_message_comes_from_the_queue_of_this_function(path: Path) -> None:
    queues = {queue_name(each["Queue"]) for each in BY_NAME[payloads.function_of(path)].events("SQS")}
    records = read(path)["Records"]

    assert records
    assert {record["eventSourceARN"].rpartition(":")[2] for record in records} == queues


@pytest.mark.parametrize("path", OF_QUEUES, ids=names(OF_QUEUES))
def test_a_message_holds_an_event_of_the_catalogue_that_the_queue_gets(path: Path) -> None:
    for record in read(path)["Records"]:
        event = parse(record["body"])
        data = unwrap(event, CATALOGUE[event.type])

        assert event.subject == data.subject
        assert event.source == f"/billing/{data.SOURCE}"
        wanted = wanted_types(record["eventSourceARN"].rpartition(":")[2])
        assert wanted is None or event.type in wanted
        if wanted is not None:
            assert record["messageAttributes"]["type"]["stringValue"] == event.type


def wanted_types(queue: str) -> set[str] | None:
    """Event types that the bus sends to the queue; None for a queue that is not behind the bus."""
    for resource in RESOURCES.values():
        if resource["Type"] != "AWS::SNS::Subscription" or resource["Properties"]["Protocol"] != "sqs":
            continue
        if queue_name(resource["Properties"]["Endpoint"]) == queue:
            return set(resource["Properties"].get("FilterPolicy", {}).get("type", CATALOGUE))
    return None


@pytest.mark.parametrize("path", OF_RPCS, ids=names(OF_RPCS))
def test_a_call_names_a_method_of_the_service_that_this_function_serves(path: Path) -> None:
    handler = BY_NAME[payloads.function_of(path)].load()
    assert isinstance(handler, LambdaRpcHandler)
    call = Call.from_payload(read(path))
    service, _, method = call.method.partition("/")

    assert service == handler.service.full_name
    assert method in handler.service.methods_by_name


@pytest.mark.parametrize("path", OF_RPCS, ids=names(OF_RPCS))
def test_a_call_holds_the_request_of_its_method(path: Path) -> None:
    from google.protobuf.message_factory import GetMessageClass
    from google.protobuf.unknown_fields import UnknownFieldSet

    call = Call.from_payload(read(path))
    service = BY_NAME[payloads.function_of(path)].load().service
    request = GetMessageClass(service.methods_by_name[call.method.partition("/")[2]].input_type).FromString(
        call.message
    )

    assert len(UnknownFieldSet(request)) == 0
    assert request.ListFields(), "an empty request would fit any method"


@pytest.mark.parametrize("path", OF_SCHEDULES, ids=names(OF_SCHEDULES))
def test_a_scheduled_event_is_one_of_a_rule(path: Path) -> None:
    event = read(path)

    assert (event["source"], event["detail-type"]) == ("aws.events", "Scheduled Event")
