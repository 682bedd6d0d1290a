"""Bodies and queries of the routes of webhooks."""

from typing import Annotated

from msgspec import Meta, Struct, structs

from functions.broker_service.webhook_model import Attempt, Delivery, Webhook
from functions.common.clock import rfc3339

EventType = Annotated[str, Meta(min_length=1, max_length=64)]


class CreateWebhook(Struct, kw_only=True, forbid_unknown_fields=True):
    url: Annotated[str, Meta(min_length=1, max_length=2000)]
    """https, of a host that the public internet reaches."""
    event_types: Annotated[list[EventType], Meta(min_length=1, max_length=50)]
    """Of `account.*` and `bill.*`, e.g. bill.created.v1."""
    description: Annotated[str, Meta(max_length=200)] = ""


class ListWebhooks(Struct, kw_only=True, forbid_unknown_fields=True):
    limit: Annotated[int, Meta(ge=1, le=200)] = 50
    cursor: Annotated[str, Meta(max_length=512)] = ""


class DeliveriesQuery(Struct, kw_only=True, forbid_unknown_fields=True):
    limit: Annotated[int, Meta(ge=1, le=200)] = 50
    cursor: Annotated[str, Meta(max_length=512)] = ""


class WebhookView(Struct, kw_only=True):
    webhook_id: str
    url: str
    event_types: list[str]
    description: str
    state: str
    disabled_reason: str | None
    failing_since: str | None
    created_at: str

    @classmethod
    def of(cls, webhook: Webhook) -> "WebhookView":
        return cls(
            webhook_id=webhook.webhook_id,
            url=webhook.url,
            event_types=list(webhook.event_types),
            description=webhook.description,
            state=webhook.state,
            disabled_reason=webhook.disabled_reason,
            failing_since=rfc3339(webhook.failing_since) if webhook.failing_since else None,
            created_at=rfc3339(webhook.created_at),
        )


class CreatedWebhookView(WebhookView, kw_only=True):
    secret: str
    """Shown this once."""

    @classmethod
    def with_secret(cls, webhook: Webhook, secret: str) -> "CreatedWebhookView":
        return cls(**structs.asdict(WebhookView.of(webhook)), secret=secret)


class WebhooksView(Struct, kw_only=True):
    items: list[WebhookView]
    next_cursor: str | None


class SecretView(Struct, kw_only=True):
    secret: str
    """Shown this once."""
    previous_ends_at: str
    """Until then the secret before signs along."""


class AttemptView(Struct, kw_only=True):
    at: str
    status: int | None
    """Of the receiver's answer; null when there was none."""
    failure: str | None
    milliseconds: int

    @classmethod
    def of(cls, attempt: Attempt) -> "AttemptView":
        return cls(
            at=rfc3339(attempt.at),
            status=attempt.status or None,
            failure=attempt.failure,
            milliseconds=attempt.milliseconds,
        )


class DeliveryView(Struct, kw_only=True):
    delivery_id: str
    event_type: str
    test: bool
    state: str
    next_attempt_at: str | None
    created_at: str
    attempts: list[AttemptView]

    @classmethod
    def of(cls, delivery: Delivery) -> "DeliveryView":
        return cls(
            delivery_id=delivery.delivery_id,
            event_type=delivery.event_type,
            test=delivery.test,
            state=delivery.state,
            next_attempt_at=rfc3339(delivery.next_attempt_at) if delivery.next_attempt_at else None,
            created_at=rfc3339(delivery.created_at),
            attempts=[AttemptView.of(attempt) for attempt in delivery.attempts],
        )


class DeliveriesView(Struct, kw_only=True):
    items: list[DeliveryView]
    next_cursor: str | None
