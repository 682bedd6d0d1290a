"""Webhooks and deliveries in DynamoDB, secrets under KMS."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from moto import mock_aws
from mypy_boto3_kms import KMSClient
from pynamodb.connection.base import Connection
from pynamodb.exceptions import PutError
from pynamodb.expressions.condition import Condition
from pynamodb.transactions import TransactWrite

from functions.broker_service.webhook_items_table import Item
from functions.broker_service.webhook_model import (
    KEPT,
    LEASE,
    Attempt,
    Delivery,
    DeliveryId,
    DeliveryState,
    DisabledReason,
    Failure,
    SealedSecret,
    Webhook,
    WebhookId,
    WebhookState,
)
from functions.broker_service.webhook_table import DynamoWebhookTable
from functions.broker_service.webhook_vault import KmsSecrets
from functions.common.errors import NotFound, Unavailable
from functions.common.ids import new_id
from functions.common.table import saved
from tests.support.fakes import FakeClock
from tests.unit.broker_service.fakes import ANNA, BERT
from tests.unit.broker_service.webhook_fakes import CREATED, URL


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def table(clock: FakeClock) -> Iterator[DynamoWebhookTable]:
    with mock_aws():
        repository = DynamoWebhookTable("webhooks", clock)
        Item.create_table(wait=True)
        yield repository


def a_webhook(clock: FakeClock) -> Webhook:
    ends = clock.now() + timedelta(hours=3)
    return Webhook(
        webhook_id=WebhookId(new_id("whk")),
        user_id=ANNA,
        url=URL,
        event_types=(CREATED, "bill.paid.v1"),
        description="mine",
        secrets=(SealedSecret(b"\x00\xff"), SealedSecret(b"old", ends)),
        created_at=clock.now(),
    )


def a_delivery(webhook: Webhook, clock: FakeClock) -> Delivery:
    return Delivery(
        delivery_id=DeliveryId(new_id("evt")),
        webhook_id=webhook.webhook_id,
        user_id=webhook.user_id,
        event_type=CREATED,
        body='{"type":"bill.created.v1"}',
        attempts=(
            Attempt(at=clock.now(), status=503, failure=Failure.REFUSED, milliseconds=7),
            Attempt(at=clock.now()),
        ),
        tries=2,
        next_attempt_at=clock.now(),
        created_at=clock.now(),
        correlation_id="cor_1",
        traceparent="00-a-b-00",
    )


def added(table: DynamoWebhookTable, clock: FakeClock, count: int = 1) -> tuple[Webhook, list[Delivery]]:
    webhook = a_webhook(clock)
    table.add(webhook)
    deliveries = [a_delivery(webhook, clock) for _ in range(count)]
    assert all(table.add_delivery(delivery) for delivery in deliveries)
    return webhook, sorted(deliveries, key=lambda delivery: delivery.delivery_id, reverse=True)


def test_a_webhook_comes_back_as_it_was_stored(table: DynamoWebhookTable, clock: FakeClock) -> None:
    webhook = a_webhook(clock)

    table.add(webhook)

    assert table.webhook(ANNA, webhook.webhook_id) == webhook
    assert table.webhooks(ANNA) == [webhook]
    assert table.webhook(BERT, webhook.webhook_id) is None
    assert table.webhooks(BERT) == []


def test_of_two_changes_of_the_same_one_stands(table: DynamoWebhookTable, clock: FakeClock) -> None:
    webhook, _ = added(table, clock)
    failing = replace(webhook, failing_since=clock.now())
    disabled = replace(failing, state=WebhookState.DISABLED, disabled_reason=DisabledReason.GONE)

    assert table.change(webhook, failing)
    assert not table.change(webhook, disabled)
    assert table.change(failing, disabled)
    assert not table.change(failing, webhook)
    assert table.webhook(ANNA, webhook.webhook_id) == disabled
    assert table.change(disabled, webhook)
    assert table.webhook(ANNA, webhook.webhook_id) == webhook


def test_a_removed_webhook_takes_its_deliveries_along_and_gets_none(
    table: DynamoWebhookTable, clock: FakeClock
) -> None:
    webhook, (delivery,) = added(table, clock)
    other, (kept,) = added(table, clock)

    assert table.remove(webhook)
    assert not table.remove(webhook)

    assert table.delivery(ANNA, webhook.webhook_id, delivery.delivery_id) is None
    assert table.delivery(ANNA, other.webhook_id, kept.delivery_id) == kept
    assert not table.add_delivery(a_delivery(webhook, clock))
    assert not table.change(webhook, replace(webhook, failing_since=clock.now()))


@pytest.mark.parametrize("already_written", [False, True])
def test_one_that_is_removed_while_it_is_told_of_an_event_keeps_no_delivery(
    table: DynamoWebhookTable, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, already_written: bool
) -> None:
    webhook = a_webhook(clock)
    table.add(webhook)

    def meets_a_removal(item: Item, condition: Condition) -> bool:
        if already_written:
            assert saved(item, condition)
        assert table.remove(webhook)
        return already_written or saved(item, condition)

    monkeypatch.setattr("functions.broker_service.webhook_table.saved", meets_a_removal)

    assert not table.add_delivery(a_delivery(webhook, clock))
    assert Item.count() == 0


def test_events_that_come_at_once_do_not_meet_on_their_webhook(
    table: DynamoWebhookTable, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DynamoDB cancels transactions that touch one item at once; deliveries are no part of any."""
    webhook, _ = added(table, clock)

    def unexpected(_: TransactWrite) -> None:
        pytest.fail("a transaction")

    monkeypatch.setattr(TransactWrite, "_commit", unexpected)

    assert table.add_delivery(a_delivery(webhook, clock))


