"""What goes onto the topic: events as the catalogue has them, and nothing else."""

import logging
from collections.abc import Sequence

import msgspec

from functions.common import logs
from functions.common.publisher import Publisher
from functions.contracts.events.catalogue import CATALOGUE
from functions.contracts.events.envelope import CloudEvent, unwrap

log = logging.getLogger(__name__)


class Emitter:
    """The platform's one way out for events: lets only those through that are what the catalogue says."""

    def __init__(self, topic: Publisher) -> None:
        self._topic = topic

    def publish(self, events: Sequence[CloudEvent]) -> frozenset[str]:
        """Ids of the events that were not taken. One unlike its type is none of the others' business: they may come
        from other items' outboxes. Raises Unavailable when none of the rest was taken."""
        refused = frozenset(event.id for event in events if _refused(event))
        good = [event for event in events if event.id not in refused]
        return refused | self._topic.publish(good) if good else refused


def _refused(event: CloudEvent) -> bool:
    if mistake := _mistake(event):
        code, reason = mistake
        log.error("event_refused", extra=logs.fields(event_id=event.id, type=event.type, code=code, reason=reason))
    return mistake is not None


def _mistake(event: CloudEvent) -> tuple[str, str] | None:
    """Code and message of what is wrong with an event, if anything is."""
    if event.type not in CATALOGUE:
        return "unknown_type", f"There is no event {event.type}."
    try:
        unwrap(event, CATALOGUE[event.type])
    except msgspec.MsgspecError as error:
        return "invalid", f"The data is no {event.type}: {error}."
    return None
