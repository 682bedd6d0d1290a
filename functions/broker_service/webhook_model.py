"""Webhooks: endpoints that users have told of events, and what became of each telling.

Standard Webhooks (https://www.standardwebhooks.com) says how a delivery looks. A webhook is told of an event once: a
delivery's id is the event's, and stays the same however often it is tried.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NewType

from functions.broker_service.model import UserId

WebhookId = NewType("WebhookId", str)
DeliveryId = NewType("DeliveryId", str)
"""The id of the event that it tells of: receivers drop by it what they have seen."""

ATTEMPTS = 9
FACTOR = 3
LONGEST_PAUSE = timedelta(hours=8)
"""With a minute as the first pause: 1, 3, 9, 27, 81 minutes, 4, 8 and 8 hours, a day in all."""
JITTER = 0.2
LEASE = timedelta(minutes=1)
"""How long a delivery that is being sent is left alone: longer than an attempt may take."""
BOTH_SECRETS = timedelta(hours=24)
"""How long the secret before signs along, so that a receiver can change over."""
KEPT = timedelta(days=30)
KEPT_ATTEMPTS = 20
GONE_STATUS = 410


class WebhookState(StrEnum):
    ACTIVE = "active"
    DISABLED = "disabled"


class DisabledReason(StrEnum):
    GONE = "gone"
    """The receiver answered 410 Gone."""
    FAILING = "failing"
    """A delivery failed for a day, and nothing else got through in that time."""


class DeliveryState(StrEnum):
    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


class Failure(StrEnum):
    """Why an attempt is no success."""

    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    NOT_ALLOWED = "not_allowed"
    """The address leads to where the platform does not connect."""
    REDIRECT = "redirect"
    REFUSED = "refused"
    """Any other answer than 2xx."""
    DISABLED = "webhook_disabled"
    """Not tried."""


@dataclass(frozen=True, slots=True)
class SealedSecret:
    """A signing secret that only the function that sends may open."""

    ciphertext: bytes = field(repr=False)
    ends_at: datetime | None = None
    """None: it is the newest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    webhook_id: WebhookId
    user_id: UserId
    url: str
    event_types: tuple[str, ...]
    description: str = ""
    secrets: tuple[SealedSecret, ...]
    """Newest first."""
    state: WebhookState = WebhookState.ACTIVE
    disabled_reason: DisabledReason | None = None
    failing_since: datetime | None = None
    """The first failed attempt after the last that succeeded."""
    created_at: datetime

    def wants(self, event_type: str) -> bool:
        return self.state is WebhookState.ACTIVE and event_type in self.event_types

    def signing(self, now: datetime) -> Sequence[SealedSecret]:
        return [secret for secret in self.secrets if secret.ends_at is None or secret.ends_at > now]

    def rotated(self, fresh: SealedSecret, now: datetime) -> "Webhook":
        """With a new secret; of those before, the last goes on for a while."""
        return replace(self, secrets=(fresh, replace(self.secrets[0], ends_at=now + BOTH_SECRETS)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    at: datetime
    status: int = 0
    """HTTP status of the answer; 0: there was none."""
    failure: Failure | None = None
    milliseconds: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    delivery_id: DeliveryId
    webhook_id: WebhookId
    user_id: UserId
    event_type: str
    body: str
    """The very text that is signed and sent, each time."""
    test: bool = False
    """Asked for by the user to try the endpoint: sent once, also to a webhook that is disabled."""
    state: DeliveryState = DeliveryState.PENDING
    attempts: tuple[Attempt, ...] = ()
    """The last of them, oldest first."""
    tries: int = 0
    """Attempts since it was made or last asked for again."""
    next_attempt_at: datetime | None
    """None once it is done."""
    created_at: datetime
    correlation_id: str
    traceparent: str

    def after(self, attempt: Attempt, pause: Callable[[int], timedelta]) -> "Delivery":
        """How it stands after an attempt. `pause`: how long to wait after so many."""
        tries = self.tries + 1
        tried = replace(self, tries=tries, attempts=(*self.attempts, attempt)[-KEPT_ATTEMPTS:])
        if attempt.failure is None:
            return replace(tried, state=DeliveryState.DELIVERED, next_attempt_at=None)
        if tries >= (1 if self.test else ATTEMPTS) or attempt.failure is Failure.DISABLED:
            return replace(tried, state=DeliveryState.FAILED, next_attempt_at=None)
        return replace(tried, next_attempt_at=attempt.at + pause(tries))

    def again(self, at: datetime) -> "Delivery":
        """To be sent once more from `at` on, as if it were new."""
        return replace(self, state=DeliveryState.PENDING, tries=0, next_attempt_at=at)


def pause_after(tries: int, first: timedelta, random: Callable[[], float]) -> timedelta:
    """Grows with each try, at random a little more, so that what failed together does not come back together."""
    grown: timedelta = min(first * FACTOR ** (tries - 1), LONGEST_PAUSE)
    return grown * (1 + JITTER * random())


def verdict(webhook: Webhook, delivery: Delivery) -> Webhook:
    """What a delivery's last attempt says of its webhook. Attempts of tests that fail say nothing."""
    last = delivery.attempts[-1]
    if last.failure is None:
        return replace(webhook, state=WebhookState.ACTIVE, disabled_reason=None, failing_since=None)
    if last.failure is Failure.DISABLED:
        return webhook
    if last.status == GONE_STATUS:
        return replace(webhook, state=WebhookState.DISABLED, disabled_reason=DisabledReason.GONE)
    if delivery.test:
        return webhook
    since = webhook.failing_since or last.at
    first = delivery.attempts[-min(delivery.tries, len(delivery.attempts))].at
    if delivery.state is DeliveryState.FAILED and since <= first:
        return replace(
            webhook, state=WebhookState.DISABLED, disabled_reason=DisabledReason.FAILING, failing_since=since
        )
    return replace(webhook, failing_since=since)
