"""Webhooks and their deliveries in one table: keys `user_id` and `sk`, time to live `expires_at`.

sk                               what
webhook#<webhook_id>             a webhook with its sealed secrets
delivery#<webhook_id>#<event id> what became of telling it of an event; 30 days
user#gone                        the user was deleted: no webhook is added any more

A delivery that waits stands in the sparse index `due`. Whoever sends it moves `next_attempt_at` to the end of a lease,
on condition of what it was: so nobody else sends it, and a result is written only by who holds the lease.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime

from pynamodb.attributes import UnicodeAttribute
from pynamodb.exceptions import DoesNotExist
from pynamodb.expressions.condition import Condition
from pynamodb.transactions import TransactWrite

from functions.broker_service.model import UserId
from functions.broker_service.webhook_items_table import (
    DELIVERIES,
    DUE_SHARDS,
    WEBHOOKS,
    Item,
    delivery_key,
    delivery_of,
    item_of_delivery,
    item_of_webhook,
    secrets_text,
    webhook_of,
)
from functions.broker_service.webhook_model import Delivery, DeliveryId, Webhook, WebhookId
from functions.common.clock import Clock, rfc3339
from functions.common.errors import NotFound
from functions.common.personal import GONE, GONE_LIFETIME, PURGED_AT_ONCE
from functions.common.table import ConditionFailed, bind, deleted, lease, saved, transact, translated, updated

LAST = "~"


class DynamoWebhookTable:
    def __init__(self, table_name: str, clock: Clock) -> None:
        self._items = bind(Item, table_name)
        self._clock = clock

    # webhooks

    def add(self, webhook: Webhook) -> None:
        def write(transaction: TransactWrite) -> None:
            transaction.condition_check(self._items, webhook.user_id, GONE, condition=Item.sk.does_not_exist())
            transaction.save(item_of_webhook(webhook), condition=Item.sk.does_not_exist())

        try:
            transact(self._items, write)
        except ConditionFailed as error:
            raise NotFound("The user was deleted.", code="user_not_found") from error

    def webhooks(self, user_id: UserId) -> Sequence[Webhook]:
        with translated():
            found = self._items.query(user_id, Item.sk.startswith(WEBHOOKS), consistent_read=True)
            return [webhook_of(item) for item in found]

    def webhook(self, user_id: UserId, webhook_id: WebhookId) -> Webhook | None:
        item = self._get(user_id, WEBHOOKS + webhook_id)
        return webhook_of(item) if item else None

    def change(self, before: Webhook, after: Webhook) -> bool:
        as_seen = (Item.state == before.state.value) & (Item.secrets == secrets_text(before))
        as_seen &= _same(Item.failing_since, before.failing_since)
        return self._save(item_of_webhook(after), as_seen)

    def remove(self, webhook: Webhook) -> bool:
        """The webhook first: from then on it gets no deliveries. What is more than a call deletes goes with its time to
        live."""
        if not deleted(self._items(webhook.user_id, WEBHOOKS + webhook.webhook_id), Item.sk.exists()):
            return False
        self._delete(webhook.user_id, f"{DELIVERIES}{webhook.webhook_id}#", PURGED_AT_ONCE)
        return True

    # deliveries

    def add_delivery(self, delivery: Delivery) -> bool:
        """Written first, and the webhook looked for afterwards: a removal and a purge delete webhooks first and
        deliveries afterwards, so whichever comes later sees the other. No transaction: all events of a user would meet
        on their webhook's key, with each other and with `change`, and DynamoDB cancels all but one of those that do."""
        item = item_of_delivery(delivery)
        if not saved(item, Item.sk.does_not_exist()):
            return False  # whoever wrote it looks for the webhook, and sending does
        if self._get(delivery.user_id, WEBHOOKS + delivery.webhook_id):
            return True
        self._delete(delivery.user_id, item.sk, 1)
        return False

    def delivery(self, user_id: UserId, webhook_id: WebhookId, delivery_id: DeliveryId) -> Delivery | None:
        item = self._get(user_id, delivery_key(webhook_id, delivery_id))
        # DynamoDB deletes late
        return delivery_of(item) if item and item.expires_at > self._clock.now() else None

    def change_delivery(self, before: Delivery, after: Delivery) -> bool:
        as_seen = (Item.state == before.state.value) & _same(Item.next_attempt_at, before.next_attempt_at)
        return self._save(item_of_delivery(after), as_seen)

    def deliveries(
        self, user_id: UserId, webhook_id: WebhookId, limit: int, before: str
    ) -> tuple[Sequence[Delivery], bool]:
        prefix = delivery_key(webhook_id, DeliveryId(""))
        wanted = (
            Item.sk.between(prefix, prefix + LAST) if not before else Item.sk.between(prefix, _under(prefix + before))
        )
        with translated():
            found = list(
                self._items.query(
                    user_id,
                    wanted,
                    Item.expires_at > self._clock.now(),
                    scan_index_forward=False,
                    limit=limit + 1,
                    consistent_read=True,
                )
            )
        return [delivery_of(item) for item in found[:limit]], len(found) > limit

    def lease(
        self, user_id: UserId, webhook_id: WebhookId, delivery_id: DeliveryId, now: datetime, until: datetime
    ) -> Delivery | None:
        item = self._get(user_id, delivery_key(webhook_id, delivery_id))
        if item is None or not item.next_attempt_at or item.next_attempt_at > rfc3339(now):
            return None
        return self._lease(item, until)

    def lease_due(self, now: datetime, until: datetime, limit: int) -> tuple[Sequence[Delivery], bool]:
        due = Item.next_attempt_at <= rfc3339(now)
        return lease(self._items.due, DUE_SHARDS, due, limit, lambda item: self._lease(item, until))

    # all that is kept of a user

    def held(self, user_id: UserId, after: str) -> Iterator[tuple[str, Webhook | Delivery]]:
        start = f"{after}!" if after else DELIVERIES
        with translated():
            for item in self._items.query(user_id, Item.sk.between(start, WEBHOOKS + LAST), consistent_read=True):
                if item.sk.startswith(WEBHOOKS):
                    yield item.sk, webhook_of(item)
                elif item.sk.startswith(DELIVERIES) and item.expires_at > self._clock.now():
                    yield item.sk, delivery_of(item)

    def mark_gone(self, user_id: UserId) -> None:
        mark = self._items(user_id, GONE, expires_at=self._clock.now() + GONE_LIFETIME)
        # unless a run before has marked it
        saved(mark, Item.sk.does_not_exist())

    def delete(self, user_id: UserId, limit: int) -> int:
        deleted = self._delete(user_id, WEBHOOKS, limit)
        return deleted + (self._delete(user_id, DELIVERIES, limit - deleted) if deleted < limit else 0)

    def _delete(self, user_id: UserId, prefix: str, limit: int) -> int:
        with translated(), self._items.batch_write() as batch:
            items = list(
                self._items.query(
                    user_id,
                    Item.sk.startswith(prefix),
                    consistent_read=True,
                    attributes_to_get=["user_id", "sk"],
                    limit=limit,
                )
            )
            for item in items:
                batch.delete(item)
        return len(items)

    def _get(self, user_id: UserId, sk: str) -> Item | None:
        with translated():
            try:
                return self._items.get(user_id, sk, consistent_read=True)
            except DoesNotExist:
                return None

    def _save(self, item: Item, as_seen: Condition) -> bool:
        return saved(item, as_seen)

    def _lease(self, item: Item, until: datetime) -> Delivery | None:
        """None when somebody else was faster, or it is not what the index said."""
        as_seen = (Item.next_attempt_at == item.next_attempt_at) & Item.due_shard.exists()
        return delivery_of(item) if updated(item, [Item.next_attempt_at.set(rfc3339(until))], as_seen) else None


def _under(key: str) -> str:
    """A key just below this one: `between` takes both its ends in. Ids end in a letter or figure of their alphabet."""
    return key[:-1] + chr(ord(key[-1]) - 1) + LAST


def _same(attribute: UnicodeAttribute, instant: datetime | None) -> Condition:
    return attribute == rfc3339(instant) if instant else attribute.does_not_exist()
