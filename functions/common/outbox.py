"""No event is lost: a write that emits keeps its events in the same item until the broker has taken them (ADR 0004).

The item's `outbox` holds the events as JSON, its `outbox_shard` puts it into a sparse index. After the write the
service calls
`Outbox.send`; when that fails, the sweep comes by with `Outbox.flush`. Events may go out twice, never not at all.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from functions.common import logs
from functions.common.errors import AppError
from functions.common.publisher import Publisher
from functions.contracts.events.envelope import CloudEvent, parse

log = logging.getLogger(__name__)

OUTBOX_SHARDS = 8


@dataclass(frozen=True, slots=True)
class Pending:
    """An item with unsent events. `key` and `version` are the store's own; a sent item is cleared only at that
    version."""

    key: tuple[str, ...]
    version: int
    events: tuple[str, ...]


class OutboxStore(Protocol):
    """What a repository offers so that its items' events get out."""

    def pending_events(self, limit: int) -> Sequence[Pending]:
        """Items whose events have waited for a while, at most `limit`, by the sparse index."""
        ...

    def clear_outbox(self, pending: Pending) -> None:
        """Forgets the events, unless the item changed since: then its events stay, and go out again."""
        ...


class Outbox:
    def __init__(self, store: OutboxStore, publisher: Publisher) -> None:
        self._store = store
        self._publisher = publisher

    def send(self, items: Sequence[Pending]) -> int:
        """Publishes the events of items just written, in one call. Answers how many items got rid of theirs."""
        events = [parse(document) for item in items for document in item.events]
        failed = self._publish(events) if events else frozenset[str]()
        done = [item for item in items if item.events and not failed & {parse(d).id for d in item.events}]
        return sum(self._clear(item) for item in done)

    def flush(self, limit: int) -> tuple[int, bool]:
        """Publishes what was left behind. Answers how many items, and whether there may be more."""
        items = self._store.pending_events(limit)
        sent = self.send(items)
        return sent, len(items) == limit and sent > 0

    def _clear(self, item: Pending) -> bool:
        try:
            self._store.clear_outbox(item)
        except AppError as error:
            # The write stands and the events are out; the sweep sends them once more.
            log.warning("outbox_not_cleared", extra=logs.fields(code=error.code))
            return False
        return True

    def _publish(self, events: Sequence[CloudEvent]) -> frozenset[str]:
        try:
            return self._publisher.publish(events)
        except AppError as error:
            # The events are safe in their items: the write stands, and the sweep sends them.
            log.warning("publish_deferred", extra=logs.fields(events=len(events), code=error.code))
            return frozenset(event.id for event in events)
