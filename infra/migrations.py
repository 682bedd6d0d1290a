"""Runs the services' migrations (functions/<service>/migrations/NNNN_name.py), each once, in order.

The table of done migrations is the stack's MigrationsTable: `service`, `migration`, `state` (running | done), `since`.
A migration is claimed by a conditional write before it runs, so two deploys at a time do not run it twice.
"""

import importlib
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from botocore.exceptions import ClientError

from functions.common.migration import Migration, MigrationContext
from infra.console import Failure, say

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

FILE_NAME = re.compile(r"\d{4}_[a-z0-9_]+\.py")
ABANDONED = 600  # seconds after which a claim counts as left behind by a run that died


@dataclass(frozen=True, order=True)
class Step:
    migration: str  # "0001_sandbox_utilities"
    service: str
    module: str

    def load(self) -> Migration:
        module = importlib.import_module(self.module)
        if not (callable(getattr(module, "up", None)) and callable(getattr(module, "down", None))):
            raise Failure(f"{self.module} needs both up(ctx) and down(ctx)")
        return cast("Migration", module)


@dataclass(frozen=True)
class Done:
    service: str
    migration: str
    state: str
    since: int  # in milliseconds


def discover(functions: Path, service: str = "") -> list[Step]:
    """All migrations, or one service's, in the order in which they run: by number, then by service."""
    steps = []
    for path in sorted(functions.glob("*/migrations/*.py")):
        owner = path.parent.parent.name
        if path.name == "__init__.py" or service not in {"", owner}:
            continue
        if not FILE_NAME.fullmatch(path.name):
            raise Failure(f"{path} is not named like a migration", "Name it NNNN_what_it_does.py")
        steps.append(Step(path.stem, owner, f"functions.{owner}.migrations.{path.stem}"))
    return sorted(steps)


class Ledger:
    """Which migrations have run."""

    def __init__(self, dynamodb: "DynamoDBClient", table: str) -> None:
        self._dynamodb, self._table = dynamodb, table

    def done(self) -> list[Done]:
        """Everything recorded, oldest first. Raises nothing; the table is small."""
        pages = self._dynamodb.get_paginator("scan").paginate(TableName=self._table, ConsistentRead=True)
        rows = [
            Done(item["service"]["S"], item["migration"]["S"], item["state"]["S"], int(item["since"]["N"]))
            for page in pages
            for item in page["Items"]
        ]
        return sorted(rows, key=lambda row: (row.since, row.migration, row.service))

    def claim(self, step: Step) -> bool:
        """True if it is now ours to run; False if it is done. Raises Failure while another run has it."""
        now = time.time_ns() // 1_000_000
        try:
            self._dynamodb.put_item(
                TableName=self._table,
                Item={**_key(step), "state": {"S": "running"}, "since": {"N": str(now)}},
                ConditionExpression="attribute_not_exists(service) OR (#state = :running AND since < :abandoned)",
                ExpressionAttributeNames={"#state": "state"},
                ExpressionAttributeValues={
                    ":running": {"S": "running"},
                    ":abandoned": {"N": str(now - ABANDONED * 1000)},
                },
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            found = self._dynamodb.get_item(TableName=self._table, Key=_key(step), ConsistentRead=True).get("Item", {})
            if found.get("state", {}).get("S") == "done":
                return False
            raise Failure(
                f"{step.service} {step.migration} is being run by another deploy (or one that died).",
                f"Wait for it, or at most {ABANDONED // 60} minutes, and run: make migrate",
            ) from error
        return True

    def finish(self, step: Step) -> None:
        self._dynamodb.update_item(
            TableName=self._table,
            Key=_key(step),
            UpdateExpression="SET #state = :done, since = :now",
            ConditionExpression="#state = :running",
            ExpressionAttributeNames={"#state": "state"},
            ExpressionAttributeValues={
                ":done": {"S": "done"},
                ":running": {"S": "running"},
                ":now": {"N": str(time.time_ns() // 1_000_000)},
            },
        )

    def forget(self, step: Step) -> None:
        self._dynamodb.delete_item(TableName=self._table, Key=_key(step))


def _key(step: Step) -> "dict[str, AttributeValueTypeDef]":
    return {"service": {"S": step.service}, "migration": {"S": step.migration}}


def migrate(steps: list[Step], ledger: Ledger, environments: Mapping[str, Mapping[str, str]]) -> list[Step]:
    """Runs what has not run, then every step's `after`. `environments` maps a service to its environment. Returns
    what it ran."""
    done = {(row.service, row.migration) for row in ledger.done() if row.state == "done"}
    ran = []
    for step in steps:
        if (step.service, step.migration) in done or not ledger.claim(step):
            continue
        say(f"  {step.service} {step.migration}: up")
        try:
            with applied(environments[step.service]) as env:
                step.load().up(MigrationContext(step.service, env, _log))
        except BaseException:
            ledger.forget(step)
            raise
        ledger.finish(step)
        ran.append(step)
    for step in steps:
        after = getattr(step.load(), "after", None)
        if after:
            with applied(environments[step.service]) as env:
                after(MigrationContext(step.service, env, _log))
    return ran


def rollback(
    steps: list[Step], ledger: Ledger, environments: Mapping[str, Mapping[str, str]], count: int = 1
) -> list[Step]:
    """Takes back the last `count` of `steps` that have run, newest first. Returns what it took back."""
    known = {(step.service, step.migration): step for step in steps}
    run = [known[key] for row in ledger.done() if (key := (row.service, row.migration)) in known]
    taken = run[::-1][:count]
    for step in taken:
        say(f"  {step.service} {step.migration}: down")
        with applied(environments[step.service]) as env:
            step.load().down(MigrationContext(step.service, env, _log))
        ledger.forget(step)
    return taken


def _log(line: str) -> None:
    say(f"    {line}")


@contextmanager
def applied(env: Mapping[str, str]) -> Iterator[Mapping[str, str]]:
    """`env` on top of this process's environment, for the time of the block."""
    before = dict(os.environ)
    os.environ.update(env)
    try:
        yield dict(env)
    finally:
        os.environ.clear()
        os.environ.update(before)
