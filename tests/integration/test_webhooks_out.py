"""Outgoing webhooks, with a real receiver on this machine at the one origin that the platform lets pass."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest
from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError

from functions.contracts.events.bills import BillCreatedV1
from functions.contracts.events.envelope import CloudEvent, wrap
from infra import target
from infra.client import Json
from tests.integration.household import INTERNET, Household
from tests.integration.patience import await_value
from tests.integration.platform import SCHEDULED, Platform, sqs_event

SECONDS = 60.0


@dataclass(frozen=True)
class Received:
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def event_id(self) -> str:
        return self.headers["webhook-id"]

    def verified(self, secret: str) -> Json:
        """As a receiver does it. Raises WebhookVerificationError."""
        told: Json = Verifier(secret).verify(self.body, self.headers)
        return told


@dataclass
class Receiver:
    origin: str
    status: int = 204
    got: list[Received] = field(default_factory=list)

    def of(self, path: str) -> list[Received]:
        return [each for each in list(self.got) if each.path == path]

    @contextmanager
    def up(self) -> Iterator[None]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                receiver.got.append(Received(self.path, headers, body))
                self.send_response(receiver.status)
                self.send_header("Location", "http://127.0.0.1:1/elsewhere")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Nothing on the console."""

        server = ThreadingHTTPServer(("127.0.0.1", urlsplit(self.origin).port or 0), Handler)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            server.server_close()
            thread.join(5)


@pytest.fixture
def receiver(platform: Platform) -> Receiver:
    origin = target.receiver_origin(platform.settings)
    if not origin:
        pytest.skip("functions of this platform do not reach this machine")
    return Receiver(origin)


def registered(household: Household, receiver: Receiver, path: str, *types: str) -> Json:
    body = {"url": receiver.origin + path, "event_types": list(types) or ["bill.created.v1"]}
    made = household.client.call("POST", "/webhooks", body)
    household.secret.append(made["secret"])
    return made


def deliveries(household: Household, webhook: Json) -> list[Json]:
    return list(household.client.call("GET", f"/webhooks/{webhook['webhook_id']}/deliveries")["items"])


def bill_created(household: Household, bill_id: str = "bil_1") -> CloudEvent:
    data = BillCreatedV1(
        user_id=household.user_id,
        link_id="lnk_1",
        bill_id=bill_id,
        provider_id=INTERNET,
        service_type="internet",
        version=1,
        amount_minor=4211,
        currency="USD",
    )
    return wrap(data, datetime.now(UTC))


def until(look: Callable[[], object], what: str) -> None:
    await_value(lambda: bool(look()) or None, SECONDS, what)


def test_what_happens_to_accounts_and_bills_is_told_once_each(household: Household, receiver: Receiver) -> None:
    with receiver.up():
        bills = registered(household, receiver, "/bills?of=anna", "bill.created.v1")
        accounts = registered(household, receiver, "/accounts", "account.linked.v1", "account.state_changed.v1")
        link_id = household.link(INTERNET)
        household.settle()
        expected = {bill["bill_id"] for bill in household.client.bills().of(link_id)}

        until(lambda: len(receiver.of("/bills?of=anna")) >= len(expected), "a delivery of each bill")
        until(lambda: receiver.of("/accounts"), "a delivery of the account")

    told = [each.verified(bills["secret"]) for each in receiver.of("/bills?of=anna")]
    assert expected
    assert sorted(each["data"]["bill_id"] for each in told) == sorted(expected)
    assert {each["type"] for each in told} == {"bill.created.v1"}
    assert all(each.headers["traceparent"].startswith("00-") for each in receiver.got)
    for each in receiver.of("/accounts"):
        assert each.verified(accounts["secret"])["data"]["link_id"] == link_id
        with pytest.raises(WebhookVerificationError):
            each.verified(bills["secret"])


def test_an_event_that_is_delivered_three_times_is_told_once(
    household: Household, platform: Platform, receiver: Receiver
) -> None:
    with receiver.up():
        webhook = registered(household, receiver, "/once")
        events = [bill_created(household, f"bil_{number}") for number in range(3)]
        for event in (*events, *reversed(events)):
            platform.publish(event)
        shuffled = [event.to_json() for event in (events[1], events[0], events[2], events[1])]
        assert platform.invoke("NotifyWorker", sqs_event(*shuffled)) == {"batchItemFailures": []}
        platform.await_empty("NotifyQueue")
        until(lambda: len(receiver.of("/once")) >= len(events), "all deliveries")
        platform.invoke("Sweep", SCHEDULED)

    assert sorted(each.event_id for each in receiver.of("/once")) == sorted(event.id for event in events)
    assert [each["state"] for each in deliveries(household, webhook)] == ["delivered"] * len(events)


