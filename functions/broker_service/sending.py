"""Use cases of the function that sends to webhooks: tell of an event, send what is due; and a user's own data.

A delivery is written before it is sent, leased for as long as that takes, and written again with what came of it. So an
event that comes twice is told once, and a function that dies in between loses nothing: the sweep finds the delivery
when its lease has ended.
"""

import contextvars
import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Protocol

import msgspec

from functions.broker_service.model import UserId
from functions.broker_service.webhook_model import (
    LEASE,
    Attempt,
    Delivery,
    DeliveryId,
    Failure,
    Webhook,
    WebhookId,
    WebhookState,
    pause_after,
    verdict,
)
from functions.broker_service.webhooks import EVENT_TYPES
from functions.common import logs, personal
from functions.common.clock import Clock
from functions.common.context import invocation, remaining_seconds
from functions.common.errors import AppError, FieldError, InvalidInput
from functions.contracts.events.catalogue import CATALOGUE
from functions.contracts.events.envelope import CloudEvent, unwrap

log = logging.getLogger(__name__)

AT_ONCE = 16
"""Deliveries that are leased at a time."""
ATTEMPT_SECONDS = 10.0
RECORD_SECONDS = 2.0
"""Kept of a call's time for what follows an attempt."""
UNANSWERED = frozenset({Failure.TIMEOUT, Failure.UNREACHABLE})


class DeliveryTable(Protocol):
    def webhooks(self, user_id: UserId) -> Sequence[Webhook]: ...

    def webhook(self, user_id: UserId, webhook_id: WebhookId) -> Webhook | None: ...

    def change(self, before: Webhook, after: Webhook) -> bool:
        """False when it has gone or changed since."""
        ...

    def add_delivery(self, delivery: Delivery) -> bool:
        """False when the webhook has gone, or has this delivery already."""
        ...

    def change_delivery(self, before: Delivery, after: Delivery) -> bool:
        """False when it has gone or moved since."""
        ...

    def lease(
        self, user_id: UserId, webhook_id: WebhookId, delivery_id: DeliveryId, now: datetime, until: datetime
    ) -> Delivery | None:
        """None when there is no such delivery, it is not due, or somebody else was faster."""
        ...

    def lease_due(self, now: datetime, until: datetime, limit: int) -> tuple[Sequence[Delivery], bool]:
        """Deliveries whose time has come, at most `limit`, and whether there may be more."""
        ...

    def held(self, user_id: UserId, after: str) -> Iterator[tuple[str, Webhook | Delivery]]:
        """All that is kept of a user, with a key that orders it, from behind `after`."""
        ...

    def mark_gone(self, user_id: UserId) -> None:
        """From now on no webhook of the user is added."""
        ...

    def delete(self, user_id: UserId, limit: int) -> int:
        """Deletes at most `limit` of the user's items, webhooks first; answers how many."""
        ...


class Sender(Protocol):
    def send(self, webhook: Webhook, delivery: Delivery, seconds: float) -> Attempt:
        """One attempt, over after `seconds`. Raises Unavailable when the secret cannot be opened now."""
        ...


