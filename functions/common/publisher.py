"""Events leave a service through the broker, which alone may publish."""

from collections.abc import Sequence
from typing import Protocol

from functions.common.rpc.client import Stub
from functions.contracts.events.envelope import CloudEvent
from functions.contracts.rpc.broker_pb2 import Event, PublishReply, PublishRequest


class Publisher(Protocol):
    def publish(self, events: Sequence[CloudEvent]) -> frozenset[str]:
        """Hands events over; answers the ids of those that were not taken. Raises AppError when none could be."""
        ...


class BrokerPublisher:
    """`Publisher` over the RPC `Broker.Publish`."""

    def __init__(self, broker: Stub) -> None:
        self._broker = broker

    def publish(self, events: Sequence[CloudEvent]) -> frozenset[str]:
        request = PublishRequest(
            events=[Event(event_id=e.id, type=e.type, cloud_event=e.to_json().encode()) for e in events]
        )
        return frozenset(self._broker.call("Publish", request, PublishReply).failed_event_ids)
