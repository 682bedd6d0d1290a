"""What becomes of an event: told once, tried again for a day, and when a webhook is given up."""

import json
from datetime import timedelta

import pytest

from functions.broker_service.bootstrap import WEBHOOKS
from functions.broker_service.webhook_model import (
    ATTEMPTS,
    LEASE,
    LONGEST_PAUSE,
    DeliveryState,
    DisabledReason,
    Failure,
    WebhookState,
    pause_after,
)
from functions.common.context import invocation
from functions.common.errors import InvalidInput, NotFound
from functions.common.rpc.client import Stub
from functions.contracts.events.accounts import AccountLinkedV1
from functions.contracts.events.bills import BillsRefreshRequestedV1
from functions.contracts.events.envelope import wrap
from functions.contracts.rpc.common_pb2 import ExportUserReply, ExportUserRequest, PurgeUserReply, PurgeUserRequest
from functions.contracts.rpc.webhooks_pb2 import (
    NotifyReply,
    NotifyRequest,
    SendDueReply,
    SendDueRequest,
    SendReply,
    SendRequest,
)
from tests.unit.broker_service.fakes import ANNA, BERT
from tests.unit.broker_service.webhook_fakes import WebhookWorld, bill_created


@pytest.fixture
def world() -> WebhookWorld:
    return WebhookWorld()


class TestTelling:
    def test_all_that_want_the_event_are_told_and_nobody_else(self, world: WebhookWorld) -> None:
        first, second = world.register(), world.register(ANNA, "bill.created.v1", "bill.paid.v1")
        world.register(ANNA, "bill.paid.v1")
        world.register(BERT)
        event = bill_created()

        assert world.sending.notify(event) == 2

        assert {webhook_id for webhook_id, _ in world.receiver.got} == {first.webhook_id, second.webhook_id}
        assert world.told(first, event).state is DeliveryState.DELIVERED
        assert world.told(first, event).next_attempt_at is None

    def test_an_event_that_comes_three_times_is_told_once(self, world: WebhookWorld) -> None:
        webhook, event = world.register(), bill_created()

        assert [world.sending.notify(event) for _ in range(3)] == [1, 0, 0]

        assert world.receiver.got == [(webhook.webhook_id, event.id)]

    def test_what_is_told_is_type_time_and_data(self, world: WebhookWorld) -> None:
        webhook, event = world.register(), bill_created()

        world.sending.notify(event)

        body = json.loads(world.told(webhook, event).body)
        assert body == {"type": event.type, "timestamp": event.time, "data": json.loads(bytes(event.data))}

    def test_an_event_that_no_webhook_may_be_told_of_is_refused(self, world: WebhookWorld) -> None:
        internal = wrap(BillsRefreshRequestedV1(user_id=ANNA, link_id="lnk_1", reason="user"), world.clock.now())
        with pytest.raises(InvalidInput):
            world.sending.notify(internal)

    def test_data_that_is_not_of_the_type_is_refused(self, world: WebhookWorld) -> None:
        linked = AccountLinkedV1(user_id=ANNA, link_id="l", provider_id="p", state="PENDING", version=1)
        document = wrap(linked, world.clock.now()).to_json().replace("account.linked.v1", "bill.created.v1")
        with pytest.raises(InvalidInput):
            world.rpc.call("Notify", NotifyRequest(cloud_event=document.encode()), NotifyReply)

    def test_a_function_that_dies_in_between_leaves_the_delivery_to_the_sweep(self, world: WebhookWorld) -> None:
        webhook, event = world.register(), bill_created()
        world.vault.down = True  # as if it ended before the attempt
        world.sending.notify(event)
        world.vault.down = False
        assert world.told(webhook, event).tries == 0

        assert world.sending.send_due(100) == (0, False)
        world.clock.advance(LEASE)
        assert world.sending.send_due(100) == (1, False)

        assert world.told(webhook, event).state is DeliveryState.DELIVERED

    def test_a_receiver_that_failed_last_is_left_to_the_sweep(self, world: WebhookWorld) -> None:
        webhook, first, second = world.register(), bill_created(), bill_created(bill_id="bil_2")
        world.receiver.answers = [500]
        world.sending.notify(first)

        world.sending.notify(second)

        assert world.told(webhook, second).tries == 0
        assert world.sending.send_due(100)[0] == 1
        assert world.told(webhook, second).state is DeliveryState.DELIVERED


