"""What breaks, repeats and comes in disorder: nothing is lost, and nothing is done twice.

Proven elsewhere, and not repeated here: an outbox left behind and a link that fell due (test_sweep), a bill announced
twice by its utility (test_webhooks_in), one event at one webhook three times and a receiver that is down
(test_webhooks_out), Redis stopped and started under load (test_cache), deletion while a service is down
(test_deletion), a utility that is down (test_protection), a message that is no event (test_events).

A thousand refreshes with 5 % poison and 10 % passing failures: here on the running platform, and with every delivery
counted through the real worker and queues of moto's in tests/unit/listener_service/test_thousand.py.
"""

import contextlib
import json
import random
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import msgspec
import psutil
import pytest

from functions.common.clock import rfc3339
from functions.contracts.events.bills import BillsRefreshRequestedV1
from functions.contracts.events.envelope import CloudEvent, parse, wrap
from infra import engine
from infra.client import Json
from infra.dead_letters import DeadLetterQueues
from infra.settings import Target
from tests.integration.household import GAS, INTERNET, POWER, WATER, Household
from tests.integration.patience import await_value, patience
from tests.integration.platform import SCHEDULED, Platform, sqs_event
from tests.integration.test_webhooks_out import Receiver, receiver, registered

SECONDS = 60.0
QUEUES = ("ProjectionQueue", "RefreshQueue", "NotifyQueue", "AuditQueue")
TOLD = ("bill.created.v1", "bill.updated.v1", "account.linked.v1", "account.state_changed.v1", "account.unlinked.v1")
GOOD, POISON, PASSING = 850, 50, 100
THOUSAND_SECONDS = 300.0
AGAIN_SECONDS = 30
"""Five of these last longer than it takes to refuse each of what fails in passing: if it came again sooner, some of it
would be given up. The good ones take longer than one, so that nobody waits for it."""
LATE_MS = 60_000
"""A line may come into the log after younger ones: as late as an invocation is long."""

__all__ = ["receiver"]  # pytest finds the fixture by its name in this module


def of_user(household: Household, heard: list[str]) -> list[CloudEvent]:
    """What went over the bus about this household."""
    return [event for event in map(parse, heard) if household.user_id in bytes(event.data).decode()]


def wanted(household: Household, link_id: str, number: int = 0) -> CloudEvent:
    """Somebody wants the link read; known by a correlation id of its own."""
    data = BillsRefreshRequestedV1(user_id=household.user_id, link_id=link_id, reason="provider")
    event = wrap(data, datetime.now(UTC))
    return msgspec.structs.replace(event, correlationid=f"it-chaos-{number}-{event.id}")


class Log:
    """Lines of one kind in the log of the worker of refreshes, since this began."""

    def __init__(self, platform: Platform, what: str) -> None:
        self._platform, self._mark = platform, f'"event":"{what}"'
        self._since_ms = int(time.time() * 1000) - 1000
        self._lines: dict[str, Json] = {}

    def lines(self) -> dict[str, Json]:
        """The last one of each correlation id."""
        for event in list(self._platform.log_events("RefreshWorker", self._since_ms)):
            self._since_ms = max(self._since_ms, event["timestamp"] - LATE_MS)
            if self._mark in event["message"]:
                line = json.loads(event["message"])
                self._lines[line["correlation_id"]] = line
        return self._lines


def send(platform: Platform, bodies: list[str]) -> set[str]:
    """Puts messages into the queue of refreshes. Answers their ids."""
    sent = set()
    for start in range(0, len(bodies), 10):
        entries = [{"Id": str(number), "MessageBody": body} for number, body in enumerate(bodies[start : start + 10])]
        answer = platform.sqs.send_message_batch(QueueUrl=platform.ids["RefreshQueue"], Entries=entries)  # type: ignore[arg-type]
        sent |= {each["MessageId"] for each in answer["Successful"]}
    return sent


