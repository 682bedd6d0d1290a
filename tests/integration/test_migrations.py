"""Migrations against the running platform's DynamoDB: cut off, run twice at once, taken back."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from functions.common.ids import new_id
from infra import deploy, ledger
from infra.ledger import Ledger, Record, State
from infra.migrations import Runner
from tests.integration import made_up_migration as made_up
from tests.integration.patience import await_value
from tests.integration.platform import Platform

ITEMS = 900
SERVICES = {
    "account_linking_service",
    "bill_aggregation_service",
    "broker_service",
    "mock_api_service",
    "user_service",
    "utility_provider_service",
}


@pytest.fixture
def table(platform: Platform) -> Iterator[str]:
    """A table with items to mark. The record of the migration goes with it."""
    name = f"migrated-{new_id('tst')}"
    platform.dynamodb.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
    )
    for start in range(0, ITEMS, 25):
        puts = [{"PutRequest": {"Item": {"id": {"S": f"{n:04}"}}}} for n in range(start, start + 25)]
        platform.dynamodb.batch_write_item(RequestItems={name: puts})  # type: ignore[dict-item]  # as its stubs want it
    yield name
    platform.dynamodb.delete_table(TableName=name)
    key = {"service": {"S": made_up.STEP.service}, "migration": {"S": made_up.STEP.migration}}
    platform.dynamodb.delete_item(TableName=platform.ids["MigrationsTable"], Key=key)


@pytest.fixture
def runner(platform: Platform, table: str) -> Runner:
    return made_up.runner(platform.settings, platform.ids["MigrationsTable"], table)


def begin(platform: Platform, table: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", made_up.STEP.module, platform.ids["MigrationsTable"], table]
    return subprocess.Popen(
        command,
        env=platform.settings.environment(),
        cwd=Path(__file__).parents[2],
        stderr=subprocess.PIPE,
        text=True,
    )


def record(records: Ledger) -> Record | None:
    return next((row for row in records.records() if row.service == made_up.STEP.service), None)


def marks(platform: Platform, table: str) -> list[int]:
    pages = platform.dynamodb.get_paginator("scan").paginate(TableName=table, ConsistentRead=True)
    return [int(item.get("marks", {"N": "0"})["N"]) for page in pages for item in page["Items"]]


def test_a_run_that_is_killed_is_taken_up_where_it_stopped_and_taken_back(
    platform: Platform, table: str, runner: Runner, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with begin(platform, table) as process:
        killed = await_value(
            lambda: found if (found := record(runner.ledger)) and found.progress else None, 60, "a first page"
        )
        process.kill()
    assert killed.state is State.RUNNING

    monkeypatch.setattr(ledger, "ABANDONED_SECONDS", 1)
    await_value(
        lambda: found if (found := record(runner.ledger)) and found.as_of(ledger.now_ms()) is State.ABANDONED else None,
        30,
        "the end of the claim",
    )
    assert runner.migrate([made_up.STEP]) == [made_up.STEP]

    told = capsys.readouterr().err
    assert "taken up again" in told
    assert f"{ITEMS} items read" in told
    counts = marks(platform, table)
    # what was marked before its page was kept is marked twice by this migration, which is not as good as it should be
    assert len(counts) == ITEMS
    assert set(counts) <= {1, 2}
    assert counts.count(1) > ITEMS // 2
    done = record(runner.ledger)
    assert done
    assert (done.state, done.progress.split(",")[0]) == (State.DONE, f"{ITEMS} items read")

    assert runner.rollback([made_up.STEP]) == [made_up.STEP]
    assert set(marks(platform, table)) == {0}
    assert record(runner.ledger) is None


def test_of_two_that_start_at_once_one_runs(platform: Platform, table: str, runner: Runner) -> None:
    started = [begin(platform, table), begin(platform, table)]
    told = [process.communicate(timeout=120)[1] for process in started]

    assert set(marks(platform, table)) == {1}
    assert sum("made_up 0001_mark: up" in text for text in told) == 1
    for process, text in zip(started, told, strict=True):  # a late one finds it done
        assert process.returncode == 0 or "is being run by another deploy" in text


def test_every_service_with_a_table_has_run_its_migrations(platform: Platform) -> None:
    lines = [line.split() for line in deploy.migration_status(platform.settings, "")]

    assert {service for service, *_ in lines} == SERVICES
    assert {state for _, _, state, *_ in lines} == {"done"}, lines


def test_a_migration_goes_back_and_forth(platform: Platform) -> None:
    def state() -> str:
        [line] = deploy.migration_status(platform.settings, "broker_service")
        return line.split()[2]

    deploy.rollback(platform.settings, 1, "broker_service")
    assert state() == "pending"
    deploy.migrate(platform.settings, "broker_service")
    assert state() == "done"
