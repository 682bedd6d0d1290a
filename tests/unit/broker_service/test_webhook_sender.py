"""One attempt over real HTTP: what goes out, how receivers verify it, where it does not go."""

import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from standardwebhooks import Webhook as Receiver
from standardwebhooks import WebhookVerificationError

from functions.broker_service.webhook_model import Delivery, DeliveryId, Failure, SealedSecret, Webhook, WebhookId
from functions.broker_service.webhook_sender import WebhookSender
from functions.common.clock import SystemClock
from functions.common.context import invocation
from tests.support.utility import Utility, ok, utility
from tests.unit.broker_service.fakes import ANNA
from tests.unit.broker_service.webhook_fakes import CREATED, FakeVault

pytestmark = pytest.mark.usefixtures("socket_enabled")

NEW, OLD, OTHER = ("whsec_" + letter * 32 for letter in "ABC")
NOW = datetime.now(UTC)
WEBHOOK = WebhookId("whk_1")
BODY = '{"type":"bill.created.v1","data":{"note":"Stromz\u00e4hler"}}'


def a_webhook(url: str, *secrets: tuple[str, datetime | None]) -> Webhook:
    sealed = [SealedSecret(FakeVault().seal(WEBHOOK, secret), ends) for secret, ends in secrets or [(NEW, None)]]
    return Webhook(
        webhook_id=WEBHOOK, user_id=ANNA, url=url, event_types=(CREATED,), secrets=tuple(sealed), created_at=NOW
    )


DELIVERY = Delivery(
    delivery_id=DeliveryId("evt_1"),
    webhook_id=WEBHOOK,
    user_id=ANNA,
    event_type=CREATED,
    body=BODY,
    next_attempt_at=NOW,
    created_at=NOW,
    correlation_id="cor_1",
    traceparent="",
)


def sender(served: Utility) -> WebhookSender:
    return WebhookSender(FakeVault(), SystemClock(), served.origin)


def received(request: bytes) -> tuple[str, dict[str, str], bytes]:
    head, _, body = request.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    return first, {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}, body


def test_a_receiver_verifies_it_with_the_library() -> None:
    with utility(ok(b"thanks", status="202 Accepted")) as served:
        attempt = sender(served).send(a_webhook(f"{served.origin}/hook?tenant=7"), DELIVERY, 5)

    assert (attempt.status, attempt.failure) == (202, None)
    first, headers, body = received(served.requests[0])
    assert first == "POST /hook?tenant=7 HTTP/1.1"
    assert body == BODY.encode()
    assert headers["content-type"] == "application/json"
    assert headers["webhook-id"] == "evt_1"
    Receiver(NEW).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Receiver(OTHER).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Receiver(NEW).verify(body.replace(b"bill", b"bull"), headers)


def test_after_a_rotation_both_secrets_verify_until_the_old_one_ends() -> None:
    ends = datetime.now(UTC) + timedelta(hours=1)
    with utility(ok(b""), ok(b"")) as served:
        webhook = a_webhook(served.origin, (NEW, None), (OLD, ends))
        sender(served).send(webhook, DELIVERY, 5)
        ended = replace(webhook.secrets[1], ends_at=datetime.now(UTC) - timedelta(seconds=1))
        sender(served).send(replace(webhook, secrets=(webhook.secrets[0], ended)), DELIVERY, 5)

    (_, both, body), (first, one, _) = (received(request) for request in served.requests)
    Receiver(NEW).verify(body, both)
    Receiver(OLD).verify(body, both)
    Receiver(NEW).verify(body, one)
    with pytest.raises(WebhookVerificationError):
        Receiver(OLD).verify(body, one)
    assert first == "POST / HTTP/1.1"


def test_the_trace_goes_along() -> None:
    with utility(ok(b"")) as served, invocation("cor_1", 10, f"00-{'a' * 32}-{'b' * 16}-01"):
        sender(served).send(a_webhook(served.origin), DELIVERY, 5)

    trace = received(served.requests[0])[1]["traceparent"]
    assert trace.startswith(f"00-{'a' * 32}-")
    assert trace.endswith("-01")


@pytest.mark.parametrize(
    ("status", "failure"),
    [
        ("200 OK", None),
        ("204 No Content", None),
        ("301 Moved Permanently", Failure.REDIRECT),
        ("307 Temporary Redirect", Failure.REDIRECT),
        ("400 Bad Request", Failure.REFUSED),
        ("410 Gone", Failure.REFUSED),
        ("500 Internal Server Error", Failure.REFUSED),
    ],
)
def test_what_counts_as_success(status: str, failure: Failure | None) -> None:
    with utility(ok(b"")) as elsewhere, utility(ok(b"", f"Location: {elsewhere.origin}", status=status)) as served:
        attempt = sender(served).send(a_webhook(served.origin), DELIVERY, 5)

    assert (attempt.status, attempt.failure) == (int(status[:3]), failure)
    assert elsewhere.connections == 0


def test_one_that_is_silent_has_until_the_time_is_over() -> None:
    began = time.monotonic()
    with utility(lambda connection: connection.recv(1)) as served:
        attempt = sender(served).send(a_webhook(served.origin), DELIVERY, 0.3)

    assert (attempt.status, attempt.failure) == (0, Failure.TIMEOUT)
    assert time.monotonic() - began < 3


def test_one_that_is_not_there_or_speaks_no_http() -> None:
    with utility(b"SSH-2.0-OpenSSH\r\n\r\n") as served:
        assert sender(served).send(a_webhook(served.origin), DELIVERY, 5).failure is Failure.UNREACHABLE
    assert sender(served).send(a_webhook(served.origin), DELIVERY, 5).failure is Failure.UNREACHABLE


@pytest.mark.parametrize(
    "addresses", [["127.0.0.1"], ["10.0.0.8"], ["93.184.215.14", "169.254.169.254"], ["::1"], ["::ffff:10.0.0.8"]]
)
def test_a_name_that_leads_inside_by_now_is_not_connected_to(addresses: Sequence[str]) -> None:
    with utility(ok(b"")) as inside:
        sending = WebhookSender(FakeVault(), SystemClock(), "", lambda _: addresses)
        attempt = sending.send(a_webhook(f"https://hooks.example.com:{inside.port}/"), DELIVERY, 5)

    assert (attempt.status, attempt.failure) == (0, Failure.NOT_ALLOWED)
    assert inside.connections == 0


def test_only_the_exact_origin_may_be_on_this_machine() -> None:
    with utility(ok(b"")) as inside, utility(ok(b"")) as named:
        for url in (inside.origin, f"{named.origin}0", named.origin.replace("127.0.0.1", "localhost")):
            assert sender(named).send(a_webhook(url), DELIVERY, 5).failure is Failure.NOT_ALLOWED
        nowhere = WebhookSender(FakeVault(), SystemClock())
        assert nowhere.send(a_webhook(inside.origin), DELIVERY, 5).failure is Failure.NOT_ALLOWED

    assert inside.connections == named.connections == 0


def test_a_name_without_an_address_is_unreachable() -> None:
    sending = WebhookSender(FakeVault(), SystemClock(), "", lambda _: [])
    assert sending.send(a_webhook("https://hooks.example.com"), DELIVERY, 5).failure is Failure.UNREACHABLE
