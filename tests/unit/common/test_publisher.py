import json
from datetime import UTC, datetime

import pytest
from google.protobuf.message import Message

from functions.common.errors import Unavailable
from functions.common.publisher import BrokerPublisher
from functions.common.rpc.client import Stub
from functions.common.rpc.server import LambdaRpcHandler
from functions.contracts.events.accounts import AccountLinkedV1
from functions.contracts.events.envelope import wrap
from functions.contracts.rpc import broker_pb2
from tests.support.fakes import LoopbackChannel

BROKER = broker_pb2.DESCRIPTOR.services_by_name["Broker"]
EVENTS = [
    wrap(
        AccountLinkedV1(user_id="usr_1", link_id=link, provider_id="prv_a", state="PENDING", version=1),
        datetime(2026, 3, 1, tzinfo=UTC),
    )
    for link in ("lnk_1", "lnk_2")
]


class Broker:
    def __init__(self) -> None:
        self.taken: list[broker_pb2.Event] = []
        self.refused: list[str] = []

    def Publish(self, request: broker_pb2.PublishRequest, context: object) -> Message:
        self.taken += request.events
        return broker_pb2.PublishReply(failed_event_ids=self.refused)


@pytest.fixture
def broker() -> Broker:
    return Broker()


@pytest.fixture
def channel(broker: Broker) -> LoopbackChannel:
    return LoopbackChannel(LambdaRpcHandler(BROKER, lambda: broker, {}))


def test_events_are_handed_over_whole(broker: Broker, channel: LoopbackChannel) -> None:
    assert BrokerPublisher(Stub(BROKER, channel)).publish(EVENTS) == frozenset()

    assert [(event.event_id, event.type) for event in broker.taken] == [(e.id, "account.linked.v1") for e in EVENTS]
    assert json.loads(broker.taken[0].cloud_event)["data"]["link_id"] == "lnk_1"


def test_the_ids_of_events_that_were_not_taken_come_back(broker: Broker, channel: LoopbackChannel) -> None:
    broker.refused = [EVENTS[1].id]

    assert BrokerPublisher(Stub(BROKER, channel)).publish(EVENTS) == {EVENTS[1].id}


def test_a_broker_that_is_down_is_the_callers_matter(channel: LoopbackChannel) -> None:
    channel.down = True

    with pytest.raises(Unavailable):
        BrokerPublisher(Stub(BROKER, channel)).publish(EVENTS)