class TestTryingAgain:
    def test_for_a_day_with_growing_pauses(self, world: WebhookWorld) -> None:
        webhook, event = world.register(), bill_created()
        world.receiver.answers = [503] * ATTEMPTS
        world.sending.notify(event)

        attempts = world.sweep_until_quiet(timedelta(hours=30))

        minutes = [round(each.total_seconds() / 60) for each in attempts]
        assert minutes == [1, 4, 13, 40, 121, 364, 844, 1324]
        delivery = world.told(webhook, event)
        assert (delivery.state, delivery.tries, len(delivery.attempts)) == (DeliveryState.FAILED, ATTEMPTS, ATTEMPTS)
        assert {attempt.status for attempt in delivery.attempts} == {503}

    def test_until_it_gets_through(self, world: WebhookWorld) -> None:
        webhook, event = world.register(), bill_created()
        world.receiver.answers = [503, 0]
        world.sending.notify(event)
        assert world.now_of(webhook).failing_since == world.clock.now()

        world.sweep_until_quiet(timedelta(hours=1))

        delivery = world.told(webhook, event)
        assert [attempt.failure for attempt in delivery.attempts] == [Failure.REFUSED, Failure.UNREACHABLE, None]
        assert delivery.state is DeliveryState.DELIVERED
        assert world.now_of(webhook).failing_since is None

    def test_pauses_have_jitter_and_a_ceiling(self) -> None:
        minute = timedelta(minutes=1)

        assert pause_after(1, minute, lambda: 1.0) == minute * 1.2
        assert pause_after(20, minute, lambda: 0.0) == LONGEST_PAUSE

    def test_two_sweeps_at_once_send_one(self, world: WebhookWorld) -> None:
        webhook, event = world.register(), bill_created()
        world.receiver.answers = [503]
        world.sending.notify(event)
        world.clock.advance(timedelta(minutes=1))
        now = world.clock.now()

        first, second = (world.table.lease_due(now, now + LEASE, 10)[0] for _ in range(2))

        assert (len(first), len(second)) == (1, 0)
        assert world.told(webhook, event).tries == 1

    def test_a_sweep_has_a_limit_and_says_that_there_is_more(self, world: WebhookWorld) -> None:
        world.register()
        world.receiver.answers = [503] * 40
        for number in range(40):
            world.sending.notify(bill_created(bill_id=f"bil_{number}"))
        world.clock.advance(timedelta(minutes=1))

        assert world.sending.send_due(20) == (20, True)
        assert world.sending.send_due(100) == (20, False)

    def test_a_receiver_that_does_not_answer_costs_a_round_one_attempt(self, world: WebhookWorld) -> None:
        dead, alive = world.register(), world.register(BERT)
        world.receiver.answers = [500, 500]
        for user_id in (ANNA, BERT):
            for number in range(6):
                world.sending.notify(bill_created(user_id, f"bil_{number}"))
        world.clock.advance(timedelta(minutes=1))
        world.receiver.got.clear()
        world.receiver.down.add(dead.webhook_id)

        assert world.sending.send_due(100) == (12, False)

        attempts = [webhook_id for webhook_id, _ in world.receiver.got]
        assert (attempts.count(dead.webhook_id), attempts.count(alive.webhook_id)) == (1, 6)
        world.receiver.down.clear()
        world.clock.advance(timedelta(minutes=4))
        world.sending.send_due(100)
        assert {each.state for each in world.table.sent.values()} == {DeliveryState.DELIVERED}

    def test_without_time_nothing_is_begun(self, world: WebhookWorld) -> None:
        world.register()
        world.receiver.answers = [503]
        world.sending.notify(bill_created())
        world.clock.advance(timedelta(minutes=1))

        with invocation(None, 5):
            assert world.sending.send_due(100) == (0, False)


