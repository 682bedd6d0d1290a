"""Use cases of the users of webhooks: register, look, rotate the secret, try, ask for a delivery again.

This part never opens a secret and never connects to a receiver: what is to be sent is written down, and the function
that sends is told; should that be lost, the sweep has it sent.
"""

import base64
import logging
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import msgspec

from functions.broker_service.model import UserId
from functions.broker_service.webhook_model import (
    Delivery,
    DeliveryId,
    SealedSecret,
    Webhook,
    WebhookId,
)
from functions.common import cursor as cursors
from functions.common import logs
from functions.common.clock import Clock, rfc3339
from functions.common.context import correlation_id, traceparent
from functions.common.egress import Refused, Resolve, check_url
from functions.common.errors import AppError, Conflict, FieldError, InvalidInput, NotFound
from functions.common.ids import is_id, new_id
from functions.common.rpc.client import Stub
from functions.contracts.events.catalogue import CATALOGUE
from functions.contracts.rpc.webhooks_pb2 import SendRequest

log = logging.getLogger(__name__)

EVENT_TYPES = tuple(sorted(name for name in CATALOGUE if name.startswith(("account.", "bill."))))
"""What users may be told of: all that happens to their accounts and bills."""
TEST_TYPE = "webhook.test"
SECRET_BYTES = 24
SECRET_PREFIX = "whsec_"  # noqa: S105 - a prefix
WEBHOOK, EVENT = "whk", "evt"


class WebhookTable(Protocol):
    def add(self, webhook: Webhook) -> None:
        """Raises NotFound when the user was deleted."""
        ...

    def webhooks(self, user_id: UserId) -> Sequence[Webhook]:
        """Oldest first."""
        ...

    def webhook(self, user_id: UserId, webhook_id: WebhookId) -> Webhook | None: ...

    def change(self, before: Webhook, after: Webhook) -> bool:
        """False when it has gone or changed since."""
        ...

    def remove(self, webhook: Webhook) -> bool:
        """With its deliveries. False when it has gone already."""
        ...

    def add_delivery(self, delivery: Delivery) -> bool:
        """False when the webhook has gone, or has this delivery already."""
        ...

    def delivery(self, user_id: UserId, webhook_id: WebhookId, delivery_id: DeliveryId) -> Delivery | None: ...

    def change_delivery(self, before: Delivery, after: Delivery) -> bool:
        """False when it has gone or moved since."""
        ...

    def deliveries(
        self, user_id: UserId, webhook_id: WebhookId, limit: int, before: str
    ) -> tuple[Sequence[Delivery], bool]:
        """Newest first, those before this id (empty: all), and whether there are more."""
        ...