class Sending:
    def __init__(
        self,
        *,
        table: DeliveryTable,
        sender: Sender,
        clock: Clock,
        first_pause: timedelta,
        random: Callable[[], float],
    ) -> None:
        self._table = table
        self._sender = sender
        self._clock = clock
        self._pause: Callable[[int], timedelta] = lambda tries: pause_after(tries, first_pause, random)

    def notify(self, event: CloudEvent) -> int:
        """Tells the user's webhooks that want it; answers how many deliveries are new. Again for the same event: none.

        A webhook whose last attempt failed is left to the sweep: a receiver that is down or slow holds up nobody else's
        events. Raises InvalidInput for an event that no webhook may be told of.
        """
        user_id = _user_of(event)
        wanting = [webhook for webhook in self._table.webhooks(user_id) if webhook.wants(event.type)]
        new = [
            (webhook, delivery)
            for webhook, delivery in ((webhook, self._delivery(webhook, event)) for webhook in wanting)
            if self._table.add_delivery(delivery)
        ]
        self._send_all([delivery for webhook, delivery in new if not webhook.failing_since])
        return len(new)

    def send_due(self, limit: int) -> tuple[int, bool]:
        """Sends what is due, as long as there is time; answers how many were tried, and whether there may be more."""
        tried, more = 0, True
        while more and tried < limit and remaining_seconds() > ATTEMPT_SECONDS + RECORD_SECONDS:
            now = self._clock.now()
            due, more = self._table.lease_due(now, now + LEASE, min(AT_ONCE, limit - tried))
            self._send_all(due)
            tried += len(due)
        return tried, more and tried > 0

    def send(self, user_id: UserId, webhook_id: WebhookId, delivery_id: DeliveryId) -> bool:
        """Sends one that is due. False: it is not, or somebody else is sending it."""
        now = self._clock.now()
        delivery = self._table.lease(user_id, webhook_id, delivery_id, now, now + LEASE)
        if delivery is not None:
            self._send_all([delivery])
        return delivery is not None

    def export_user(self, user_id: UserId, cursor: str) -> personal.ExportPage:
        """Never a secret: it is the receiver's, who has it, and it lets nobody in here."""
        records = (
            personal.Record(key, "webhooks" if isinstance(held, Webhook) else "deliveries", _shown(held))
            for key, held in self._table.held(user_id, personal.after(cursor))
        )
        return personal.export_page(["webhooks", "deliveries"], records)

    def purge_user(self, user_id: UserId) -> tuple[int, bool]:
        """How many items went, and whether there are more. Marked first: a webhook that is added later is refused."""
        self._table.mark_gone(user_id)
        deleted = self._table.delete(user_id, personal.PURGED_AT_ONCE)
        log.info("user_purged", extra=logs.fields(items=deleted))
        return deleted, deleted == personal.PURGED_AT_ONCE

    def _delivery(self, webhook: Webhook, event: CloudEvent) -> Delivery:
        now = self._clock.now()
        body = msgspec.json.encode({"type": event.type, "timestamp": event.time, "data": event.data})
        return Delivery(
            delivery_id=DeliveryId(event.id),
            webhook_id=webhook.webhook_id,
            user_id=webhook.user_id,
            event_type=event.type,
            body=body.decode(),
            next_attempt_at=now if webhook.failing_since else now + LEASE,
            created_at=now,
            correlation_id=event.correlationid,
            traceparent=event.traceparent,
        )

    def _send_all(self, deliveries: Sequence[Delivery]) -> None:
        """Webhooks side by side, those of one webhook one after the other."""
        by_webhook: dict[WebhookId, list[Delivery]] = {}
        for delivery in deliveries:
            by_webhook.setdefault(delivery.webhook_id, []).append(delivery)
        if not by_webhook:
            return
        with ThreadPoolExecutor(len(by_webhook), thread_name_prefix="webhook") as pool:
            futures = [
                pool.submit(contextvars.copy_context().run, self._send_in_turn, waiting)
                for waiting in by_webhook.values()
            ]
        for future in futures:
            future.result()

    def _send_in_turn(self, deliveries: Sequence[Delivery]) -> None:
        """Up to the first that is not answered: a receiver that is down or slow costs a round one attempt, however
        much waits for it. What is left stays leased, and is due again when the lease ends."""
        for number, delivery in enumerate(deliveries):
            seconds = remaining_seconds()
            if number and seconds <= ATTEMPT_SECONDS + RECORD_SECONDS:
                return
            if not self._send(delivery, seconds):
                return

    def _send(self, delivery: Delivery, seconds: float) -> bool:
        """Under the correlation id and the trace of what it tells of. False when there was no answer."""
        with invocation(delivery.correlation_id, seconds, delivery.traceparent):
            try:
                return self._attempt(delivery).failure not in UNANSWERED
            except AppError as error:
                # It stays leased, and is due again when the lease ends.
                fields = logs.fields(
                    webhook_id=delivery.webhook_id, delivery_id=delivery.delivery_id, reason=error.code
                )
                log.warning("delivery_deferred", extra=fields)
                return False

    def _attempt(self, delivery: Delivery) -> Attempt:
        webhook = self._table.webhook(delivery.user_id, delivery.webhook_id)
        if webhook is None or (webhook.state is WebhookState.DISABLED and not delivery.test):
            attempt = Attempt(at=self._clock.now(), failure=Failure.DISABLED)
        else:
            seconds = min(ATTEMPT_SECONDS, max(1.0, remaining_seconds() - RECORD_SECONDS))
            attempt = self._sender.send(webhook, delivery, seconds)
        after = delivery.after(attempt, self._pause)
        recorded = self._table.change_delivery(delivery, after)
        log.info(
            "delivery",
            extra=logs.fields(
                webhook_id=delivery.webhook_id,
                delivery_id=delivery.delivery_id,
                state=after.state,
                failure=attempt.failure,
                status=attempt.status,
                tries=after.tries,
            ),
        )
        if webhook is not None and recorded:
            self._judge(webhook, after)
        return attempt

    def _judge(self, webhook: Webhook, delivery: Delivery) -> None:
        judged = verdict(webhook, delivery)
        if judged == webhook or not self._table.change(webhook, judged):
            return  # one that changed meanwhile is judged by its next delivery
        if judged.state is not webhook.state:
            log.warning(
                "webhook_state",
                extra=logs.fields(webhook_id=webhook.webhook_id, state=judged.state, reason=judged.disabled_reason),
            )


def _user_of(event: CloudEvent) -> UserId:
    if event.type not in EVENT_TYPES:
        raise InvalidInput.of(FieldError("cloud_event", "unknown_type", f"No webhook is told of {event.type}."))
    try:
        data = unwrap(event, CATALOGUE[event.type])
    except msgspec.MsgspecError as error:
        raise InvalidInput.of(FieldError("cloud_event", "invalid", f"The data is no {event.type}: {error}.")) from error
    return UserId(str(getattr(data, "user_id")))  # noqa: B009 - every event of the catalogue has one (contract test)


def _shown(held: Webhook | Delivery) -> dict[str, object]:
    shown: dict[str, object] = msgspec.to_builtins(held, builtin_types=(datetime, bytes))
    return {name: value for name, value in shown.items() if name not in {"secrets", "traceparent"}}
