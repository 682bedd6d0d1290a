"""A thousand refreshes with 5 % poison and 10 % passing failures, through the real worker and queues of moto's.

What SQS does for a Lambda function is done here by `drain`; tests/integration/test_chaos.py has it done by the engine.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto import mock_aws

from functions.common.dead_letters import DeadLetterQueue
from functions.common.errors import Unavailable
from functions.common.rpc.server import RpcContext
from functions.contracts.events.bills import BillsRefreshRequestedV1
from functions.contracts.events.envelope import wrap
from functions.contracts.rpc.bills_pb2 import RefreshLinkReply, RefreshLinkRequest
from functions.listener_service import app as listener
from functions.listener_service import bootstrap
from infra.dead_letters import DeadLetterQueues
from tests.support.fakes import FakeClock
from tests.unit.listener_service.fakes import FakeBills, FakeContext, World

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import (
        DeleteMessageBatchRequestEntryTypeDef,
        MessageTypeDef,
        SendMessageBatchRequestEntryTypeDef,
    )

MESSAGES, AT_ONCE, MAX_DELIVERIES = 1000, 10, 5
EVENTS = {
    link_id: wrap(
        BillsRefreshRequestedV1(user_id="usr_1", link_id=link_id, job_id="job_1", reason="sweep"), FakeClock().now()
    )
    for link_id in (f"lnk_{number}" for number in range(MESSAGES))
}
LINKS = list(EVENTS)
POISON, PASSING = set(LINKS[7::20]), set(LINKS[3::10])


class FlakyBills(FakeBills):
    """Breaks at `poison`, each time; refuses each of `passing` as often as is told there."""

    def __init__(self, poison: set[str], passing: dict[str, int]) -> None:
        super().__init__([])
        self.poison, self.passing = poison, passing

    def RefreshLink(self, request: RefreshLinkRequest, context: RpcContext) -> RefreshLinkReply:
        if request.link_id in self.poison:
            raise KeyError(request.link_id)
        if self.passing.get(request.link_id, 0):
            self.passing[request.link_id] -= 1
            raise Unavailable("Not now.")
        return super().RefreshLink(request, context)


@dataclass
class Queues:
    sqs: "SQSClient"
    urls: dict[str, str]

    def send(self, bodies: Sequence[str]) -> None:
        entries: list[SendMessageBatchRequestEntryTypeDef] = [
            {"Id": str(number), "MessageBody": body} for number, body in enumerate(bodies)
        ]
        self.sqs.send_message_batch(QueueUrl=self.urls["RefreshQueue"], Entries=entries)

    def drain(self) -> int:
        """Until the queue is empty: hands batches to the worker, takes away what it is done with, and lets the rest be
        delivered again, at once. Answers how many deliveries that took."""
        url, deliveries = self.urls["RefreshQueue"], 0
        while messages := self._receive():
            answer = listener.refresh({"Records": [_record(message) for message in messages]}, FakeContext())
            failed = {item["itemIdentifier"] for item in answer["batchItemFailures"]}
            handles = {message["MessageId"]: message["ReceiptHandle"] for message in messages}
            for message_id in failed:
                self.sqs.change_message_visibility(
                    QueueUrl=url, ReceiptHandle=handles.pop(message_id), VisibilityTimeout=0
                )
            done: list[DeleteMessageBatchRequestEntryTypeDef] = [
                {"Id": message_id, "ReceiptHandle": handle} for message_id, handle in handles.items()
            ]
            if done:
                self.sqs.delete_message_batch(QueueUrl=url, Entries=done)
            deliveries += len(messages)
        return deliveries

    def _receive(self) -> "list[MessageTypeDef]":
        return self.sqs.receive_message(
            QueueUrl=self.urls["RefreshQueue"],
            MaxNumberOfMessages=AT_ONCE,
            VisibilityTimeout=600,
            MessageSystemAttributeNames=["ApproximateReceiveCount"],
        ).get("Messages", [])


def _record(message: "MessageTypeDef") -> dict[str, Any]:
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message["Attributes"],
        "messageAttributes": {},
        "eventSource": "aws:sqs",
    }


@pytest.fixture
def queues(monkeypatch: pytest.MonkeyPatch) -> Iterator[Queues]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        sqs = boto3.client("sqs", region_name="us-east-1")
        names = ("RefreshQueue", "RefreshQueueDead")
        yield Queues(sqs, {name: sqs.create_queue(QueueName=name)["QueueUrl"] for name in names})


@pytest.fixture
def bills(world: World, queues: Queues, monkeypatch: pytest.MonkeyPatch) -> FlakyBills:
    flaky = FlakyBills(set(POISON), {link_id: 1 + n % (MAX_DELIVERIES - 1) for n, link_id in enumerate(PASSING)})
    world.bills = flaky
    dead = DeadLetterQueue(queues.urls["RefreshQueueDead"], MAX_DELIVERIES, FakeClock(), lambda: queues.sqs)
    monkeypatch.setattr(bootstrap, "refreshing", lambda: world.refreshing)
    monkeypatch.setattr(bootstrap, "dead_letters", lambda: dead)
    return flaky


def test_all_good_ones_are_done_and_poison_is_buried_until_it_is_mended(
    world: World, queues: Queues, bills: FlakyBills
) -> None:
    refused = sum(bills.passing.values())
    bodies = [event.to_json() for event in EVENTS.values()]

    deliveries = 0
    for start in range(0, MESSAGES, AT_ONCE):  # moto gets slow with the length of a queue
        queues.send(bodies[start : start + AT_ONCE])
        deliveries += queues.drain()

    done = Counter(result.link_id for result in world.broker.results)
    assert done == Counter(link_id for link_id in LINKS if link_id not in POISON)
    assert deliveries == MESSAGES + refused + len(POISON) * (MAX_DELIVERIES - 1)
    dead_letters = DeadLetterQueues(queues.sqs, queues.urls)
    buried = dead_letters.look("RefreshQueueDead", MESSAGES)
    assert len(buried) == len(POISON) == MESSAGES * 5 // 100
    assert {(each.reason, each.handler, each.deliveries) for each in buried} == {("internal", "refresh", "5")}

    bills.poison.clear()
    assert dead_letters.redrive("RefreshQueue", "RefreshQueueDead", MESSAGES) == len(POISON)
    assert queues.drain() == len(POISON)

    assert dead_letters.count("RefreshQueueDead") == 0
    assert Counter(result.link_id for result in world.broker.results) == Counter(LINKS)
