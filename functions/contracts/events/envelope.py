"""Every event is a CloudEvents 1.0 JSON document (https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md).

`wrap` makes one of typed data, `unwrap` gives the typed data back. A type's name carries its domain and version; a
published type is never edited: a changed one gets the next version.
"""

from datetime import datetime
from typing import ClassVar, TypeVar

import msgspec

from functions.common.clock import rfc3339
from functions.common.context import correlation_id, traceparent
from functions.common.ids import new_id


class EventData(msgspec.Struct, frozen=True, kw_only=True):
    """Base of every event's data. `TYPE` is the CloudEvents type, `SOURCE` the service that owns it."""

    TYPE: ClassVar[str]
    SOURCE: ClassVar[str]

    @property
    def subject(self) -> str:
        """Id of what the event is about."""
        raise NotImplementedError


class CloudEvent(msgspec.Struct, frozen=True, kw_only=True):
    specversion: str = "1.0"
    id: str
    source: str
    type: str
    subject: str
    time: str
    datacontenttype: str = "application/json"
    correlationid: str
    traceparent: str = ""
    """Of the step that told of it (CloudEvents' distributed tracing extension); empty in events from before there was
    one."""
    data: msgspec.Raw

    def to_json(self) -> str:
        return msgspec.json.encode(self).decode()


D = TypeVar("D", bound=EventData)


def wrap(data: EventData, at: datetime) -> CloudEvent:
    """A new event that says `data` happened `at`; belongs to the present correlation id."""
    return CloudEvent(
        id=new_id("evt"),
        source=f"/billing/{data.SOURCE}",
        type=data.TYPE,
        subject=data.subject,
        time=rfc3339(at),
        correlationid=correlation_id(),
        traceparent=traceparent(),
        data=msgspec.Raw(msgspec.json.encode(data)),
    )


def parse(document: bytes | str) -> CloudEvent:
    """Raises msgspec.ValidationError or msgspec.DecodeError when `document` is no CloudEvent."""
    return msgspec.json.decode(document, type=CloudEvent)


def unwrap(event: CloudEvent, cls: type[D]) -> D:
    """The typed data of `event`. Raises msgspec.ValidationError when it does not fit `cls`."""
    return msgspec.json.decode(event.data, type=cls)
