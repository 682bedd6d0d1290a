"""Fakes of 10 to 30 lines for what the code abstracts: clock, publisher, RPC channel."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from functions.common.errors import Unavailable
from functions.common.rpc.envelope import Call, Reply
from functions.common.rpc.server import LambdaRpcHandler
from functions.contracts.events.envelope import CloudEvent
from functions.contracts.events.security import Action


class FakeClock:
    """Stands still until told to move."""

    def __init__(self, now: datetime = datetime(2026, 3, 15, 12, 0, tzinfo=UTC)) -> None:
        self._now = now

    def now(self) -> datetime:
        return self._now

    def advance(self, delta: timedelta) -> None:
        self._now += delta


class FakePublisher:
    """Keeps what was published; `down = True` makes the broker unreachable, `refuse` names event types it does not
    take."""

    def __init__(self) -> None:
        self.events: list[CloudEvent] = []
        self.down = False
        self.refuse: set[str] = set()

    def publish(self, events: Sequence[CloudEvent]) -> frozenset[str]:
        if self.down:
            raise Unavailable("The broker is down.")
        self.events += [event for event in events if event.type not in self.refuse]
        return frozenset(event.id for event in events if event.type in self.refuse)

    @property
    def types(self) -> list[str]:
        return [event.type for event in self.events]


class LoopbackChannel:
    """An RPC channel to a handler in the same process, through the same envelope as over Lambda."""

    def __init__(self, handler: LambdaRpcHandler) -> None:
        self._handler = handler
        self.calls: list[Call] = []
        self.down = False

    def invoke(self, call: Call) -> Reply:
        self.calls.append(call)
        if self.down:
            raise Unavailable("The function is down.")
        return Reply.from_payload(self._handler(call.to_payload(), None))

    def post(self, call: Call) -> None:
        """Carried out at once, but nobody learns what became of it."""
        self.invoke(call)


class FakeDeadLetters:
    """What was given up, by message id. `full`: takes nothing more."""

    def __init__(self, max_deliveries: int = 5) -> None:
        self.max_deliveries = max_deliveries
        self.reasons: dict[str, str] = {}
        self.full = False

    def bury(self, record: Mapping[str, Any], handler: str, reason: str) -> bool:
        if not self.full:
            self.reasons[record["messageId"]] = reason
        return not self.full


@dataclass(frozen=True)
class Recorded:
    action: Action
    user_id: str
    actor: str
    target: str
    status: int | None


class FakeActions:
    """Keeps what was told of security and admin actions."""

    def __init__(self) -> None:
        self.recorded: list[Recorded] = []

    def record(
        self, action: Action, user_id: str, *, actor: str | None = None, target: str = "", status: int | None = None
    ) -> None:
        self.recorded.append(Recorded(action, user_id, user_id if actor is None else actor, target, status))

    @property
    def names(self) -> list[str]:
        return [each.action.value for each in self.recorded]