def test_every_event_three_times_and_shuffled_changes_nothing_and_is_told_once(
    household: Household, platform: Platform, receiver: Receiver, next_month: Callable[[], str]
) -> None:
    path = f"/shuffled/{household.user_id}"
    with receiver.up(), platform.overheard() as listen:
        webhook = registered(household, receiver, path, *TOLD)
        links = [household.link(provider_id) for provider_id in (WATER, INTERNET, GAS)]
        household.settle()
        next_month()
        household.refresh(*links)
        household.client.unlink(links.pop())
        await_value(
            lambda: "account.unlinked.v1" in types(household, listen()), SECONDS, "word of the unlinked account"
        )
        settle(platform)
        events = of_user(household, listen())
        changes = {event.id for event in events if event.type in TOLD}
        await_value(
            lambda: {each.event_id for each in receiver.of(path)} >= changes, SECONDS, "a webhook of each change"
        )
        bills, accounts = household.client.bills().items, histories(household)

        again = events * 3
        random.Random(6).shuffle(again)
        for event in again:
            platform.publish(event)
        settle(platform)
        platform.invoke("Sweep", SCHEDULED)
        told = {event.id for event in of_user(household, listen()) if event.type in TOLD}

    assert household.client.bills().items == bills
    assert {bill["link_id"] for bill in bills} == set(links)
    assert histories(household) == accounts
    assert told == changes, "what came again has brought forth new events"
    assert Counter(each.event_id for each in receiver.of(path)) == dict.fromkeys(changes, 1)
    assert all(each.verified(webhook["secret"]) for each in receiver.of(path))


def types(household: Household, heard: list[str]) -> set[str]:
    return {event.type for event in of_user(household, heard)}


def settle(platform: Platform) -> None:
    for queue in QUEUES:
        platform.await_empty(queue)


def histories(household: Household) -> dict[str, Json]:
    """What became of each link so far."""
    ids = [each["link_id"] for each in household.client.accounts()]
    return {link_id: household.client.call("GET", f"/accounts/{link_id}")["history"] for link_id in ids}


@pytest.fixture
def running(platform: Platform) -> psutil.Process:
    """The engine, of which every function's processes are children."""
    process = engine.daemon(platform.settings).process()
    if platform.settings.target is Target.LOCALSTACK:
        pytest.skip("LocalStack runs functions in containers or processes of its own, which are not ours to kill")
    if platform.settings.target is not Target.EMBEDDED or process is None:
        pytest.skip("only the processes of an engine that was started from here may be killed")
    return process


def kill(platform: Platform, running: psutil.Process, *functions: str) -> int:
    """Ends every process that runs one of the functions, as the kernel would for want of memory. Answers how many."""
    names = {platform.ids[function] for function in functions}
    killed = 0
    for child in running.children():
        with contextlib.suppress(psutil.Error):  # it has ended by itself
            if child.environ().get("AWS_LAMBDA_FUNCTION_NAME") in names:
                child.kill()
                killed += 1
    return killed


def test_a_worker_that_is_killed_in_the_middle_of_a_batch_is_not_missed(
    household: Household, platform: Platform, running: psutil.Process, next_month: Callable[[], str]
) -> None:
    quick, slow = household.link(INTERNET), household.link(POWER, "slow")
    household.settle()
    before = Counter(bill["link_id"] for bill in household.client.bills().items)
    next_month()
    events = [wanted(household, link_id) for link_id in (quick, slow)]
    refreshed = Log(platform, "refreshed")

    with platform.overheard() as listen:

        def told() -> Counter[str]:
            created = {event.id: event for event in of_user(household, listen()) if event.type == "bill.created.v1"}
            return Counter(str(json.loads(bytes(event.data))["link_id"]) for event in created.values())

        with platform.impatient("RefreshQueue"):
            send(platform, [event.to_json() for event in events])
            await_value(lambda: told()[quick], SECONDS, "the first of the batch")
            assert kill(platform, running, "RefreshWorker", "BillRpc") >= 2
            assert not told()[slow], "the batch was over before it was cut off"
            await_value(lambda: told()[slow], SECONDS, "the other of the batch")
        platform.await_empty("RefreshQueue")
        assert told() == {quick: 1, slow: 1}

    after = Counter(bill["link_id"] for bill in household.client.bills().items)
    assert after == before + Counter({quick: 1, slow: 1})
    assert refreshed.lines().keys() >= {event.correlationid for event in events}


def rewind(platform: Platform, household: Household) -> int:
    """Lets what waits in this household's outboxes have waited for long. Answers how many items do."""
    long_ago = rfc3339(datetime.now(UTC) - timedelta(minutes=10))
    waiting = 0
    for name, sort_key in (("LinksTable", "link_id"), ("BillsTable", "sk")):
        pages = platform.dynamodb.get_paginator("query").paginate(
            TableName=platform.ids[name],
            KeyConditionExpression="user_id = :user",
            ExpressionAttributeValues={":user": {"S": household.user_id}},
            ConsistentRead=True,
        )
        for item in (item for page in pages for item in page["Items"] if "outbox_shard" in item):
            platform.dynamodb.update_item(
                TableName=platform.ids[name],
                Key={"user_id": item["user_id"], sort_key: item[sort_key]},
                UpdateExpression="SET updated_at = :at",
                ExpressionAttributeValues={":at": {"S": long_ago}},
            )
            waiting += 1
    return waiting


