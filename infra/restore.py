"""`make restore`: brings back what a table has lost, from a copy of how it was (docs/operations.md).

A copy is made by point-in-time recovery, as a table of its own. Items that the live table lacks come back, as far as
`restore_rules` lets them; what is there stays as it is. Nothing is written before APPLY=1.
"""

import re
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from functions.common.clock import parse_rfc3339
from infra import stack
from infra.aws import client
from infra.console import Failure, say, step
from infra.restore_rules import BACK, LATER, NEVER, OLDEST, RULES, Item, Live, judged, text
from infra.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

STAMP = "%Y%m%dT%H%M%SZ"
COPY = re.compile(r"(?P<table>.+)-at-(?P<point>\d{8}T\d{6}Z)")
PATIENCE = 7200.0
"""Seconds: how long DynamoDB takes for a copy has little to do with its size, but it does take its time."""
THERE = "it is there"


def run(settings: Settings, table: str, at: str, copy: str, *, apply: bool) -> None:
    """Makes a copy as of `at`, or goes on with `copy`; tells what would come back, and with `apply` brings it back."""
    _check(table)
    dynamodb: DynamoDBClient = client(settings, "dynamodb")
    names = stack.resources(settings)
    point = _point_of(copy, names[table]) if copy else _instant(at)
    _check_age(table, point)
    copy = copy or _copied(dynamodb, names[table], point)
    live = Live(dynamodb, names, point)
    outcomes = bring_back(live, table, copy, apply=apply)
    say(f"{table}, of what {copy} has:")
    for outcome, count in outcomes.most_common():
        told = ("came back" if apply else "would come back") if outcome == BACK else f"left out: {outcome}"
        say(f"  {count:>8} {told}")
    if not apply:
        say(f"nothing is written yet: make restore TABLE={table} FROM={copy} APPLY=1")
    say(f"the copy holds what was deleted since; once done: aws dynamodb delete-table --table-name {copy}")


def bring_back(live: Live, table: str, copy: str, *, apply: bool) -> Counter[str]:
    """How many items came back (BACK), or why they did not."""
    outcomes: Counter[str] = Counter()
    links = set()
    for item in _ordered(live.dynamodb, table, copy):
        outcome = _outcome(live, table, item, apply=apply)
        outcomes[outcome] += 1
        if outcome == BACK and table == "BillsTable" and "content" in item:
            links.add((text(item, "user_id"), text(item, "link_id")))
    if apply:
        for user_id, link_id in links:
            _forget_answer(live, user_id, link_id)
    return outcomes


def _outcome(live: Live, table: str, item: Item, *, apply: bool) -> str:
    keys = live.keys(table)
    key = {name: item[name] for name in keys}
    if live.dynamodb.get_item(TableName=live.names[table], Key=key, ConsistentRead=True).get("Item"):
        return THERE
    outcome = judged(table, item, live)
    if outcome == BACK and apply:
        try:
            live.dynamodb.put_item(
                TableName=live.names[table], Item=item, ConditionExpression=f"attribute_not_exists({keys[0]})"
            )
        except live.dynamodb.exceptions.ConditionalCheckFailedException:
            return THERE  # made in this moment
    return outcome


def _forget_answer(live: Live, user_id: str, link_id: str) -> None:
    """The next refresh compares every bill: what the utility changed since the copy is not known by its answer."""
    try:
        live.dynamodb.update_item(
            TableName=live.names["BillsTable"],
            Key={"user_id": {"S": user_id}, "sk": {"S": f"link#{link_id}"}},
            UpdateExpression="REMOVE answer_digest",
            ConditionExpression="attribute_exists(sk)",
        )
    except live.dynamodb.exceptions.ConditionalCheckFailedException:
        return  # its record is lost too: it is made by the next refresh


def _ordered(dynamodb: "DynamoDBClient", table: str, copy: str) -> Iterator[Item]:
    """Every item of the copy, those that follow from others last."""
    name, prefix = LATER.get(table, ("", ""))
    for late in (False, True) if name else (False,):
        for page in dynamodb.get_paginator("scan").paginate(TableName=copy, ConsistentRead=True):
            for item in page["Items"]:
                if not name or text(item, name).startswith(prefix) is late:
                    yield item


def _copied(dynamodb: "DynamoDBClient", name: str, at: datetime) -> str:
    """The name of a new table as `name` was then. Without time to live and recovery of its own, and in no stack."""
    copy = f"{name}-at-{at:{STAMP}}"
    with step(f"{copy}: a copy as of {at:%Y-%m-%d %H:%M:%S} UTC"):
        dynamodb.restore_table_to_point_in_time(SourceTableName=name, TargetTableName=copy, RestoreDateTime=at)
        until = time.monotonic() + PATIENCE
        while dynamodb.describe_table(TableName=copy)["Table"]["TableStatus"] != "ACTIVE":
            if time.monotonic() > until:
                raise Failure("The copy is not ready yet.", f"make restore TABLE=… FROM={copy}, once it is")
            time.sleep(10)
    return copy


def _check(table: str) -> None:
    if table in NEVER:
        raise Failure(f"{table} is not restored. {NEVER[table]}")
    if table not in RULES:
        raise Failure(f"{table or 'Nothing'} can be restored.", f"make restore TABLE={' | '.join(RULES)} AT=…")


def _check_age(table: str, point: datetime) -> None:
    oldest = OLDEST.get(table)
    if oldest and datetime.now(UTC) - point > oldest:
        raise Failure(
            f"{table} as of {point:%Y-%m-%d} is too old: who was deleted since cannot be told from who was lost.",
            f"AT= within the last {oldest.days} days",
        )


def _instant(at: str) -> datetime:
    try:
        return parse_rfc3339(at).replace(microsecond=0)
    except ValueError:
        raise Failure(
            f"AT={at} is no instant.", "AT=2026-01-31T12:00:00Z, or FROM=… for a copy that is there"
        ) from None


def _point_of(copy: str, name: str) -> datetime:
    found = COPY.fullmatch(copy)
    if found is None or found["table"] != name:
        raise Failure(f"{copy} is no copy of {name} that this command has made.", f"FROM={name}-at-20260131T120000Z")
    return datetime.strptime(found["point"], STAMP).replace(tzinfo=UTC)
