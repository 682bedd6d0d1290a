"""The scheduled sweep: the truth is in the tables, so what an event should have done is done without it too."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any  # DynamoDB's items

from functions.common.clock import parse_rfc3339, rfc3339
from functions.contracts.events.accounts import AccountLinkedV1
from functions.contracts.events.envelope import wrap
from tests.integration.household import INTERNET, WATER, Household
from tests.integration.patience import await_value
from tests.integration.platform import SCHEDULED, Platform


def item(platform: Platform, user: Household, link_id: str) -> dict[str, Any]:
    key = {"user_id": {"S": user.user_id}, "link_id": {"S": link_id}}
    return dict(
        platform.dynamodb.get_item(TableName=platform.ids["LinksTable"], Key=key, ConsistentRead=True).get("Item", {})
    )


def update(platform: Platform, user: Household, link_id: str, expression: str, values: dict[str, Any]) -> None:
    platform.dynamodb.update_item(
        TableName=platform.ids["LinksTable"],
        Key={"user_id": {"S": user.user_id}, "link_id": {"S": link_id}},
        UpdateExpression=expression,
        ExpressionAttributeValues=values,
    )


def a_link_of_which_a_new_bill_waits(
    user: Household, provider_id: str, next_month: Callable[[], str]
) -> tuple[str, int]:
    link_id = user.link(provider_id)
    user.settle()
    before = len(user.client.bills().of(link_id))
    next_month()
    return link_id, before


def test_a_link_that_is_due_is_refreshed(
    household: Household, platform: Platform, next_month: Callable[[], str]
) -> None:
    link_id, before = a_link_of_which_a_new_bill_waits(household, INTERNET, next_month)
    an_hour_ago = rfc3339(datetime.now(UTC) - timedelta(hours=1))
    update(platform, household, link_id, "SET next_refresh_at = :at", {":at": {"S": an_hour_ago}})

    platform.invoke("Sweep", SCHEDULED)

    await_value(lambda: len(household.client.bills().of(link_id)) == before + 1, 60, "the bill of a link that was due")
    account = household.client.call("GET", f"/accounts/{link_id}")
    assert parse_rfc3339(account["next_refresh_at"]) > datetime.now(UTC)


def test_an_event_left_in_an_outbox_goes_out(
    household: Household, platform: Platform, next_month: Callable[[], str]
) -> None:
    """As after a crash between the write of a link and the publishing of its event."""
    link_id, before = a_link_of_which_a_new_bill_waits(household, WATER, next_month)
    await_value(lambda: not item(platform, household, link_id).get("outbox"), 60, "the end of the link's own events")
    data = AccountLinkedV1(user_id=household.user_id, link_id=link_id, provider_id=WATER, state="PENDING", version=1)
    left = {
        ":events": {"L": [{"S": wrap(data, datetime.now(UTC)).to_json()}]},
        ":shard": {"N": "3"},
        ":at": {"S": rfc3339(datetime.now(UTC) - timedelta(minutes=10))},
    }
    update(platform, household, link_id, "SET outbox = :events, outbox_shard = :shard, updated_at = :at", left)

    platform.invoke("Sweep", SCHEDULED)

    await_value(lambda: len(household.client.bills().of(link_id)) == before + 1, 60, "what the event should bring")
    await_value(lambda: not item(platform, household, link_id).get("outbox"), 60, "an empty outbox")
    assert "outbox_shard" not in item(platform, household, link_id)


def test_the_sweep_runs_by_itself(platform: Platform) -> None:
    """Its rule fires each minute; it may take that long."""
    await_value(lambda: any(True for _ in platform.log_lines("Sweep")), 100, "a line in the sweep's log")
