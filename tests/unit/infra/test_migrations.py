"""The migrations' runner: each once, in order, with its service's environment, and back again."""

import os
import sys
import time
import types
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto import mock_aws

from functions.common.migration import MigrationContext
from infra import migrations
from infra.console import Failure
from infra.migrations import Ledger, Step

TABLE = "migrations"
ENVIRONMENTS = {"alpha": {"SERVICE_TABLE": "alphas"}, "beta": {"SERVICE_TABLE": "betas"}}


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    with mock_aws():
        dynamodb = boto3.client("dynamodb", region_name="us-east-1")
        dynamodb.create_table(
            TableName=TABLE,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[
                {"AttributeName": "service", "AttributeType": "S"},
                {"AttributeName": "migration", "AttributeType": "S"},
            ],
            KeySchema=[
                {"AttributeName": "service", "KeyType": "HASH"},
                {"AttributeName": "migration", "KeyType": "RANGE"},
            ],
        )
        yield Ledger(dynamodb, TABLE)


class Modules:
    """Migrations that write down what is asked of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[str] = []
        self.fail = ""
        self._monkeypatch = monkeypatch

    def step(self, service: str, migration: str) -> Step:
        step = Step(migration, service, f"made_up.{service}.{migration}")
        module = types.ModuleType(step.module)
        vars(module).update(
            up=lambda ctx: self._called(f"up {service} {migration}", ctx),
            down=lambda ctx: self._called(f"down {service} {migration}", ctx),
        )
        self._monkeypatch.setitem(sys.modules, step.module, module)
        return step

    def _called(self, what: str, ctx: MigrationContext) -> None:
        assert os.environ["SERVICE_TABLE"] == ctx.env["SERVICE_TABLE"] == ENVIRONMENTS[ctx.service]["SERVICE_TABLE"]
        if what == self.fail:
            raise RuntimeError(what)
        self.calls.append(what)


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> Modules:
    return Modules(monkeypatch)


def test_migrations_run_by_number_then_by_service_and_only_once(ledger: Ledger, modules: Modules) -> None:
    steps = sorted(modules.step(*key) for key in [("beta", "0001_b"), ("alpha", "0002_c"), ("alpha", "0001_a")])

    migrations.migrate(steps, ledger, ENVIRONMENTS)
    again = migrations.migrate(steps, ledger, ENVIRONMENTS)

    assert modules.calls == ["up alpha 0001_a", "up beta 0001_b", "up alpha 0002_c"]
    assert again == []
    assert "SERVICE_TABLE" not in os.environ


def test_after_runs_at_the_end_of_every_migrate(ledger: Ledger, modules: Modules) -> None:
    step = modules.step("alpha", "0001_a")
    vars(sys.modules[step.module])["after"] = lambda ctx: modules.calls.append(f"after {ctx.service}")

    migrations.migrate([step, modules.step("beta", "0002_b")], ledger, ENVIRONMENTS)
    migrations.migrate([step], ledger, ENVIRONMENTS)

    assert modules.calls == ["up alpha 0001_a", "up beta 0002_b", "after alpha", "after alpha"]


def test_a_new_migration_runs_alone(ledger: Ledger, modules: Modules) -> None:
    old = modules.step("alpha", "0001_a")
    migrations.migrate([old], ledger, ENVIRONMENTS)

    ran = migrations.migrate([old, new := modules.step("alpha", "0002_b")], ledger, ENVIRONMENTS)

    assert ran == [new]


def test_a_failed_migration_stops_the_rest_and_runs_again_next_time(ledger: Ledger, modules: Modules) -> None:
    steps = [modules.step("alpha", "0001_a"), modules.step("alpha", "0002_b")]
    modules.fail = "up alpha 0001_a"
    with pytest.raises(RuntimeError):
        migrations.migrate(steps, ledger, ENVIRONMENTS)
    assert modules.calls == []

    modules.fail = ""
    migrations.migrate(steps, ledger, ENVIRONMENTS)

    assert modules.calls == ["up alpha 0001_a", "up alpha 0002_b"]


def test_rollback_takes_back_the_newest_first(ledger: Ledger, modules: Modules) -> None:
    steps = [modules.step("alpha", "0001_a"), modules.step("beta", "0001_b"), modules.step("alpha", "0002_c")]
    migrations.migrate(steps, ledger, ENVIRONMENTS)
    modules.calls.clear()

    migrations.rollback(steps, ledger, ENVIRONMENTS, count=2)
    assert modules.calls == ["down alpha 0002_c", "down beta 0001_b"]

    migrations.migrate(steps, ledger, ENVIRONMENTS)
    assert modules.calls[2:] == ["up beta 0001_b", "up alpha 0002_c"]


def test_rollback_of_one_service_leaves_the_others(ledger: Ledger, modules: Modules) -> None:
    alpha, beta = modules.step("alpha", "0001_a"), modules.step("beta", "0001_b")
    migrations.migrate([alpha, beta], ledger, ENVIRONMENTS)

    assert migrations.rollback([alpha], ledger, ENVIRONMENTS, count=5) == [alpha]
    assert [row.service for row in ledger.done()] == ["beta"]


def test_a_migration_that_another_deploy_runs_is_not_run_too(ledger: Ledger, modules: Modules) -> None:
    step = modules.step("alpha", "0001_a")
    assert ledger.claim(step)

    with pytest.raises(Failure, match="another deploy"):
        migrations.migrate([step], ledger, ENVIRONMENTS)

    assert modules.calls == []


def test_a_claim_that_a_dead_deploy_left_is_taken_over(
    ledger: Ledger, modules: Modules, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = modules.step("alpha", "0001_a")
    monkeypatch.setattr(time, "time_ns", lambda: 1_000_000_000)
    ledger.claim(step)
    monkeypatch.undo()
    step = modules.step("alpha", "0001_a")

    migrations.migrate([step], ledger, ENVIRONMENTS)

    assert modules.calls == ["up alpha 0001_a"]


def test_migrations_are_discovered_by_their_names(tmp_path: Path) -> None:
    for name in ("beta/migrations/0001_x.py", "alpha/migrations/0002_y.py", "alpha/migrations/__init__.py"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()

    assert [(step.service, step.migration) for step in migrations.discover(tmp_path)] == [
        ("beta", "0001_x"),
        ("alpha", "0002_y"),
    ]
    assert [step.module for step in migrations.discover(tmp_path, "beta")] == ["functions.beta.migrations.0001_x"]


def test_a_misnamed_migration_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "alpha" / "migrations" / "first.py"
    path.parent.mkdir(parents=True)
    path.touch()

    with pytest.raises(Failure, match="not named like a migration"):
        migrations.discover(tmp_path)
