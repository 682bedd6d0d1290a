"""Queries and answers of the activity route."""

from typing import TYPE_CHECKING, Annotated

from msgspec import Meta, Struct

from functions.common.clock import rfc3339

if TYPE_CHECKING:
    from functions.listener_service.activity import ActivityPage
    from functions.listener_service.model import Entry


class ActivityQuery(Struct, kw_only=True, frozen=True, rename={"only": "type"}):
    limit: Annotated[int, Meta(ge=1, le=200)] = 50
    cursor: Annotated[str, Meta(min_length=1, max_length=512)] | None = None
    only: Annotated[str, Meta(pattern=r"^[a-z_]{1,40}\.[a-z_]{1,40}\.v[0-9]{1,3}$")] | None = None
    """Events of this type alone, e.g. security.action_recorded.v1."""


class ActivityEntry(Struct, kw_only=True):
    at: str
    event_id: str
    type: str
    subject: str
    summary: str
    actor: str
    address: str | None
    """IP address that it came from, where it came from one."""
    correlation_id: str

    @classmethod
    def of(cls, entry: "Entry") -> "ActivityEntry":
        return cls(
            at=rfc3339(entry.at),
            event_id=entry.event_id,
            type=entry.type,
            subject=entry.subject,
            summary=entry.summary,
            actor=entry.actor,
            address=entry.address or None,
            correlation_id=entry.correlation_id,
        )


class ActivityReply(Struct, kw_only=True):
    items: list[ActivityEntry]
    """Newest first."""
    next_cursor: str | None

    @classmethod
    def of(cls, page: "ActivityPage") -> "ActivityReply":
        return cls(items=[ActivityEntry.of(entry) for entry in page.items], next_cursor=page.next_cursor)
