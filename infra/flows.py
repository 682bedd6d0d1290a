"""What is measured of the platform: its main flows, each run once by a function that answers how many of it it did."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING  # Any: keys as DynamoDB has them

from functions.common.clock import rfc3339
from infra.aws import client
from infra.client import await_value
from infra.households import Household
from infra.rig import SETTLE, Rig
from infra.settings import ROOT

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

READS, IDLE_SWEEPS = 100, 3
SCHEDULED = json.loads((ROOT / "tests/events/Sweep.json").read_text())
Flow = Callable[[], int]
"""Runs once; answers how many of what is measured it did."""


def flows_of(rig: Rig, homes: Sequence[Household]) -> dict[str, Flow]:
    def cached_read() -> int:
        for _ in range(READS):
            homes[0].read()
        return READS

    def idle_sweep() -> int:
        for _ in range(IDLE_SWEEPS):
            rig.invoke("Sweep", SCHEDULED)
        return IDLE_SWEEPS

    def refresh_unchanged() -> int:
        return sum(_swept(rig, home) for home in homes)

    def refresh_with_a_new_bill() -> int:
        homes[0].next_month()
        return sum(_swept(rig, home) for home in homes)

    def look_at_a_due_date() -> int:
        return _looked(rig, homes)

    flows = (cached_read, idle_sweep, refresh_unchanged, look_at_a_due_date, refresh_with_a_new_bill)
    return {flow.__name__: flow for flow in flows}


def _swept(rig: Rig, home: Household) -> int:
    """Makes a household's links due and lets one sweep ask for them; answers how many, when all are refreshed."""
    dynamodb: DynamoDBClient = client(rig.settings, "dynamodb")
    table, begun = rig.ids["LinksTable"], rfc3339(datetime.now(UTC))
    keys = [{"user_id": {"S": home.user_id}, "link_id": {"S": link}} for link in home.link_ids]
    for key in keys:
        dynamodb.update_item(
            TableName=table,
            Key=key,
            UpdateExpression="SET next_refresh_at = :at",
            ExpressionAttributeValues={":at": {"S": rfc3339(datetime.now(UTC) - timedelta(minutes=1))}},
        )

    def refreshed() -> bool:
        """By the table: asking the API would be counted."""
        items = [dynamodb.get_item(TableName=table, Key=key)["Item"] for key in keys]
        return all(item["last_attempt_at"]["S"] > begun for item in items)

    rig.invoke("Sweep", SCHEDULED)
    await_value(refreshed, SETTLE, "a refresh of every link")
    return len(keys)


def _looked(rig: Rig, homes: Sequence[Household]) -> int:
    """Lets one sweep look at every bill that may have to be reminded of; answers how many, when all were."""
    dynamodb: DynamoDBClient = client(rig.settings, "dynamodb")
    table, now = rig.ids["BillsTable"], datetime.now(UTC)
    keys = [
        {"user_id": item["user_id"], "sk": item["sk"]}
        for home in homes
        for page in dynamodb.get_paginator("query").paginate(
            TableName=table,
            KeyConditionExpression="user_id = :user",
            FilterExpression="attribute_exists(remind_at)",
            ExpressionAttributeValues={":user": {"S": home.user_id}},
        )
        for item in page["Items"]
    ]
    for key in keys:
        dynamodb.update_item(
            TableName=table,
            Key=key,
            UpdateExpression="SET remind_at = :at",
            ExpressionAttributeValues={":at": {"S": rfc3339(now - timedelta(minutes=1))}},
        )

    def looked() -> bool:
        items = [dynamodb.get_item(TableName=table, Key=key)["Item"] for key in keys]
        return all(item["remind_at"]["S"] > rfc3339(now) for item in items)

    rig.invoke("Sweep", SCHEDULED)
    await_value(looked, SETTLE, "a look at every bill")
    return len(keys)
