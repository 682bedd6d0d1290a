"""SNS → SQS → listener, without the API: events published by hand, poison, repeats."""

import json
from collections.abc import Callable
from datetime import UTC, datetime

from functions.contracts.events.bills import BillsRefreshRequestedV1
from functions.contracts.events.envelope import wrap
from tests.integration.household import GAS, INTERNET, Household
from tests.integration.patience import await_value
from tests.integration.platform import Platform, sqs_event

POISON = "this is no event {"


def refresh_event(user: Household, link_id: str) -> str:
    return wrap(BillsRefreshRequestedV1(user_id=user.user_id, link_id=link_id, reason="provider"), now()).to_json()


def now() -> datetime:
    return datetime.now(UTC)


def test_an_event_published_by_hand_refreshes(
    household: Household, platform: Platform, next_month: Callable[[], str]
) -> None:
    link_id = household.link(INTERNET)
    household.settle()
    before = len(household.client.bills().of(link_id))
    next_month()

    data = BillsRefreshRequestedV1(user_id=household.user_id, link_id=link_id, reason="provider")
    platform.publish(wrap(data, now()))

    await_value(lambda: len(household.client.bills().of(link_id)) == before + 1, 60, "the new month's bill")


def test_one_bad_message_does_not_spoil_its_batch(
    household: Household, platform: Platform, next_month: Callable[[], str]
) -> None:
    link_id = household.link(GAS)
    household.settle()
    before = len(household.client.bills().of(link_id))
    next_month()
    marked = f"{POISON} {now().isoformat()}"

    answer = platform.invoke("RefreshWorker", sqs_event(marked, refresh_event(household, link_id)))

    assert answer == {"batchItemFailures": []}  # no delivery would mend it: given up at once
    assert reason_in(platform, "RefreshQueueDead", marked).startswith("no CloudEvent")
    assert len(household.client.bills().of(link_id)) == before + 1


def test_an_event_that_comes_twice_changes_nothing_more(household: Household, platform: Platform) -> None:
    link_id = household.link(INTERNET)
    household.settle()
    before = household.client.bills().items
    event = refresh_event(household, link_id)

    answer = platform.invoke("RefreshWorker", sqs_event(event, event))

    assert answer == {"batchItemFailures": []}
    assert household.client.bills().items == before


def test_poison_ends_in_the_dead_letter_queue_with_its_reason(platform: Platform) -> None:
    marked = f"{POISON} {now().isoformat()}"

    platform.sqs.send_message(QueueUrl=platform.ids["RefreshQueue"], MessageBody=marked)

    assert reason_in(platform, "RefreshQueueDead", marked).startswith("no CloudEvent")


def reason_in(platform: Platform, queue: str, body: str) -> str:
    """Why the message with this body is in the dead-letter queue, from which it is taken; waits for it."""
    dead, reasons = platform.ids[queue], list[str]()

    def arrived() -> bool:
        # what others have left there is seen once and then put aside for a while
        got = platform.sqs.receive_message(
            QueueUrl=dead, MaxNumberOfMessages=10, VisibilityTimeout=20, MessageAttributeNames=["All"]
        )
        for message in got.get("Messages", ()):
            if message["Body"] == body:
                reasons.append(message["MessageAttributes"]["reason"]["StringValue"])
                platform.sqs.delete_message(QueueUrl=dead, ReceiptHandle=message["ReceiptHandle"])
        return bool(reasons)

    await_value(arrived, 60, f"the message in {queue}")
    return reasons[0]


def test_each_queue_has_a_dead_letter_queue(platform: Platform) -> None:
    wanted = {"RefreshQueue": 5, "ProjectionQueue": 60, "NotifyQueue": 60, "PurgeQueue": 10, "AuditQueue": 60}
    for name, deliveries in wanted.items():
        names = ["RedrivePolicy"]
        found = platform.sqs.get_queue_attributes(QueueUrl=platform.ids[name], AttributeNames=names)["Attributes"]  # type: ignore[arg-type]
        policy = json.loads(found["RedrivePolicy"])
        assert policy["deadLetterTargetArn"].rpartition(":")[2] == platform.ids[f"{name}Dead"].rpartition("/")[2]
        assert int(policy["maxReceiveCount"]) == deliveries
