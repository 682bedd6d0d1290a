import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError
from moto import mock_aws

from functions.broker_service.topic import MAX_BYTES, SnsTopic, batches
from functions.common.errors import Unavailable
from functions.contracts.events.bills import BillsRefreshRequestedV1
from functions.contracts.events.envelope import CloudEvent, wrap
from tests.support.fakes import FakeClock

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient


def events(count: int, filler: int = 0) -> list[CloudEvent]:
    now = FakeClock().now()
    return [
        wrap(BillsRefreshRequestedV1(user_id="usr_1", link_id=f"lnk_{number}", reason="x" * filler), now)
        for number in range(count)
    ]


class StubbornSns:
    """Refuses entries whose message speaks of one of `refused`; `down` refuses to answer from the n-th call on."""

    def __init__(self, refused: Sequence[str] = (), down_from: int = 99) -> None:
        self.refused = refused
        self.down_from = down_from
        self.calls: list[list[dict[str, Any]]] = []

    def publish_batch(self, **call: Any) -> dict[str, Any]:
        entries = call["PublishBatchRequestEntries"]
        self.calls.append(entries)
        if len(self.calls) >= self.down_from:
            raise EndpointConnectionError(endpoint_url="https://sns")
        failed = [e["Id"] for e in entries if any(name in e["Message"] for name in self.refused)]
        return {"Failed": [{"Id": entry_id, "Code": "InternalError"} for entry_id in failed]}


def a_topic(client: StubbornSns) -> SnsTopic:
    return SnsTopic(client, "arn:aws:sns:us-east-1:123456789012:events")  # type: ignore[arg-type]


def received(sqs: "SQSClient", url: str) -> list[str]:
    bodies: list[str] = []
    while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        bodies += [message["Body"] for message in messages]
    return bodies


@mock_aws
def test_a_queue_gets_what_its_filter_policy_asks_for() -> None:
    sns, sqs = boto3.client("sns"), boto3.client("sqs")
    topic_arn = sns.create_topic(Name="events")["TopicArn"]
    urls = {}
    for event_type in ("bills.refresh_requested.v1", "account.linked.v1"):
        urls[event_type] = sqs.create_queue(QueueName=event_type.replace(".", "-"))["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=urls[event_type], AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        attributes = {"RawMessageDelivery": "true", "FilterPolicy": json.dumps({"type": [event_type]})}
        sns.subscribe(TopicArn=topic_arn, Protocol="sqs", Endpoint=arn, Attributes=attributes)
    published = events(12)

    assert SnsTopic(sns, topic_arn).publish(published) == frozenset()

    bodies = received(sqs, urls["bills.refresh_requested.v1"])
    assert sorted(bodies) == sorted(event.to_json() for event in published)
    assert received(sqs, urls["account.linked.v1"]) == []


def test_batches_hold_ten_events_and_256_kilobytes() -> None:
    assert [len(batch) for batch in batches(events(23))] == [10, 10, 3]
    assert [len(batch) for batch in batches(events(5, filler=100_000))] == [2, 2, 1]
    assert list(batches([])) == []


def test_an_event_that_is_too_large_is_told_and_holds_up_no_other() -> None:
    client = StubbornSns()
    (good,), (huge,) = events(1), events(1, filler=MAX_BYTES)

    assert a_topic(client).publish([huge, good]) == {huge.id}
    assert [[entry["Message"] for entry in call] for call in client.calls] == [[good.to_json()]]

    assert a_topic(client).publish([huge]) == {huge.id}
    assert len(client.calls) == 1
    with pytest.raises(Unavailable):
        a_topic(StubbornSns(down_from=1)).publish([huge, good])


def test_events_that_sns_refused_are_told() -> None:
    published = events(12)

    failed = a_topic(StubbornSns(refused=["lnk_3", "lnk_11"])).publish(published)

    assert failed == {published[3].id, published[11].id}


def test_a_batch_that_did_not_get_through_is_told() -> None:
    published = events(12)

    failed = a_topic(StubbornSns(down_from=2)).publish(published)

    assert failed == {event.id for event in published[10:]}


def test_when_nothing_gets_through_the_topic_is_unavailable() -> None:
    with pytest.raises(Unavailable):
        a_topic(StubbornSns(down_from=1)).publish(events(12))
    with pytest.raises(Unavailable):
        a_topic(StubbornSns(refused=["lnk_"])).publish(events(2))
