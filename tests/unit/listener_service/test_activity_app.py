"""The route of the audit, its RPC, and what builds them."""

import json
from collections.abc import Iterator
from datetime import timedelta

import pytest
from moto import mock_aws

from functions.common.clock import SystemClock
from functions.common.errors import InvalidInput
from functions.common.rpc.client import Stub
from functions.common.settings import SettingsError
from functions.contracts.events.envelope import wrap
from functions.contracts.events.security import Action, SecurityActionRecordedV1
from functions.contracts.rpc.common_pb2 import ExportUserReply, ExportUserRequest, PurgeUserReply, PurgeUserRequest
from functions.listener_service import app as listener
from functions.listener_service import bootstrap, rpc
from functions.listener_service.activity_app import app
from functions.listener_service.table import AuditItem
from tests.support.fakes import FakeDeadLetters, LoopbackChannel
from tests.support.http import configure, request, token
from tests.unit.listener_service.fakes import FakeContext, sqs_event

ANNA, BERT = "usr_01JD3N8Z6W3V9K4T7Q2M5XBRPC", "usr_01JD3N8Z6W3V9K4T7Q2M5XBERT"
ROUTE = "/users/me/activity"
BUILDERS = (bootstrap.auditing, bootstrap.activity, bootstrap.personal_activity, bootstrap._audit_table)


@pytest.fixture(autouse=True)
def wired(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeDeadLetters]:
    for builder in BUILDERS:
        builder.cache_clear()
    monkeypatch.setenv("AUDIT_TABLE", "audit")
    dead_letters = FakeDeadLetters()
    monkeypatch.setattr(bootstrap, "dead_letters", lambda: dead_letters)
    configure(app)
    with mock_aws():
        bootstrap._audit_table()
        AuditItem.create_table(wait=True)
        yield dead_letters
    for builder in BUILDERS:
        builder.cache_clear()


def audited(user_id: str, action: Action = Action.LOGIN_SUCCEEDED, address: str = "") -> str:
    """Delivers such an event twice, and answers its id."""
    data = SecurityActionRecordedV1(user_id=user_id, action=action, actor=user_id, address=address)
    event = wrap(data, SystemClock().now())
    assert listener.audit(sqs_event([event, event]), FakeContext()) == {"batchItemFailures": []}
    return event.id


def test_one_reads_what_happened_to_oneself() -> None:
    mine, _ = audited(ANNA, address="192.0.2.7"), audited(BERT)

    answer = request(app, "GET", ROUTE, bearer=token(ANNA))

    assert answer.status == 200
    assert answer.json["next_cursor"] is None
    [item] = answer.json["items"]
    assert item.keys() == {"at", "event_id", "type", "subject", "summary", "actor", "address", "correlation_id"}
    assert (item["event_id"], item["summary"], item["actor"]) == (mine, "Login succeeded", ANNA)
    assert (item["address"], item["type"]) == ("192.0.2.7", "security.action_recorded.v1")


def test_without_an_address_it_is_null() -> None:
    audited(ANNA)

    [item] = request(app, "GET", ROUTE, bearer=token(ANNA)).json["items"]

    assert item["address"] is None


def test_pages_and_types_are_asked_for_in_the_query() -> None:
    expected = {audited(ANNA) for _ in range(3)}
    query = {"limit": "2", "type": "security.action_recorded.v1"}
    first = request(app, "GET", ROUTE, query=query, bearer=token(ANNA)).json
    rest = request(app, "GET", ROUTE, query={**query, "cursor": first["next_cursor"]}, bearer=token(ANNA)).json

    assert {item["event_id"] for item in (*first["items"], *rest["items"])} == expected
    assert (len(first["items"]), rest["next_cursor"]) == (2, None)
    assert request(app, "GET", ROUTE, query={"type": "bill.paid.v1"}, bearer=token(ANNA)).json["items"] == []


@pytest.mark.parametrize(
    ("query", "field"),
    [({"limit": "0"}, "limit"), ({"limit": "201"}, "limit"), ({"cursor": "?"}, "cursor"), ({"type": "bills"}, "type"),
     ({"user_id": BERT}, "user_id")],
)  # fmt: skip
def test_a_wrong_query_is_named(query: dict[str, str], field: str) -> None:
    answer = request(app, "GET", ROUTE, query=query, bearer=token(ANNA))

    assert (answer.status, answer.fields) == (422, {field})


def test_who_has_the_newest_copy_gets_none() -> None:
    audited(ANNA)
    tag = request(app, "GET", ROUTE, bearer=token(ANNA)).headers["ETag"]

    assert request(app, "GET", ROUTE, bearer=token(ANNA), headers={"if-none-match": tag}).status == 304
    audited(ANNA)
    assert request(app, "GET", ROUTE, bearer=token(ANNA), headers={"if-none-match": tag}).status == 200


def test_it_needs_a_token() -> None:
    assert request(app, "GET", ROUTE).status == 401


def test_what_is_no_event_becomes_a_dead_letter(wired: FakeDeadLetters) -> None:
    assert listener.audit(sqs_event(["poison"]), FakeContext()) == {"batchItemFailures": []}
    assert list(wired.reasons) == ["msg-0"]


def test_the_rpc_exports_and_purges() -> None:
    stub = Stub(bootstrap.ACTIVITY, LoopbackChannel(rpc.handler))
    mine = audited(ANNA)

    exported = stub.call("ExportUser", ExportUserRequest(user_id=ANNA), ExportUserReply)
    purged = stub.call("PurgeUser", PurgeUserRequest(user_id=ANNA), PurgeUserReply)

    assert [item["event_id"] for item in json.loads(exported.json)["items"]] == [mine]
    assert (purged.deleted, purged.more) == (1, False)
    assert request(app, "GET", ROUTE, bearer=token(ANNA)).json["items"] == []


@pytest.mark.parametrize("nobody", ["", "platform"])
def test_the_rpc_tells_and_deletes_nothing_of_the_platform(nobody: str) -> None:
    stub = Stub(bootstrap.ACTIVITY, LoopbackChannel(rpc.handler))
    audited("")

    with pytest.raises(InvalidInput):
        stub.call("ExportUser", ExportUserRequest(user_id=nobody), ExportUserReply)
    with pytest.raises(InvalidInput):
        stub.call("PurgeUser", PurgeUserRequest(user_id=nobody), PurgeUserReply)
    assert len(list(AuditItem.scan())) == 1


def test_how_long_is_kept_is_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIT_KEPT_DAYS", "7")
    audited(ANNA)

    [item] = AuditItem.scan()
    kept = int(item.expires_at) - SystemClock().now().timestamp()
    assert abs(kept - timedelta(days=7).total_seconds()) < 60


def test_the_table_must_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    bootstrap._audit_table.cache_clear()
    monkeypatch.delenv("AUDIT_TABLE")

    with pytest.raises(SettingsError, match="AUDIT_TABLE"):
        bootstrap.activity()
