"""Webhooks in memory: a table with one lock, a vault that seals by a prefix, a receiver that answers as told."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from functions.broker_service.bootstrap import WEBHOOKS
from functions.broker_service.model import UserId
from functions.broker_service.rpc import WebhooksServicer
from functions.broker_service.sending import Sending
from functions.broker_service.webhook_model import (
    Attempt,
    Delivery,
    DeliveryId,
    Failure,
    SealedSecret,
    Webhook,
    WebhookId,
)
from functions.broker_service.webhooks import Reach, Webhooks
from functions.common.errors import NotFound, Unavailable
from functions.common.rpc.client import Stub
from functions.common.rpc.server import LambdaRpcHandler
from functions.contracts.events.bills import BillCreatedV1
from functions.contracts.events.envelope import CloudEvent, wrap
from tests.support.fakes import FakeClock, LoopbackChannel
from tests.unit.broker_service.fakes import ANNA

URL = "https://hooks.example.com/billing?tenant=7"
CREATED = "bill.created.v1"
MAX_WEBHOOKS = 3


def public(_host: str) -> Sequence[str]:
    return ["93.184.215.14"]


class FakeWebhookTable:
    def __init__(self) -> None:
        self.hooks: dict[tuple[UserId, WebhookId], Webhook] = {}
        self.sent: dict[tuple[UserId, WebhookId, DeliveryId], Delivery] = {}
        self.gone: set[UserId] = set()
        self.losing_races = 0

    def add(self, webhook: Webhook) -> None:
        if webhook.user_id in self.gone:
            raise NotFound("The user was deleted.")
        self.hooks[webhook.user_id, webhook.webhook_id] = webhook

    def webhooks(self, user_id: UserId) -> Sequence[Webhook]:
        return [webhook for (owner, _), webhook in sorted(self.hooks.items()) if owner == user_id]

    def webhook(self, user_id: UserId, webhook_id: WebhookId) -> Webhook | None:
        return self.hooks.get((user_id, webhook_id))

    def change(self, before: Webhook, after: Webhook) -> bool:
        if self.losing_races or self.hooks.get((before.user_id, before.webhook_id)) != before:
            return False
        self.hooks[before.user_id, before.webhook_id] = after
        return True

    def remove(self, webhook: Webhook) -> bool:
        return not self.losing_races and self.hooks.pop((webhook.user_id, webhook.webhook_id), None) is not None

    def add_delivery(self, delivery: Delivery) -> bool:
        key = (delivery.user_id, delivery.webhook_id, delivery.delivery_id)
        if key in self.sent or key[:2] not in self.hooks:
            return False
        self.sent[key] = delivery
        return True

    def delivery(self, user_id: UserId, webhook_id: WebhookId, delivery_id: DeliveryId) -> Delivery | None:
        return self.sent.get((user_id, webhook_id, delivery_id))

    def change_delivery(self, before: Delivery, after: Delivery) -> bool:
        key = (before.user_id, before.webhook_id, before.delivery_id)
        if self.losing_races or self.sent.get(key) != before:
            return False
        self.sent[key] = after
        return True

    def deliveries(
        self, user_id: UserId, webhook_id: WebhookId, limit: int, before: str
    ) -> tuple[Sequence[Delivery], bool]:
        found = [
            delivery
            for (owner, hook, delivery_id), delivery in sorted(self.sent.items(), reverse=True)
            if (owner, hook) == (user_id, webhook_id) and (not before or delivery_id < before)
        ]
        return found[:limit], len(found) > limit

    def lease(
        self, user_id: UserId, webhook_id: WebhookId, delivery_id: DeliveryId, now: datetime, until: datetime
    ) -> Delivery | None:
        delivery = self.sent.get((user_id, webhook_id, delivery_id))
        if delivery is None or delivery.next_attempt_at is None or delivery.next_attempt_at > now:
            return None
        leased = replace(delivery, next_attempt_at=until)
        self.sent[user_id, webhook_id, delivery_id] = leased
        return leased

    def lease_due(self, now: datetime, until: datetime, limit: int) -> tuple[Sequence[Delivery], bool]:
        due = [key for key, each in self.sent.items() if each.next_attempt_at and each.next_attempt_at <= now]
        leased = [self.lease(*key, now, until) for key in due[:limit]]
        return [delivery for delivery in leased if delivery], len(due) > limit

    def held(self, user_id: UserId, after: str) -> Iterator[tuple[str, Webhook | Delivery]]:
        everything: dict[str, Webhook | Delivery] = {
            **{f"delivery#{each.delivery_id}": each for each in self.sent.values() if each.user_id == user_id},
            **{f"webhook#{each.webhook_id}": each for each in self.webhooks(user_id)},
        }
        yield from ((key, each) for key, each in sorted(everything.items()) if key > after)

    def mark_gone(self, user_id: UserId) -> None:
        self.gone.add(user_id)

    def delete(self, user_id: UserId, limit: int) -> int:
        hooks = [key for key in self.hooks if key[0] == user_id]
        sent = [key for key in self.sent if key[0] == user_id]
        for hook in hooks:
            del self.hooks[hook]
        for delivery in sent:
            del self.sent[delivery]
        return min(limit, len(hooks) + len(sent))


class FakeVault:
    def __init__(self) -> None:
        self.down = False

    def seal(self, webhook_id: WebhookId, secret: str) -> bytes:
        if self.down:
            raise Unavailable("KMS is down.")
        return f"{webhook_id}|{secret}".encode()

    def open(self, webhook_id: WebhookId, secret: SealedSecret) -> str:
        if self.down:
            raise Unavailable("KMS is down.")
        owner, _, clear = secret.ciphertext.decode().partition("|")
        assert owner == webhook_id
        return clear


class FakeReceiver:
    """`answers`: the statuses of the next attempts; 204 when there are none left, 0 is nobody there."""

    def __init__(self, clock: FakeClock, vault: FakeVault) -> None:
        self.answers: list[int] = []
        self.got: list[tuple[WebhookId, DeliveryId]] = []
        self.down: set[WebhookId] = set()
        self._clock = clock
        self._vault = vault

    def send(self, webhook: Webhook, delivery: Delivery, seconds: float) -> Attempt:
        assert seconds > 0
        self._vault.open(webhook.webhook_id, webhook.secrets[0])
        self.got.append((webhook.webhook_id, delivery.delivery_id))
        status = 0 if webhook.webhook_id in self.down else self.answers.pop(0) if self.answers else 204
        failure = None if 200 <= status < 300 else Failure.REFUSED if status else Failure.UNREACHABLE
        return Attempt(at=self._clock.now(), status=status, failure=failure, milliseconds=3)


class WebhookWorld:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.table = FakeWebhookTable()
        self.vault = FakeVault()
        self.receiver = FakeReceiver(self.clock, self.vault)
        self.sending = Sending(
            table=self.table,
            sender=self.receiver,
            clock=self.clock,
            first_pause=timedelta(minutes=1),
            random=lambda: 0.0,
        )
        self.channel = LoopbackChannel(LambdaRpcHandler(WEBHOOKS, lambda: WebhooksServicer(self.sending)))
        self.rpc = Stub(WEBHOOKS, self.channel)
        self.webhooks = Webhooks(
            table=self.table,
            sealer=self.vault,
            sender=self.rpc,
            clock=self.clock,
            reach=Reach(resolve=public),
            max_webhooks=MAX_WEBHOOKS,
        )

    def register(self, user_id: UserId = ANNA, *event_types: str) -> Webhook:
        return self.webhooks.create_webhook(user_id, URL, event_types or (CREATED,), "")[0]

    def now_of(self, webhook: Webhook) -> Webhook:
        return self.table.hooks[webhook.user_id, webhook.webhook_id]

    def told(self, webhook: Webhook, event: CloudEvent) -> Delivery:
        return self.table.sent[webhook.user_id, webhook.webhook_id, DeliveryId(event.id)]

    def sweep_until_quiet(self, limit: timedelta) -> list[timedelta]:
        """Runs the sweep each minute; when attempts were made, from the start."""
        began, attempts = self.clock.now(), []
        while self.clock.now() - began < limit:
            self.clock.advance(timedelta(minutes=1))
            attempts += [self.clock.now() - began] * self.sending.send_due(100)[0]
        return attempts


def bill_created(user_id: UserId = ANNA, bill_id: str = "bil_1") -> CloudEvent:
    data = BillCreatedV1(
        user_id=user_id,
        link_id="lnk_1",
        bill_id=bill_id,
        provider_id="prv_1",
        service_type="water",
        version=1,
        amount_minor=4211,
        currency="EUR",
        due_date="2026-03-31",
    )
    return wrap(data, FakeClock().now())