class TestGivingUp:
    def test_410_disables_at_once(self, world: WebhookWorld) -> None:
        webhook, event = world.register(), bill_created()
        world.receiver.answers = [410]

        world.sending.notify(event)

        now = world.now_of(webhook)
        assert (now.state, now.disabled_reason) == (WebhookState.DISABLED, DisabledReason.GONE)

    def test_a_day_without_success_disables(self, world: WebhookWorld) -> None:
        webhook = world.register()
        world.receiver.answers = [500] * 2 * ATTEMPTS
        world.sending.notify(bill_created())

        world.sweep_until_quiet(timedelta(hours=30))

        now = world.now_of(webhook)
        assert (now.state, now.disabled_reason) == (WebhookState.DISABLED, DisabledReason.FAILING)

    def test_a_delivery_that_alone_fails_does_not(self, world: WebhookWorld) -> None:
        """A receiver that chokes on one event but takes others works."""
        webhook = world.register()
        world.receiver.answers = [500]
        world.sending.notify(bill_created())
        for number in range(ATTEMPTS - 1):
            world.receiver.answers = [200, 500]
            world.sending.notify(bill_created(bill_id=f"bil_{number}"))
            world.sweep_until_quiet(timedelta(hours=9))

        assert world.now_of(webhook).state is WebhookState.ACTIVE

    def test_what_waits_for_a_disabled_webhook_is_not_sent(self, world: WebhookWorld) -> None:
        webhook, waiting = world.register(), bill_created()
        world.receiver.answers = [500, 410]
        world.sending.notify(waiting)
        world.sending.notify(bill_created(bill_id="bil_2"))
        world.sending.send_due(100)
        sent = len(world.receiver.got)

        world.sweep_until_quiet(timedelta(minutes=5))

        assert len(world.receiver.got) == sent
        delivery = world.told(webhook, waiting)
        assert (delivery.state, delivery.attempts[-1].failure) == (DeliveryState.FAILED, Failure.DISABLED)
        assert world.sending.notify(bill_created(bill_id="bil_3")) == 0

    def test_a_test_that_gets_through_makes_it_active_again(self, world: WebhookWorld) -> None:
        webhook = world.register()
        world.receiver.answers = [410]
        world.sending.notify(bill_created())

        world.webhooks.test_webhook(ANNA, webhook.webhook_id)

        now = world.now_of(webhook)
        assert (now.state, now.disabled_reason, now.failing_since) == (WebhookState.ACTIVE, None, None)

    def test_a_test_that_fails_is_not_tried_again_and_changes_nothing(self, world: WebhookWorld) -> None:
        webhook = world.register()
        world.receiver.answers = [500]

        made = world.webhooks.test_webhook(ANNA, webhook.webhook_id)

        assert world.table.sent[ANNA, webhook.webhook_id, made.delivery_id].state is DeliveryState.FAILED
        assert world.now_of(webhook) == webhook

    def test_a_webhook_that_changes_meanwhile_is_left_as_it_is(self, world: WebhookWorld) -> None:
        webhook, event = world.register(), bill_created()
        world.table.losing_races = 1
        world.receiver.answers = [410]

        world.sending.notify(event)

        assert world.now_of(webhook).state is WebhookState.ACTIVE


class TestRpc:
    def test_what_is_no_event_is_refused(self, world: WebhookWorld) -> None:
        with pytest.raises(InvalidInput) as refused:
            world.rpc.call("Notify", NotifyRequest(cloud_event=b"{}"), NotifyReply)
        assert [error.field for error in refused.value.errors] == ["cloud_event"]

    def test_notify_and_send_due(self, world: WebhookWorld) -> None:
        world.register()
        world.receiver.answers = [500]
        event = bill_created().to_json().encode()

        assert world.rpc.call("Notify", NotifyRequest(cloud_event=event), NotifyReply).deliveries == 1
        world.clock.advance(timedelta(minutes=1))
        with invocation(None, 60):
            reply = Stub(WEBHOOKS, world.channel, 60.0).call("SendDue", SendDueRequest(limit=10), SendDueReply)
        assert (reply.tried, reply.more) == (1, False)
        with pytest.raises(InvalidInput):
            world.rpc.call("SendDue", SendDueRequest(), SendDueReply)

    def test_what_is_left_when_the_time_is_over_comes_again(self, world: WebhookWorld) -> None:
        world.register()
        world.receiver.answers = [500]
        for number in range(3):
            world.sending.notify(bill_created(bill_id=f"bil_{number}"))
        world.clock.advance(timedelta(minutes=1))
        world.receiver.got.clear()
        due, _ = world.table.lease_due(world.clock.now(), world.clock.now() + LEASE, 10)

        with invocation(None, 5):
            world.sending._send_all(due)

        assert len(world.receiver.got) == 1
        world.clock.advance(LEASE)
        assert world.sending.send_due(10)[0] == 2

    def test_send_of_what_is_not_due(self, world: WebhookWorld) -> None:
        request = SendRequest(user_id=ANNA, webhook_id="whk_1", delivery_id="evt_1")
        assert not world.rpc.call("Send", request, SendReply).tried

    def test_an_export_has_webhooks_and_deliveries_and_no_secret(self, world: WebhookWorld) -> None:
        webhook, secret = world.webhooks.create_webhook(ANNA, "https://a.example.com", ["bill.created.v1"], "mine")
        world.sending.notify(bill_created())
        world.register(BERT)

        page = world.rpc.call("ExportUser", ExportUserRequest(user_id=ANNA), ExportUserReply)

        held = json.loads(page.json)
        assert [each["webhook_id"] for each in held["webhooks"]] == [webhook.webhook_id]
        assert [each["event_type"] for each in held["deliveries"]] == ["bill.created.v1"]
        assert secret.encode() not in page.json
        assert "secrets" not in held["webhooks"][0]

    def test_a_purge_leaves_nothing_and_lets_nothing_in(self, world: WebhookWorld) -> None:
        world.register()
        kept = world.register(BERT)
        world.sending.notify(bill_created())

        reply = world.rpc.call("PurgeUser", PurgeUserRequest(user_id=ANNA), PurgeUserReply)

        assert (reply.deleted, reply.more) == (2, False)
        assert [webhook_id for _, webhook_id in world.table.hooks] == [kept.webhook_id]
        with pytest.raises(NotFound):
            world.register()
