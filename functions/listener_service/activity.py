"""Use cases of the audit: every event is kept, read by the user whom it concerns, and goes with them."""

import logging
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Protocol

from functions.common import cursor as cursors
from functions.common import logs, personal
from functions.common.clock import Clock
from functions.common.errors import FieldError, InvalidInput
from functions.contracts.events.envelope import CloudEvent
from functions.listener_service.entries import entry_of
from functions.listener_service.model import Entry, UserId

log = logging.getLogger(__name__)

LOOKED_AT = 1_000
"""Entries that one page looks at, at most: of a rare type it may be short, and its cursor goes on from there."""

_KEY = re.compile(r"[0-9TZ:.-]{20,30}#[A-Za-z0-9_-]{1,64}")


class AuditTable(Protocol):
    def append(self, entry: Entry) -> None:
        """Again changes nothing; for a user who is gone nothing is kept."""
        ...

    def newest(self, user_id: UserId, before: str, page: int) -> Iterator[Entry]:
        """The user's entries, the newest first, `page` of them at a time; with `before`, those whose key is smaller."""
        ...

    def held(self, user_id: UserId, after: str) -> Iterator[Entry]:
        """The user's entries, the oldest first, those whose key is greater than `after`."""
        ...

    def mark_gone(self, user_id: UserId) -> None:
        """From now on nothing of the user is kept."""
        ...

    def delete(self, user_id: UserId, limit: int) -> int:
        """Deletes at most `limit` of the user's entries; answers how many."""
        ...


class Auditing:
    def __init__(self, table: AuditTable, kept: timedelta) -> None:
        """`kept`: how long after it happened."""
        self._table = table
        self._kept = kept

    def audit(self, event: CloudEvent) -> None:
        """Keeps the event. Raises AppError when it must be tried again."""
        self._table.append(entry_of(event, self._kept))


@dataclass(frozen=True, slots=True)
class ActivityPage:
    items: tuple[Entry, ...]
    next_cursor: str | None


class Activity:
    def __init__(self, table: AuditTable, clock: Clock) -> None:
        self._table = table
        self._clock = clock

    def list_activity(self, user_id: UserId, limit: int, cursor: str = "", only: str = "") -> ActivityPage:
        """What happened to the user, the newest first; with `only`, events of that type. Raises InvalidInput."""
        items: list[Entry] = []
        last, now = "", self._clock.now()
        for looked_at, entry in enumerate(self._table.newest(user_id, _before(cursor), limit + 1)):
            if len(items) == limit or looked_at == LOOKED_AT:
                return ActivityPage(tuple(items), cursors.encode({"before": last}))
            last = entry.key
            if entry.expires_at > now and only in ("", entry.type):
                items.append(entry)
        return ActivityPage(tuple(items), None)


class PersonalActivity:
    """What users may ask of everything that is kept of them: to see it, and to have it deleted."""

    def __init__(self, table: AuditTable, clock: Clock) -> None:
        self._table = table
        self._clock = clock

    def export_user(self, user_id: UserId, cursor: str) -> personal.ExportPage:
        now = self._clock.now()
        held = self._table.held(user_id, personal.after(cursor))
        records = (personal.Record(entry.key, "items", asdict(entry)) for entry in held if entry.expires_at > now)
        return personal.export_page(["items"], records)

    def purge_user(self, user_id: UserId) -> tuple[int, bool]:
        """How many entries went, and whether there are more. Marked first: what comes later is not kept."""
        self._table.mark_gone(user_id)
        deleted = self._table.delete(user_id, personal.PURGED_AT_ONCE)
        log.info("user_purged", extra=logs.fields(items=deleted))
        return deleted, deleted == personal.PURGED_AT_ONCE


def _before(cursor: str) -> str:
    if not cursor:
        return ""
    key = cursors.decode(cursor)
    if key.keys() != {"before"} or not _KEY.fullmatch(key["before"]):
        raise InvalidInput.of(FieldError("cursor", "invalid", "This is no cursor that this list gave out."))
    return key["before"]
