"""The queue of what a worker gave up, on an SQS of moto's."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import boto3
import pytest
from moto import mock_aws

from functions.common.dead_letters import MAX_REASON_CHARS, DeadLetterQueue
from tests.support.fakes import FakeClock

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

RECORD = {"messageId": "msg-1", "body": '{"id": "evt_1"}', "attributes": {"ApproximateReceiveCount": "5"}}


@pytest.fixture
def sqs(monkeypatch: pytest.MonkeyPatch) -> "Iterator[SQSClient]":
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        yield boto3.client("sqs", region_name="us-east-1")


def test_a_message_is_buried_as_it_came_with_what_is_known_of_its_end(sqs: "SQSClient") -> None:
    url = sqs.create_queue(QueueName="dead")["QueueUrl"]

    assert DeadLetterQueue(url, 5, FakeClock(), lambda: sqs).bury(RECORD, "refresh", "x" * 1000)

    (message,) = sqs.receive_message(QueueUrl=url, MessageAttributeNames=["All"])["Messages"]
    assert message["Body"] == RECORD["body"]
    assert {name: value["StringValue"] for name, value in message["MessageAttributes"].items()} == {
        "reason": "x" * MAX_REASON_CHARS,
        "handler": "refresh",
        "deliveries": "5",
        "failed_at": "2026-03-15T12:00:00.000Z",
        "message_id": "msg-1",
    }


def test_a_queue_that_does_not_answer_takes_nothing(sqs: "SQSClient") -> None:
    assert not DeadLetterQueue("https://sqs/none", 5, FakeClock(), lambda: sqs).bury(RECORD, "refresh", "gone")
