"""Webhooks: the document's receiver works, the queue gets what may be told, and one function alone sends."""

import re
from datetime import UTC, datetime

import pytest

from functions.broker_service.webhook_model import Delivery, DeliveryId, WebhookId
from functions.broker_service.webhook_sender import signed
from functions.broker_service.webhooks import EVENT_TYPES
from functions.common.connection import CheckedConnection
from infra.reach import reachable
from infra.settings import ROOT
from tests.contract.platform import BY_NAME, FUNCTION_LIST, RESOURCES
from tests.unit.broker_service.fakes import ANNA

DOCUMENT = (ROOT / "docs" / "webhooks.md").read_text()
SECRET = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def test_the_documents_receiver_verifies_and_drops_what_it_has_seen(capsys: pytest.CaptureFixture[str]) -> None:
    [snippet] = re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)
    names: dict[str, object] = {}
    exec(compile(re.sub("^   ", "", snippet, flags=re.MULTILINE), "docs/webhooks.md", "exec"), names)
    receive, seen = names["receive"], set[str]()
    assert callable(receive)
    delivery = Delivery(
        delivery_id=DeliveryId("evt_1"),
        webhook_id=WebhookId("whk_1"),
        user_id=ANNA,
        event_type="bill.created.v1",
        body='{"type":"bill.created.v1","timestamp":"2026-03-15T12:00:00.000Z","data":{"bill_id":"bil_1"}}',
        next_attempt_at=None,
        created_at=datetime.now(UTC),
        correlation_id="",
        traceparent="",
    )
    headers = signed(delivery, datetime.now(UTC), [SECRET])

    statuses = [receive(SECRET, headers, delivery.body.encode(), seen) for _ in range(2)]

    assert statuses == [204, 204]
    assert capsys.readouterr().out == "bill.created.v1 {'bill_id': 'bil_1'}\n"
    assert receive(SECRET, headers, delivery.body.replace("bil_1", "bil_2").encode(), seen) == 401


def test_the_queue_gets_all_that_webhooks_may_be_told_of() -> None:
    types = RESOURCES["NotifyQueueSubscription"]["Properties"]["FilterPolicy"]["type"]

    assert sorted(types) == list(EVENT_TYPES)


def test_one_function_connects_to_receivers_and_none_that_faces_the_internet() -> None:
    connects = ROOT / "functions" / "broker_service" / "webhook_sender.py"
    module = ROOT / (CheckedConnection.__module__.replace(".", "/") + ".py")

    assert [f.name for f in FUNCTION_LIST if connects in reachable(f.handler)] == ["WebhookRpc"]
    assert module not in reachable(BY_NAME["WebhookApi"].handler)


def test_a_receiver_may_be_on_this_machine_in_a_sandbox_only() -> None:
    given = {f.name: f.environment["RECEIVER_ORIGIN"] for f in FUNCTION_LIST if "RECEIVER_ORIGIN" in f.environment}

    in_a_sandbox = {"Fn::If": ["IsSandbox", {"Ref": "ReceiverOrigin"}, ""]}
    assert given == {"WebhookApi": in_a_sandbox, "WebhookRpc": in_a_sandbox}
