"""How webhooks and deliveries are spelt in their table; `webhook_table.py` says which keys they have."""

from datetime import datetime

import msgspec
from pynamodb.attributes import BooleanAttribute, ListAttribute, NumberAttribute, TTLAttribute, UnicodeAttribute
from pynamodb.indexes import GlobalSecondaryIndex, KeysOnlyProjection
from pynamodb.models import Model

from functions.broker_service.model import UserId
from functions.broker_service.webhook_model import (
    KEPT,
    Attempt,
    Delivery,
    DeliveryId,
    DeliveryState,
    DisabledReason,
    SealedSecret,
    Webhook,
    WebhookId,
    WebhookState,
)
from functions.common.clock import parse_rfc3339, rfc3339
from functions.common.table import shard_of

WEBHOOKS, DELIVERIES = "webhook#", "delivery#"
DUE_SHARDS = 8


class Due(GlobalSecondaryIndex["Item"]):  # type: ignore[no-untyped-call]  # PynamoDB's own __init_subclass__
    class Meta:
        index_name = "due"
        projection = KeysOnlyProjection()

    due_shard = NumberAttribute(hash_key=True)
    next_attempt_at = UnicodeAttribute(range_key=True)


class Item(Model):
    """A webhook, a delivery or the mark of a deleted user: one class, since queries read them together."""

    class Meta:
        table_name = "unbound"
        billing_mode = "PAY_PER_REQUEST"
        connect_timeout_seconds = 2
        read_timeout_seconds = 5
        max_pool_connections = 32

    due = Due()

    user_id = UnicodeAttribute(hash_key=True)
    sk = UnicodeAttribute(range_key=True)
    state = UnicodeAttribute(null=True)
    created_at = UnicodeAttribute(null=True)
    # webhooks
    url = UnicodeAttribute(null=True)
    event_types = ListAttribute[str](null=True)
    description = UnicodeAttribute(null=True)
    secrets = UnicodeAttribute(null=True)
    disabled_reason = UnicodeAttribute(null=True)
    failing_since = UnicodeAttribute(null=True)
    # deliveries
    event_type = UnicodeAttribute(null=True)
    body = UnicodeAttribute(null=True)
    test = BooleanAttribute(null=True)
    attempts = UnicodeAttribute(null=True)
    tries = NumberAttribute(null=True)
    due_shard = NumberAttribute(null=True)
    next_attempt_at = UnicodeAttribute(null=True)
    correlation_id = UnicodeAttribute(null=True)
    traceparent = UnicodeAttribute(null=True)
    expires_at = TTLAttribute(null=True)


def item_of_webhook(webhook: Webhook) -> Item:
    return Item(
        webhook.user_id,
        WEBHOOKS + webhook.webhook_id,
        state=webhook.state.value,
        created_at=rfc3339(webhook.created_at),
        url=webhook.url,
        event_types=list(webhook.event_types),
        description=webhook.description,
        secrets=secrets_text(webhook),
        disabled_reason=webhook.disabled_reason.value if webhook.disabled_reason else None,
        failing_since=_text(webhook.failing_since),
    )


def item_of_delivery(delivery: Delivery) -> Item:
    sk = delivery_key(delivery.webhook_id, delivery.delivery_id)
    return Item(
        delivery.user_id,
        sk,
        state=delivery.state.value,
        created_at=rfc3339(delivery.created_at),
        event_type=delivery.event_type,
        body=delivery.body,
        test=delivery.test,
        attempts=msgspec.json.encode(delivery.attempts).decode(),
        tries=delivery.tries,
        due_shard=shard_of(sk, DUE_SHARDS) if delivery.next_attempt_at else None,
        next_attempt_at=_text(delivery.next_attempt_at),
        correlation_id=delivery.correlation_id,
        traceparent=delivery.traceparent,
        expires_at=delivery.created_at + KEPT,
    )


def webhook_of(item: Item) -> Webhook:
    return Webhook(
        webhook_id=WebhookId(item.sk.removeprefix(WEBHOOKS)),
        user_id=UserId(item.user_id),
        url=item.url or "",
        event_types=tuple(item.event_types or ()),
        description=item.description or "",
        secrets=msgspec.json.decode(item.secrets or "[]", type=tuple[SealedSecret, ...]),
        state=WebhookState(item.state),
        disabled_reason=DisabledReason(item.disabled_reason) if item.disabled_reason else None,
        failing_since=parse_rfc3339(item.failing_since) if item.failing_since else None,
        created_at=parse_rfc3339(item.created_at or ""),
    )


def delivery_of(item: Item) -> Delivery:
    _, webhook_id, delivery_id = item.sk.split("#")
    return Delivery(
        delivery_id=DeliveryId(delivery_id),
        webhook_id=WebhookId(webhook_id),
        user_id=UserId(item.user_id),
        event_type=item.event_type or "",
        body=item.body or "",
        test=bool(item.test),
        state=DeliveryState(item.state),
        attempts=msgspec.json.decode(item.attempts or "[]", type=tuple[Attempt, ...]),
        tries=int(item.tries or 0),
        next_attempt_at=parse_rfc3339(item.next_attempt_at) if item.next_attempt_at else None,
        created_at=parse_rfc3339(item.created_at or ""),
        correlation_id=item.correlation_id or "",
        traceparent=item.traceparent or "",
    )


def delivery_key(webhook_id: WebhookId, delivery_id: DeliveryId) -> str:
    return f"{DELIVERIES}{webhook_id}#{delivery_id}"


def secrets_text(webhook: Webhook) -> str:
    return msgspec.json.encode(webhook.secrets).decode()


def _text(instant: datetime | None) -> str | None:
    return rfc3339(instant) if instant else None
