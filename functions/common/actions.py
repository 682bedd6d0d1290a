"""Security and admin actions, told to whoever keeps the audit (ADR 18).

Handed over to the broker without waiting for it, and never failing: no login waits for an audit, and none is refused
for want of one. What is lost for that stands in the log, as does every admin's request anyway.
"""

import hashlib
import logging
import re
from collections.abc import Mapping
from typing import Protocol

from functions.common import logs
from functions.common.clock import Clock
from functions.common.context import caller_address
from functions.common.errors import AppError
from functions.common.rpc.client import Stub
from functions.contracts.events.envelope import wrap
from functions.contracts.events.security import Action, SecurityActionRecordedV1
from functions.contracts.rpc.broker_pb2 import Event, PublishRequest

log = logging.getLogger(__name__)

UNKNOWN = "unknown"
OPERATOR = "operator"
"""Who has the right to run commands on the platform, as `make admin`."""
_ID = re.compile(r"[A-Za-z0-9_-]{1,80}")


class Actions(Protocol):
    def record(
        self, action: Action, user_id: str, *, actor: str | None = None, target: str = "", status: int | None = None
    ) -> None:
        """Tells of an action that concerns `user_id`, who is the actor unless another is named; "" is nobody we know.

        Does not wait for it to be kept, and never fails.
        """
        ...


class PostedActions:
    def __init__(self, broker: Stub, clock: Clock) -> None:
        self._broker = broker
        self._clock = clock

    def record(
        self, action: Action, user_id: str, *, actor: str | None = None, target: str = "", status: int | None = None
    ) -> None:
        address = caller_address()
        data = SecurityActionRecordedV1(
            user_id=user_id,
            action=action,
            actor=user_id if actor is None else actor,
            address=address if user_id or not address else digest(address),
            target=target,
            status=status,
        )
        event = wrap(data, self._clock.now())
        told = Event(event_id=event.id, type=event.type, cloud_event=event.to_json().encode())
        try:
            self._broker.post("Publish", PublishRequest(events=[told]))
        except AppError as error:
            names = logs.fields(action=action, user_id=user_id or None, reason=error.code)
            log.warning("action_not_recorded", extra=names)


def digest(text: str) -> str:
    """In place of what concerns nobody we know, so that the same is known again."""
    return hashlib.sha256(text.encode()).hexdigest()[:40]


def place(method: str, route: str, path_params: Mapping[str, str]) -> str:
    """`PATCH /providers/prv_clearwater`: what an admin's request was for. Only ids are told; what else stands in a
    path, as an account number, stays the name of its place."""
    for name, value in path_params.items():
        if name.endswith("_id") and _ID.fullmatch(value):
            route = route.replace(f"{{{name}}}", value)
    return f"{method} {route}"