def test_a_change_that_meets_a_transaction_is_made_all_the_same(
    table: DynamoWebhookTable, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    webhook, _ = added(table, clock)
    failing = replace(webhook, failing_since=clock.now())
    put = Connection.put_item

    def meets_one(*_: object, **__: object) -> None:
        monkeypatch.setattr(Connection, "put_item", put)
        raise PutError("refused", ClientError({"Error": {"Code": "TransactionConflictException"}}, "PutItem"))

    monkeypatch.setattr(Connection, "put_item", meets_one)

    assert table.change(webhook, failing)
    assert table.webhook(ANNA, webhook.webhook_id) == failing


def test_a_delivery_is_added_once(table: DynamoWebhookTable, clock: FakeClock) -> None:
    webhook, (delivery,) = added(table, clock)
    done = replace(delivery, state=DeliveryState.DELIVERED, next_attempt_at=None)
    assert table.change_delivery(delivery, done)

    assert not table.add_delivery(delivery)

    assert table.delivery(ANNA, webhook.webhook_id, delivery.delivery_id) == done


def test_a_delivery_is_leased_once_and_recorded_by_who_holds_the_lease(
    table: DynamoWebhookTable, clock: FakeClock
) -> None:
    _, (delivery,) = added(table, clock)
    now = clock.now()

    (leased,), _ = table.lease_due(now, now + LEASE, 10)
    nothing, more = table.lease_due(now, now + LEASE, 10)

    assert leased == replace(delivery, next_attempt_at=now + LEASE)
    assert (nothing, more) == ([], False)
    done = replace(leased, state=DeliveryState.DELIVERED, next_attempt_at=None)
    assert not table.change_delivery(delivery, done)
    assert table.change_delivery(leased, done)
    later = now + timedelta(days=1)
    assert table.lease_due(later, later + LEASE, 10) == ([], False)


def test_one_that_is_due_is_leased_by_its_name(table: DynamoWebhookTable, clock: FakeClock) -> None:
    _, (delivery,) = added(table, clock)
    names = (ANNA, delivery.webhook_id, delivery.delivery_id)
    now = clock.now()

    assert table.lease(*names, now - timedelta(seconds=1), now + LEASE) is None
    assert table.lease(*names, now, now + LEASE) == replace(delivery, next_attempt_at=now + LEASE)
    assert table.lease(*names, now, now + LEASE) is None
    assert table.lease(ANNA, delivery.webhook_id, DeliveryId("evt_other"), now, now + LEASE) is None


def test_a_lease_that_somebody_else_took_in_between_is_none(
    table: DynamoWebhookTable, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The index tells of what was, a moment ago."""
    _, (delivery,) = added(table, clock)
    now = clock.now()
    stale = list(Item.due.query(0)) or [item for shard in range(8) for item in Item.due.query(shard)]
    assert table.change_delivery(delivery, replace(delivery, next_attempt_at=now + timedelta(hours=1)))
    monkeypatch.setattr(Item.due, "query", lambda *_, **__: iter(stale))

    assert table.lease_due(now, now + LEASE, 10)[0] == []


def test_a_round_has_a_limit(table: DynamoWebhookTable, clock: FakeClock) -> None:
    added(table, clock, count=12)
    now = clock.now()

    first, more = table.lease_due(now, now + LEASE, 5)
    rest, _ = table.lease_due(now, now + LEASE, 100)

    assert (len(first), more, len(rest)) == (5, True, 7)


def test_deliveries_newest_first_in_pages(table: DynamoWebhookTable, clock: FakeClock) -> None:
    webhook, newest_first = added(table, clock, count=5)
    added(table, clock, count=2)

    first, more = table.deliveries(ANNA, webhook.webhook_id, 3, "")
    rest, no_more = table.deliveries(ANNA, webhook.webhook_id, 3, first[-1].delivery_id)

    assert [*first, *rest] == newest_first
    assert (more, no_more) == (True, False)


def test_an_expired_delivery_is_gone_before_it_is_deleted(table: DynamoWebhookTable, clock: FakeClock) -> None:
    webhook, (delivery,) = added(table, clock)
    clock.advance(KEPT)

    assert table.delivery(ANNA, webhook.webhook_id, delivery.delivery_id) is None
    assert table.deliveries(ANNA, webhook.webhook_id, 10, "") == ([], False)
    assert [each for _, each in table.held(ANNA, "")] == [webhook]


def test_all_that_is_held_and_none_of_it_after_a_purge(table: DynamoWebhookTable, clock: FakeClock) -> None:
    webhook, deliveries = added(table, clock, count=3)
    held = list(table.held(ANNA, ""))
    assert [each for _, each in held] == [*reversed(deliveries), webhook]
    assert list(table.held(ANNA, held[1][0])) == held[2:]

    table.mark_gone(ANNA)
    table.mark_gone(ANNA)
    assert [table.delete(ANNA, 3), table.delete(ANNA, 3), table.delete(ANNA, 3)] == [3, 1, 0]

    assert list(table.held(ANNA, "")) == []
    with pytest.raises(NotFound):
        table.add(a_webhook(clock))
    assert not table.add_delivery(deliveries[0])


class TestSecrets:
    @pytest.fixture
    def kms(self) -> Iterator[KMSClient]:
        with mock_aws():
            yield boto3.client("kms", region_name="us-east-1")

    def test_what_is_sealed_opens_for_its_webhook_alone(self, kms: KMSClient) -> None:
        vault = KmsSecrets(lambda: kms, kms.create_key()["KeyMetadata"]["KeyId"])
        sealed = SealedSecret(vault.seal(WebhookId("whk_1"), "whsec_clear"))

        assert b"whsec_clear" not in sealed.ciphertext
        assert "ciphertext" not in repr(sealed)
        assert vault.open(WebhookId("whk_1"), sealed) == "whsec_clear"
        with pytest.raises(Unavailable):
            vault.open(WebhookId("whk_2"), sealed)

    def test_without_kms_nothing_is_sealed_or_opened(self) -> None:
        def nobody() -> KMSClient:
            raise EndpointConnectionError(endpoint_url="https://kms")

        vault = KmsSecrets(nobody, "key")
        with pytest.raises(Unavailable):
            vault.seal(WebhookId("whk_1"), "whsec_clear")
        with pytest.raises(Unavailable):
            vault.open(WebhookId("whk_1"), SealedSecret(b"x"))
