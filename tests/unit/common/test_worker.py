import contextvars
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from chalice.app import CloudWatchEvent, SQSEvent

from functions.common import logs
from functions.common.context import correlation_id, invocation, remaining_seconds, trace_id
from functions.common.errors import Unavailable
from functions.common.worker import UnknownEventError, process_batch, run_scheduled
from functions.contracts.events.bills import BillsRefreshRequestedV1
from functions.contracts.events.envelope import CloudEvent, wrap
from tests.support.fakes import FakeClock, FakeDeadLetters

SECRET = "s3cret-account-number"


class Context:
    def __init__(self, milliseconds: int) -> None:
        self._milliseconds = milliseconds

    def get_remaining_time_in_millis(self) -> int:
        return self._milliseconds


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    import logging

    root = logging.getLogger()
    before = root.handlers[:], root.level
    root.handlers[:] = []
    logs.configure()  # on the stream that capsys watches
    yield lambda: [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    root.handlers[:], level = before
    root.setLevel(level)


def a_message(number: int) -> CloudEvent:
    data = BillsRefreshRequestedV1(user_id="usr_1", link_id=f"lnk_{number}", reason="user")
    return wrap(data, FakeClock().now())


def a_batch(*bodies: CloudEvent | str, milliseconds: int = 30_000, deliveries: int = 1) -> SQSEvent:
    records = [
        {
            "messageId": f"msg-{n}",
            "receiptHandle": "r",
            "body": body if isinstance(body, str) else body.to_json(),
            "attributes": {"ApproximateReceiveCount": str(deliveries)},
        }
        for n, body in enumerate(bodies)
    ]
    return SQSEvent({"Records": records}, Context(milliseconds))  # type: ignore[arg-type]  # Chalice says a dict


def failed(answer: dict[str, list[dict[str, str]]]) -> list[str]:
    return [item["itemIdentifier"] for item in answer["batchItemFailures"]]


def test_an_empty_batch() -> None:
    assert process_batch("test", a_batch(), lambda event: None, FakeDeadLetters()) == {"batchItemFailures": []}


def test_reasons_are_logged_and_bodies_are_not(lines: Callable[[], list[dict[str, Any]]]) -> None:
    errors = [Unavailable(SECRET), UnknownEventError("takes no such event"), KeyError(0)]
    events = [a_message(number) for number in range(4)]

    def handle(event: CloudEvent) -> None:
        number = int(event.subject.removeprefix("lnk_"))
        if number < len(errors):
            raise errors[number]

    answer = process_batch("test", a_batch(*events, f'{{"id": "{SECRET}"'), handle, FakeDeadLetters())

    assert failed(answer) == ["msg-0", "msg-2"]
    written = lines()
    said = {(line["event"], line.get("message_id"), line.get("reason")) for line in written}
    assert ("message_deferred", "msg-0", "unavailable") in said
    assert ("message_refused", "msg-1", "takes no such event") in said
    assert [line["message_id"] for line in written if line["event"] == "unhandled"] == ["msg-2"]
    assert written[-1]["event"] == "batch"
    assert (written[-1]["handler"], written[-1]["messages"], written[-1]["failed"]) == ("test", 5, 2)
    assert SECRET not in json.dumps(written)
    deferred = next(line for line in written if line.get("message_id") == "msg-0")
    assert deferred["correlation_id"] == events[0].correlationid


def refuse(event: CloudEvent) -> None:
    raise UnknownEventError(f"takes no {event.type}")


def defer(event: CloudEvent) -> None:
    raise Unavailable("down")


def break_down(event: CloudEvent) -> None:
    raise KeyError(event.subject)


@pytest.mark.parametrize(
    ("handle", "body", "reason"),
    [
        (refuse, a_message(0), "takes no bills.refresh_requested.v1"),
        (refuse, "{}", "no CloudEvent: Object missing required field `id`"),
    ],
)
def test_what_no_delivery_can_mend_is_given_up_at_once(
    handle: Callable[[CloudEvent], None], body: CloudEvent | str, reason: str
) -> None:
    dead_letters = FakeDeadLetters()

    answer = process_batch("test", a_batch(body), handle, dead_letters)

    assert (failed(answer), dead_letters.reasons) == ([], {"msg-0": reason})


@pytest.mark.parametrize(("handle", "reason"), [(defer, "unavailable"), (break_down, "unhandled: KeyError")])
def test_what_may_get_better_is_given_up_on_its_last_delivery(
    handle: Callable[[CloudEvent], None], reason: str
) -> None:
    dead_letters = FakeDeadLetters(max_deliveries=5)

    before = process_batch("test", a_batch(a_message(0), deliveries=4), handle, dead_letters)
    assert (failed(before), dead_letters.reasons) == (["msg-0"], {})

    last = process_batch("test", a_batch(a_message(0), deliveries=5), handle, dead_letters)
    assert (failed(last), dead_letters.reasons) == ([], {"msg-0": reason})


def test_what_cannot_be_buried_stays_in_its_queue() -> None:
    dead_letters = FakeDeadLetters()
    dead_letters.full = True

    assert failed(process_batch("test", a_batch("no JSON"), refuse, dead_letters)) == ["msg-0"]


def test_what_does_not_end_in_time_is_delivered_again() -> None:
    release = threading.Event()

    def handle(event: CloudEvent) -> None:
        if event.subject == "lnk_1":
            release.wait(5)

    answer = process_batch("test", a_batch(a_message(0), a_message(1), milliseconds=700), handle, FakeDeadLetters())
    release.set()

    assert failed(answer) == ["msg-1"]


def test_a_handler_ends_before_the_function() -> None:
    left: list[float] = []

    batch = a_batch(a_message(0), milliseconds=10_000)
    process_batch("test", batch, lambda event: left.append(remaining_seconds()), FakeDeadLetters())

    assert 8 < left[0] <= 9


def test_a_message_goes_on_with_the_trace_of_its_event() -> None:
    with invocation("req-1", 5, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"):
        event = a_message(0)
    seen: list[str] = []

    process_batch("test", a_batch(event), lambda event: seen.append(trace_id()), FakeDeadLetters())

    assert seen == ["4bf92f3577b34da6a3ce929d0e0e4736"]


def test_context_variables_reach_the_threads() -> None:
    marker = contextvars.ContextVar("marker", default="")
    marker.set("here")
    seen: list[str] = []

    process_batch("test", a_batch(a_message(0)), lambda event: seen.append(marker.get()), FakeDeadLetters())

    assert seen == ["here"]


def test_run_scheduled_logs_the_counts(lines: Callable[[], list[dict[str, Any]]]) -> None:
    envelope = {
        "version": "0", "id": "1", "detail-type": "Scheduled Event", "source": "aws.events", "account": "1",
        "time": "", "region": "us-east-1", "resources": [], "detail": {},
    }  # fmt: skip
    ids: list[str] = []

    def task() -> dict[str, object]:
        ids.append(correlation_id())
        return {"due": 3}

    assert run_scheduled("sweep", CloudWatchEvent(envelope, None), task) == {"due": 3}
    (line,) = lines()
    assert (line["event"], line["handler"], line["due"], line["correlation_id"]) == ("scheduled", "sweep", 3, ids[0])