def test_a_receiver_that_was_down_is_told_when_it_is_up(
    household: Household, platform: Platform, receiver: Receiver
) -> None:
    webhook = registered(household, receiver, "/late")
    event = bill_created(household)
    platform.publish(event)
    until(lambda: any(each["attempts"] for each in deliveries(household, webhook)), "a first attempt")
    [waiting] = deliveries(household, webhook)
    assert waiting["state"] == "pending"
    assert waiting["attempts"][0]["failure"] == "unreachable"
    assert household.client.call("GET", f"/webhooks/{webhook['webhook_id']}")["failing_since"]

    def told() -> bool:
        platform.invoke("Sweep", SCHEDULED)
        return bool(receiver.of("/late"))

    with receiver.up():
        until(told, "the delivery, now that somebody listens")

    [got] = receiver.of("/late")
    assert got.event_id == event.id
    assert got.verified(webhook["secret"])["data"]["bill_id"] == "bil_1"
    [done] = deliveries(household, webhook)
    assert (done["delivery_id"], done["state"], done["attempts"][-1]["status"]) == (event.id, "delivered", 204)
    assert not household.client.call("GET", f"/webhooks/{webhook['webhook_id']}")["failing_since"]


def test_a_test_a_resend_and_a_new_secret(household: Household, receiver: Receiver) -> None:
    with receiver.up():
        webhook = registered(household, receiver, "/tried")
        path = f"/webhooks/{webhook['webhook_id']}"
        sent = household.client.call("POST", f"{path}/test")
        until(lambda: deliveries(household, webhook)[0]["state"] == "delivered", "the test")
        rotated = household.client.call("POST", f"{path}/secret")
        household.secret.append(rotated["secret"])
        household.client.call("POST", f"{path}/deliveries/{sent['delivery_id']}/resend")
        until(lambda: len(receiver.of("/tried")) == 2, "the resend")

    first, again = receiver.of("/tried")
    assert first.verified(webhook["secret"])["type"] == "webhook.test"
    assert (again.event_id, again.body) == (first.event_id, first.body)
    assert again.verified(webhook["secret"]) == again.verified(rotated["secret"])
    with pytest.raises(WebhookVerificationError):
        first.verified(rotated["secret"])


def test_a_receiver_that_is_gone_is_left_alone_until_a_test_gets_through(
    household: Household, platform: Platform, receiver: Receiver
) -> None:
    receiver.status = 410
    with receiver.up():
        webhook = registered(household, receiver, "/gone")
        path = f"/webhooks/{webhook['webhook_id']}"
        platform.publish(bill_created(household))
        until(lambda: household.client.call("GET", path)["state"] == "disabled", "a disabled webhook")
        assert household.client.call("GET", path)["disabled_reason"] == "gone"
        assert platform.invoke("NotifyWorker", sqs_event(bill_created(household, "bil_2").to_json()))
        assert len(receiver.of("/gone")) == 1

        receiver.status = 200
        household.client.call("POST", f"{path}/test")
        until(lambda: household.client.call("GET", path)["state"] == "active", "an active webhook")


def test_a_redirect_is_a_failure(household: Household, receiver: Receiver) -> None:
    receiver.status = 302
    with receiver.up():
        webhook = registered(household, receiver, "/moved")
        household.client.call("POST", f"/webhooks/{webhook['webhook_id']}/test")
        until(lambda: deliveries(household, webhook)[0]["state"] == "failed", "the end of the test")

    [attempt] = deliveries(household, webhook)[0]["attempts"]
    assert (attempt["status"], attempt["failure"]) == (302, "redirect")


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/hook",
        "https://127.0.0.1/hook",
        "https://localhost/hook",
        "https://169.254.169.254/latest/meta-data",
        "https://2130706433/",
        "https://[::ffff:10.0.0.8]/",
        "https://user:password@example.com/",
        "http://127.0.0.1:6379/",
    ],
)
def test_no_webhook_leads_inside(household: Household, url: str) -> None:
    answer = household.client.send("POST", "/webhooks", json={"url": url, "event_types": ["bill.created.v1"]})

    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == ["url"]


def test_an_export_has_webhooks_and_no_secret_and_a_deleted_one_is_gone(
    household: Household, receiver: Receiver
) -> None:
    webhook = registered(household, receiver, "/exported")

    export = household.client.send("GET", "/users/me/export")

    assert [each["webhook_id"] for each in export.json()["webhooks"]["webhooks"]] == [webhook["webhook_id"]]
    assert webhook["secret"] not in export.text
    path = f"/webhooks/{webhook['webhook_id']}"
    assert household.client.send("DELETE", path).status_code == 204
    assert household.client.send("GET", path).status_code == 404
