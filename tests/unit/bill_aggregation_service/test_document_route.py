"""GET /bills/{bill_id}/document over HTTP: the utility's bytes, and what is answered when there are none."""

import base64
import json
from typing import Any

import pytest

from functions.bill_aggregation_service import app as module
from functions.bill_aggregation_service import bootstrap
from functions.bill_aggregation_service.adapters.base import MfaRequired, ProviderDown
from functions.bill_aggregation_service.adapters.documents import MAX_BYTES
from functions.bill_aggregation_service.clients import LiveReadsClient
from functions.common.errors import DeadlineExceeded
from functions.common.rpc.client import Stub
from functions.common.rpc.envelope import Call, Reply
from functions.common.rpc.status import StatusCode
from functions.contracts.rpc import bills_pb2
from tests.support.http import Result, configure, request, token
from tests.unit.bill_aggregation_service.fakes import LINK, USER, World, fetched

app = configure(module.app)
DOCUMENT = "/bills/{bill_id}/document"
PDF = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n"
GRPC_MESSAGE_BYTES = 4 * 1024 * 1024
"""What gRPC takes when nobody says otherwise."""
LAMBDA_ANSWER_BYTES = 6 * 1024 * 1024
SOMEBODY = "usr_01JD3N8Z6W3V9K4T7Q2M5XBRPZ"


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """One bill that the utility gives on paper, and one that it does not."""
    built = World()
    built.answers = [[fetched("paper", document_url="/secret/1.pdf?token=1"), fetched("none")]]
    built.papers = [PDF]
    built.refresher.refresh_link(USER, LINK)
    monkeypatch.setattr(bootstrap, "service", lambda: built.bills)
    monkeypatch.setattr(bootstrap, "live_reads", lambda: LiveReadsClient(built.rpc))
    return built


def bill_id(world: World, number: str = "paper") -> str:
    return next(bill.bill_id for bill in world.store.kept.values() if bill.content.external_bill_id == number)


def document(asked: str, user_id: str = USER) -> Result:
    return request(app, "GET", DOCUMENT, path={"bill_id": asked}, bearer=token(user_id))


def raw(asked: str, method: str = "GET") -> Any:  # Any: what Lambda answers
    context = {"httpMethod": method, "resourcePath": DOCUMENT, "path": f"/v1/bills/{asked}/document"}
    headers = {"authorization": f"Bearer {token(USER)}", "accept": "application/pdf"}
    event = {
        "headers": headers, "pathParameters": {"bill_id": asked}, "requestContext": context, "body": None,
        "multiValueQueryStringParameters": None, "isBase64Encoded": False, "stageVariables": None,
    }  # fmt: skip
    return app(event, None)


def test_bills_name_the_platforms_own_path(world: World) -> None:
    asked = bill_id(world)
    listed = request(app, "GET", "/bills", bearer=token(USER))
    rows = request(app, "GET", "/bills", headers={"accept": "text/csv"}, bearer=token(USER))
    one = request(app, "GET", "/bills/{bill_id}", path={"bill_id": asked}, bearer=token(USER))

    paths = {bill["external_bill_id"]: bill["document_url"] for bill in listed.json["items"]}
    assert paths == {"paper": f"/bills/{asked}/document", "none": None}
    assert one.json["document_url"] == f"/bills/{asked}/document"
    assert f",/bills/{asked}/document," in rows.text
    for answer in (listed, rows, one):
        assert "secret" not in answer.text


def test_the_bytes_are_those_of_the_utility(world: World) -> None:
    asked = bill_id(world)

    answer = raw(asked)

    assert (answer["statusCode"], answer["isBase64Encoded"]) == (200, True)
    assert base64.b64decode(answer["body"]) == PDF
    headers = answer["headers"]
    assert headers["Content-Type"] == "application/pdf"
    assert headers["Content-Disposition"] == f'attachment; filename="{asked}.pdf"'
    assert headers["Cache-Control"] == "private, no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_the_largest_document_fits_every_way_that_it_goes(world: World) -> None:
    """As an RPC by Lambda or by gRPC, and as the answer of a function that is invoked by API Gateway."""
    world.papers = [PDF + bytes(MAX_BYTES - len(PDF))]
    asked = bills_pb2.FetchDocumentRequest(user_id=USER, bill_id=bill_id(world))
    reply = world.rpc.call("FetchDocument", asked, bills_pb2.FetchDocumentReply)
    message = reply.SerializeToString()

    assert len(reply.content) == MAX_BYTES
    assert len(message) < GRPC_MESSAGE_BYTES
    assert len(json.dumps(Reply(StatusCode.OK, message).to_payload())) < LAMBDA_ANSWER_BYTES
    assert len(json.dumps(raw(bill_id(world)))) < LAMBDA_ANSWER_BYTES


def test_head_tells_the_same_without_the_bytes(world: World) -> None:
    answer = raw(bill_id(world), "HEAD")

    assert (answer["statusCode"], answer["body"]) == (200, "")
    assert answer["headers"]["Content-Type"] == "application/pdf"


def test_a_bill_without_a_document(world: World) -> None:
    answer = document(bill_id(world, "none"))

    assert (answer.status, answer.json["code"]) == (404, "no_document")


def test_a_bill_that_the_user_does_not_have(world: World) -> None:
    asked = bill_id(world)

    for answer in (document("bil_01JD3N8Z6W3V9K4T7Q2M5XBRPC"), document("x"), document(asked, SOMEBODY)):
        assert (answer.status, answer.json["code"]) == (404, "bill_not_found")
    assert request(app, "GET", DOCUMENT, path={"bill_id": asked}).status == 401
    assert world.asked_for == []


def test_a_utility_that_does_not_give_it(world: World) -> None:
    world.papers = [ProviderDown(retry_after=30), MfaRequired(["sms"], "ref-1")]

    down, refused = document(bill_id(world)), document(bill_id(world))

    assert (down.status, down.json["code"], down.headers["Retry-After"]) == (503, "provider_unavailable", "30")
    assert (refused.status, refused.json["code"]) == (409, "action_required")


def test_a_utility_that_is_too_slow(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Stub(bills_pb2.DESCRIPTOR.services_by_name["Bills"], SlowChannel())
    monkeypatch.setattr(bootstrap, "live_reads", lambda: LiveReadsClient(slow))

    answer = document(bill_id(world))

    assert (answer.status, answer.json["code"], answer.headers["Retry-After"]) == (503, "provider_timeout", "5")


class SlowChannel:
    def invoke(self, call: Call) -> Reply:
        raise DeadlineExceeded("It took too long.")

    def post(self, call: Call) -> None:
        raise NotImplementedError
