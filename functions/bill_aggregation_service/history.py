"""A bill's versions, and what each changed: field by field, in the names of the bill's JSON."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import datetime

from functions.bill_aggregation_service.model import Bill, BillContent
from functions.bill_aggregation_service.quality import quality_notes

INTERNAL = ("assumed", "cancelled", "document_url")
"""Of a content: the first show as quality notes, the last makes no version and is never shown as it is."""
COMPARED = tuple(field.name for field in fields(BillContent) if field.name not in INTERNAL)


@dataclass(frozen=True, slots=True)
class FieldChange:
    field: str
    before: object
    after: object


@dataclass(frozen=True, slots=True)
class Version:
    version: int
    as_of: datetime
    discovered_at: datetime
    changes: tuple[FieldChange, ...]
    """Against the version before; empty of the first one."""


def versions_of(bills: Sequence[Bill], limit: int) -> tuple[Version, ...]:
    """`bills`: one bill's versions, newest first. One more than `limit` tells what the oldest shown one changed."""
    older: list[Bill | None] = [*bills[1:], None]
    pairs = list(zip(bills, older, strict=True))[:limit]
    return tuple(
        Version(bill.version, bill.as_of, bill.versioned_at, tuple(_changes(before, bill)) if before else ())
        for bill, before in pairs
    )


def _changes(before: Bill, after: Bill) -> Iterator[FieldChange]:
    for name in COMPARED:
        was, now = getattr(before.content, name), getattr(after.content, name)
        if was != now:
            yield FieldChange(name, was, now)
    doubted, doubts = _codes(before.content), _codes(after.content)
    if doubted != doubts:
        yield FieldChange("quality_notes", doubted, doubts)


def _codes(content: BillContent) -> tuple[str, ...]:
    return tuple(sorted(note.code for note in quality_notes(content)))
