"""What is unlinked is gone: bills, secrets, and whatever comes late."""

from datetime import UTC, datetime

from functions.contracts.events.bills import BillsRefreshRequestedV1
from functions.contracts.events.envelope import CloudEvent, wrap
from tests.integration.household import INTERNET, POWER, Household
from tests.integration.patience import await_value
from tests.integration.platform import Platform, sqs_event
from tests.integration.problems import refused


def refresh_event(user: Household, link_id: str) -> CloudEvent:
    data = BillsRefreshRequestedV1(user_id=user.user_id, link_id=link_id, reason="user")
    return wrap(data, datetime.now(UTC))


def bills_are_gone(user: Household, link_id: str) -> bool:
    found = user.client.bills()
    return not found.of(link_id) and not found.source(link_id)


def test_an_unlinked_accounts_bills_go_and_do_not_come_back(household: Household, platform: Platform) -> None:
    gone, kept = household.link(POWER), household.link(INTERNET)
    household.settle()
    assert household.client.bills().of(gone)

    household.client.unlink(gone)

    refused(household.client.send("GET", f"/accounts/{gone}"), 404)
    await_value(lambda: bills_are_gone(household, gone), 60, "the end of the unlinked account's bills")
    # a refresh that was on its way, once through the bus and once straight to the worker
    platform.publish(refresh_event(household, gone))
    late = sqs_event(refresh_event(household, gone).to_json())
    assert platform.invoke("RefreshWorker", late) == {"batchItemFailures": []}
    platform.await_empty("RefreshQueue")
    assert bills_are_gone(household, gone)
    assert [account["link_id"] for account in household.client.accounts()] == [kept]
    assert household.client.bills().of(kept)


def test_the_wrapped_key_is_shredded(household: Household, platform: Platform) -> None:
    link_id = household.link(POWER)
    key = {"link_id": {"S": link_id}}
    table = platform.ids["LinkKeysTable"]
    assert platform.dynamodb.get_item(TableName=table, Key=key, ConsistentRead=True).get("Item")

    household.client.unlink(link_id)

    assert not platform.dynamodb.get_item(TableName=table, Key=key, ConsistentRead=True).get("Item")


def test_what_was_unlinked_can_be_linked_again(household: Household) -> None:
    params = {"account_number": "FN55501234"}
    first = str(household.link_with(INTERNET, "good", params)["link_id"])
    household.settle()
    household.client.unlink(first)

    second = str(household.link_with(INTERNET, "good", params)["link_id"])
    household.settle()

    assert second != first
    found = household.client.bills()
    assert found.of(second)


def test_unlinking_twice_is_404(household: Household) -> None:
    link_id = household.link(POWER)
    household.client.unlink(link_id)

    refused(household.client.send("DELETE", f"/accounts/{link_id}"), 404)
