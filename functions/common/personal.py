"""What the RPCs ExportUser and PurgeUser of all services share.

An export comes in pages: an answer of a Lambda function ends at 6 MB, 4.4 in base64, and 10 000 bills are more than
that. A page ends by its size, so that neither many small records nor few large ones are too much.

A purged user leaves a mark where something could come late: without it, a request or an event that was under way would
write anew what has just been deleted. The mark holds nothing but the user's id and the day of its own end.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from functions.common import cursor as cursors
from functions.common.clock import rfc3339

PAGE_BYTES = 2_000_000
PURGED_AT_ONCE = 1_000
"""Items that one call of PurgeUser deletes, so that it ends within its function's time."""
GONE = "user#gone"
"""Sort key of the mark."""
GONE_LIFETIME = timedelta(days=30)
"""Two weeks in a queue and two weeks in its dead-letter queue is how late an event can come."""


@dataclass(frozen=True, slots=True)
class Record:
    """One thing that is held on a user. `key` orders the records; `kind` is the list that it stands in."""

    key: str
    kind: str
    data: object
    """What msgspec encodes."""


@dataclass(frozen=True, slots=True)
class ExportPage:
    json: bytes
    next_cursor: str
    """Empty on the last page."""


def export_page(kinds: Iterable[str], records: Iterable[Record], page_bytes: int = PAGE_BYTES) -> ExportPage:
    """As many records as fill a page, at least one. `kinds` have a list even when there is nothing in it."""
    lists: dict[str, list[msgspec.Raw]] = {kind: [] for kind in kinds}
    filled, last = 0, ""
    for record in records:
        if filled >= page_bytes:
            return ExportPage(msgspec.json.encode(lists), cursors.encode({"after": last}))
        text = msgspec.json.encode(_plain(msgspec.to_builtins(record.data, builtin_types=(datetime,))))
        lists[record.kind].append(msgspec.Raw(text))
        filled, last = filled + len(text), record.key
    return ExportPage(msgspec.json.encode(lists), "")


def after(cursor: str) -> str:
    """Key of the last record of the page before; empty for the first page. Raises InvalidInput."""
    return cursors.decode(cursor).get("after", "") if cursor else ""


def _plain(data: object) -> object:
    """With instants spelt as everywhere else."""
    if isinstance(data, dict):
        return {name: _plain(value) for name, value in data.items()}
    if isinstance(data, list | tuple):
        return [_plain(value) for value in data]
    return rfc3339(data) if isinstance(data, datetime) else data