class Sealer(Protocol):
    def seal(self, webhook_id: WebhookId, secret: str) -> bytes:
        """Raises Unavailable when it cannot be done now."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """Where webhooks may lead."""

    sandbox_origin: str = ""
    """The one origin that may be plain HTTP and on this machine; empty: none."""
    resolve: Resolve | None = None


class Webhooks:
    def __init__(
        self, *, table: WebhookTable, sealer: Sealer, sender: Stub, clock: Clock, reach: Reach, max_webhooks: int
    ) -> None:
        self._table = table
        self._sealer = sealer
        self._sender = sender
        self._clock = clock
        self._reach = reach
        self._max_webhooks = max_webhooks

    def create_webhook(
        self, user_id: UserId, url: str, event_types: Sequence[str], description: str
    ) -> tuple[Webhook, str]:
        """The webhook and its secret, which nobody can read again. Raises InvalidInput for an URL that the platform
        does not call and for types that do not exist, Conflict when the user has as many as may be."""
        self._check(url, event_types)
        if len(self._table.webhooks(user_id)) >= self._max_webhooks:
            raise Conflict(f"At most {self._max_webhooks} webhooks can be registered.", code="too_many_webhooks")
        webhook_id, secret = WebhookId(new_id(WEBHOOK)), _new_secret()
        webhook = Webhook(
            webhook_id=webhook_id,
            user_id=user_id,
            url=url,
            event_types=tuple(sorted(set(event_types))),
            description=description,
            secrets=(SealedSecret(self._sealer.seal(webhook_id, secret)),),
            created_at=self._clock.now(),
        )
        self._table.add(webhook)
        log.info("webhook_created", extra=logs.fields(webhook_id=webhook_id))
        return webhook, secret

    def list_webhooks(self, user_id: UserId, limit: int, cursor: str = "") -> tuple[Sequence[Webhook], str | None]:
        """The oldest first, and the cursor of what follows. Raises InvalidInput for a cursor that is none."""
        after = cursors.decode(cursor).get("webhook_id", "") if cursor else ""
        found = [webhook for webhook in self._table.webhooks(user_id) if webhook.webhook_id > after]
        page = found[:limit]
        return page, cursors.encode({"webhook_id": page[-1].webhook_id}) if len(found) > limit else None

    def get_webhook(self, user_id: UserId, webhook_id: str) -> Webhook:
        webhook = self._table.webhook(user_id, WebhookId(webhook_id)) if is_id(WEBHOOK, webhook_id) else None
        if webhook is None:
            raise _no_webhook()
        return webhook

    def delete_webhook(self, user_id: UserId, webhook_id: str) -> None:
        if not self._table.remove(self.get_webhook(user_id, webhook_id)):
            raise _no_webhook()
        log.info("webhook_deleted", extra=logs.fields(webhook_id=webhook_id))

    def rotate_secret(self, user_id: UserId, webhook_id: str) -> tuple[str, datetime]:
        """The new secret, and until when the one before signs along. Raises Conflict when somebody else rotates."""
        webhook = self.get_webhook(user_id, webhook_id)
        secret = _new_secret()
        fresh = SealedSecret(self._sealer.seal(webhook.webhook_id, secret))
        rotated = webhook.rotated(fresh, self._clock.now())
        if not self._table.change(webhook, rotated):
            raise Conflict("The webhook has changed in this moment: try again.", code="webhook_changed")
        log.info("webhook_secret_rotated", extra=logs.fields(webhook_id=webhook_id))
        ends_at = rotated.secrets[1].ends_at
        assert ends_at  # noqa: S101 - for the types: `rotated` sets it
        return secret, ends_at

    def test_webhook(self, user_id: UserId, webhook_id: str) -> Delivery:
        """A delivery of no event, on its way. When it gets through, a disabled webhook is active again."""
        webhook, now = self.get_webhook(user_id, webhook_id), self._clock.now()
        data = {"webhook_id": webhook.webhook_id, "message": "This is a test: nothing has happened."}
        body = msgspec.json.encode({"type": TEST_TYPE, "timestamp": rfc3339(now), "data": data}).decode()
        delivery = Delivery(
            delivery_id=DeliveryId(new_id(EVENT)),
            webhook_id=webhook.webhook_id,
            user_id=user_id,
            event_type=TEST_TYPE,
            body=body,
            test=True,
            next_attempt_at=now,
            created_at=now,
            correlation_id=correlation_id(),
            traceparent=traceparent(),
        )
        if not self._table.add_delivery(delivery):
            raise _no_webhook()
        self._have_sent(delivery)
        return delivery

    def list_deliveries(
        self, user_id: UserId, webhook_id: str, limit: int, cursor: str
    ) -> tuple[Sequence[Delivery], str | None]:
        """Newest first, and the next page's cursor. Raises InvalidInput for a cursor that is none."""
        webhook = self.get_webhook(user_id, webhook_id)
        before = cursors.decode(cursor).get("before", "") if cursor else ""
        if cursor and not is_id(EVENT, before):
            raise InvalidInput.of(FieldError("cursor", "invalid", "This is no cursor that this list gave out."))
        found, more = self._table.deliveries(user_id, webhook.webhook_id, limit, before)
        return found, cursors.encode({"before": found[-1].delivery_id}) if more else None

    def resend_delivery(self, user_id: UserId, webhook_id: str, delivery_id: str) -> Delivery:
        """Sent once more, with the same id and body, and the whole schedule if it fails. Raises Conflict while it is
        under way."""
        webhook = self.get_webhook(user_id, webhook_id)
        known = is_id(EVENT, delivery_id)
        delivery = self._table.delivery(user_id, webhook.webhook_id, DeliveryId(delivery_id)) if known else None
        if delivery is None:
            raise NotFound("There is no such delivery.", code="delivery_not_found")
        again = delivery.again(self._clock.now())
        if delivery.next_attempt_at or not self._table.change_delivery(delivery, again):
            raise Conflict("This delivery is under way.", code="delivery_pending")
        self._have_sent(again)
        return again

    def _have_sent(self, delivery: Delivery) -> None:
        request = SendRequest(
            user_id=delivery.user_id, webhook_id=delivery.webhook_id, delivery_id=delivery.delivery_id
        )
        try:
            self._sender.post("Send", request)
        except AppError as error:
            # It is written down and due: the sweep has it sent.
            log.warning("send_deferred", extra=logs.fields(delivery_id=delivery.delivery_id, code=error.code))

    def _check(self, url: str, event_types: Sequence[str]) -> None:
        mistakes = [
            FieldError(f"event_types[{i}]", "unknown_type", f"It must be one of: {', '.join(EVENT_TYPES)}.")
            for i, event_type in enumerate(event_types)
            if event_type not in EVENT_TYPES
        ]
        try:
            check_url(url, self._reach.sandbox_origin, self._reach.resolve)
        except Refused as refused:
            mistakes.insert(0, FieldError("url", refused.code, refused.message))
        if mistakes:
            raise InvalidInput.of(*mistakes)


def _new_secret() -> str:
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def _no_webhook() -> NotFound:
    return NotFound("There is no such webhook.", code="webhook_not_found")
