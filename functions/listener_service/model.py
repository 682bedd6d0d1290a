"""What the audit keeps: one entry for each event."""

from dataclasses import dataclass
from datetime import datetime
from typing import NewType

from functions.common.clock import rfc3339

UserId = NewType("UserId", str)
EventId = NewType("EventId", str)
PLATFORM = UserId("platform")
"""Whom what concerns no user of ours is kept under: nobody's id, so that nobody reads it by the API."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    user_id: UserId
    """Whom it concerns."""
    at: datetime
    event_id: EventId
    type: str
    subject: str
    summary: str
    """In a few words, without anything secret."""
    actor: str
    """A user's id, `operator`, `unknown`, `provider`, `sweep`, or the service that told of it."""
    address: str
    """IP address that it came from; empty where there is none."""
    correlation_id: str
    data: str
    """The event's data, as JSON."""
    expires_at: datetime

    @property
    def key(self) -> str:
        """Orders a user's entries by time; the same for the same event, however often it is delivered."""
        return f"{rfc3339(self.at)}#{self.event_id}"
