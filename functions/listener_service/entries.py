"""How an event reads in the audit. Of every type alike, known here or not: whoever adds a type need not think of it."""

from collections.abc import Mapping
from datetime import datetime, timedelta

import msgspec

from functions.common.clock import parse_rfc3339
from functions.common.worker import UnknownEventError
from functions.contracts.events.accounts import AccountLinkedV1, AccountUnlinkedV1
from functions.contracts.events.envelope import CloudEvent
from functions.contracts.events.security import SecurityActionRecordedV1
from functions.contracts.events.users import UserDeletedV1
from functions.listener_service.model import PLATFORM, Entry, EventId, UserId

USERS_OWN_ACTS = {AccountLinkedV1.TYPE, AccountUnlinkedV1.TYPE, UserDeletedV1.TYPE}
TELLING = ("state", "reason", "due_date", "target")
"""The first of these that the data have says more of what happened than the type."""
WHO = ("reason", "said_by")
"""Fields that say who caused it: `user`, or somebody else by that name."""

Data = Mapping[str, object]


def entry_of(event: CloudEvent, kept: timedelta) -> Entry:
    """Raises MsgspecError for data that are no object, UnknownEventError for an event at no time."""
    data = msgspec.json.decode(event.data, type=dict[str, object])
    at = _time(event)
    return Entry(
        user_id=UserId(_text(data, "user_id")) if _text(data, "user_id") else PLATFORM,
        at=at,
        event_id=EventId(event.id),
        type=event.type,
        subject=event.subject,
        summary=summary_of(event.type, data),
        actor=actor_of(event, data),
        address=_text(data, "address"),
        correlation_id=event.correlationid,
        data=bytes(event.data).decode(),
        expires_at=at + kept,
    )


def summary_of(type_name: str, data: Data) -> str:
    """`Bill created: 2026-04-01`; of an action its own name, `Login failed`."""
    words = " ".join(type_name.split(".")[:2])
    if type_name == SecurityActionRecordedV1.TYPE:
        words = _text(data, "action")
    said = words.replace("_", " ").capitalize()
    telling = next((_text(data, name) for name in TELLING if _text(data, name)), "")
    status = data.get("status")
    telling += f" → {status}" if isinstance(status, int) else ""
    return f"{said}: {telling}" if telling else said


def actor_of(event: CloudEvent, data: Data) -> str:
    if named := _text(data, "actor"):
        return named
    caused_by = next((_text(data, name) for name in WHO if _text(data, name)), "")
    if caused_by == "user" or event.type in USERS_OWN_ACTS:
        return _text(data, "user_id")
    return caused_by or event.source.rpartition("/")[2]


def _text(data: Data, name: str) -> str:
    value = data.get(name)
    return value if isinstance(value, str) else ""


def _time(event: CloudEvent) -> datetime:
    try:
        return parse_rfc3339(event.time)
    except ValueError as error:
        raise UnknownEventError(f"audit takes no event without a time: {error}") from error