def test_what_was_written_while_the_bus_was_away_is_told_when_it_is_back(
    household: Household, platform: Platform, receiver: Receiver
) -> None:
    path = f"/late/{household.user_id}"
    with receiver.up(), platform.overheard() as listen:
        registered(household, receiver, path, *TOLD)
        with platform.stopped("BrokerRpc"):
            link_id = household.link(INTERNET)
            answer = platform.invoke("RefreshWorker", sqs_event(wanted(household, link_id).to_json()))
            assert answer == {"batchItemFailures": []}
            bills = {bill["bill_id"] for bill in household.client.bills().of(link_id)}
            assert len(bills) == 12
            assert of_user(household, listen()) == []
            assert rewind(platform, household) >= len(bills) + 1

        platform.invoke("Sweep", SCHEDULED)
        await_value(lambda: rewind(platform, household) == 0, SECONDS, "empty outboxes")
        events = of_user(household, listen())
        ids = {event.id for event in events if event.type in TOLD}
        await_value(lambda: {e.event_id for e in receiver.of(path)} >= ids, SECONDS, "a webhook of each change")
        platform.await_empty("NotifyQueue")

    told = Counter(event.type for event in {event.id: event for event in events}.values())
    assert (told["account.linked.v1"], told["bill.created.v1"]) == (1, len(bills))
    assert {event.subject for event in events if event.type == "bill.created.v1"} == bills
    assert told["account.state_changed.v1"] >= 1
    assert Counter(each.event_id for each in receiver.of(path)) == dict.fromkeys(ids, 1)


def test_of_a_thousand_refreshes_all_good_ones_are_done_and_poison_waits_until_it_is_mended(
    household: Household, platform: Platform
) -> None:
    links = [household.link(provider_id) for provider_id in (POWER, GAS, WATER, INTERNET) for _ in range(3)]
    household.settle()
    bills = household.client.bills().items
    events = [wanted(household, links[number % len(links)], number) for number in range(POISON + PASSING + GOOD)]
    poison, passing, good = events[:POISON], events[POISON : POISON + PASSING], events[POISON + PASSING :]
    dead_letters = DeadLetterQueues(platform.sqs, platform.ids)
    others = dead_letters.count("RefreshQueueDead")

    deferred, refreshed = Log(platform, "message_deferred"), Log(platform, "refreshed")

    with platform.stopped("BillRpc"):
        with platform.impatient("RefreshQueue"):
            sent = send(platform, [event.to_json() for event in poison])
            buried = others + POISON
            await_value(
                lambda: dead_letters.count("RefreshQueueDead") == buried, THOUSAND_SECONDS, "the end of the poison"
            )
        with platform.impatient("RefreshQueue", int(AGAIN_SECONDS * patience())):
            send(platform, [event.to_json() for event in passing])
            await_value(lambda: deferred.lines().keys() >= ids(passing), THOUSAND_SECONDS, "a refusal of each")
    send(platform, [event.to_json() for event in good])
    await_value(lambda: refreshed.lines().keys() >= ids(passing + good), THOUSAND_SECONDS, "all good ones")

    found = [each for each in dead_letters.look("RefreshQueueDead", buried) if each.message_id in sent]
    assert {(each.reason, each.handler, each.event_type) for each in found} == {
        ("unavailable", "refresh", poison[0].type)
    }
    assert len(found) == POISON
    assert dead_letters.redrive("RefreshQueue", "RefreshQueueDead", buried) == buried
    await_value(lambda: refreshed.lines().keys() >= ids(events), THOUSAND_SECONDS, "what was poison")
    platform.await_empty("RefreshQueue")
    assert dead_letters.count("RefreshQueueDead") <= others
    outcomes = Counter(refreshed.lines()[each]["outcome"] for each in ids(events))
    assert outcomes["fresh"] >= 0.99 * len(events), "a busy machine may keep a utility from answering in time"
    assert outcomes.keys() <= {"fresh", "failed"}
    assert household.client.bills().items == bills


def ids(events: list[CloudEvent]) -> set[str]:
    return {event.correlationid for event in events}
