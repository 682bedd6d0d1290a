"""`make dlq` and `make redrive`, on an SQS of moto's."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import boto3
import pytest
from moto import mock_aws

from functions.common.dead_letters import DeadLetterQueue
from infra import dead_letters
from infra.console import Failure
from infra.dead_letters import UNTOLD, DeadLetterQueues
from infra.settings import load
from tests.support.fakes import FakeClock

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

EVENT = json.dumps({"type": "account.linked.v1", "data": {}})


@pytest.fixture
def sqs(monkeypatch: pytest.MonkeyPatch) -> "Iterator[SQSClient]":
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        yield boto3.client("sqs", region_name="us-east-1")


@pytest.fixture
def urls(sqs: "SQSClient") -> dict[str, str]:
    return {name: sqs.create_queue(QueueName=name)["QueueUrl"] for name in ("Queue", "Dead")}


@pytest.fixture
def buried(sqs: "SQSClient", urls: dict[str, str]) -> DeadLetterQueues:
    """Two messages that a worker gave up, and one that the queue moved by itself."""
    worker = DeadLetterQueue(urls["Dead"], 5, FakeClock(), lambda: sqs)
    for number, body in enumerate((EVENT, "no JSON")):
        record = {"messageId": f"msg-{number}", "body": body, "attributes": {"ApproximateReceiveCount": "5"}}
        assert worker.bury(record, "refresh", f"reason {number}")
    sqs.send_message(QueueUrl=urls["Dead"], MessageBody="[1]")
    return DeadLetterQueues(sqs, urls)


def test_every_queue_of_the_template_with_its_dead_letter_queue() -> None:
    assert {"RefreshQueue": "RefreshQueueDead", "PurgeQueue": "PurgeQueueDead"}.items() <= dead_letters.queues().items()


def test_dead_letters_are_shown_with_their_reason_and_stay(buried: DeadLetterQueues) -> None:
    for _ in range(2):
        seen = {letter.reason: letter for letter in buried.look("Dead", 100)}

        assert set(seen) == {"reason 0", "reason 1", UNTOLD}
        first = seen["reason 0"]
        assert (first.message_id, first.event_type, first.handler, first.deliveries) == (
            "msg-0", "account.linked.v1", "refresh", "5",
        )  # fmt: skip
        assert seen["reason 1"].event_type == seen[UNTOLD].event_type == ""
    assert buried.count("Dead") == 3


def test_a_redrive_gives_back_every_message_once(
    buried: DeadLetterQueues, sqs: "SQSClient", urls: dict[str, str]
) -> None:
    assert buried.redrive("Queue", "Dead", 100) == 3

    got = sqs.receive_message(QueueUrl=urls["Queue"], MaxNumberOfMessages=10)["Messages"]
    assert sorted(message["Body"] for message in got) == sorted([EVENT, "no JSON", "[1]"])
    assert buried.count("Dead") == 0
    assert buried.redrive("Queue", "Dead", 100) == 0


def test_a_redrive_takes_no_more_than_it_is_told(buried: DeadLetterQueues) -> None:
    assert buried.redrive("Queue", "Dead", 2) == 2
    assert buried.count("Dead") == 1


def test_a_queue_that_does_not_exist_is_named_with_those_that_do() -> None:
    with pytest.raises(Failure) as refused:
        dead_letters.redrive(load({}), "Nonsense", 10)

    assert "Nonsense" in refused.value.message
    assert "RefreshQueue" in refused.value.todo
