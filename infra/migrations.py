"""Runs the services' migrations (functions/<service>/migrations/NNNN_name.py), each once, in order, and back again.

What has run is in the stack's MigrationsTable (`infra.ledger`). A migration that fails, or whose process dies, stays
there with where it stood; the next `make migrate` takes it up, `make rollback` takes it back. Two runs at a time: the
second says who is at work, and ends.
"""

import importlib
import os
import re
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, cast

from functions.common.migration import Migration, MigrationContext
from infra.back_fill import PagedTables
from infra.console import Failure, say
from infra.ledger import Claim, ClaimLost, Direction, Ledger, Record, State, now_ms

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

FILE_NAME = re.compile(r"\d{4}_[a-z0-9_]+\.py")
ERROR_CHARS = 300


@dataclass(frozen=True, order=True)
class Step:
    migration: str  # "0001_sandbox_utilities"
    service: str
    module: str

    @property
    def key(self) -> tuple[str, str]:
        return self.service, self.migration

    def load(self) -> Migration:
        module = importlib.import_module(self.module)
        if not (callable(getattr(module, "up", None)) and callable(getattr(module, "down", None))):
            raise Failure(f"{self.module} needs both up(ctx) and down(ctx)")
        return cast("Migration", module)


@dataclass(frozen=True)
class Runner:
    """`environments` maps a service to its environment."""

    ledger: Ledger
    dynamodb: "DynamoDBClient"
    environments: Mapping[str, Mapping[str, str]]

    def migrate(self, steps: Sequence[Step]) -> list[Step]:
        """Runs what has not run, then every step's `after`. Returns what it ran."""
        records = self.ledger.records()
        _in_order(steps, records)
        done = {(row.service, row.migration) for row in records if row.state is State.DONE}
        ran = [step for step in steps if step.key not in done and self._run(step, Direction.UP)]
        for step in steps:
            after = getattr(step.load(), "after", None)
            if after:
                with applied(self.environments[step.service]) as env:
                    after(MigrationContext(step.service, env, _log))
        return ran

    def rollback(self, steps: Sequence[Step], count: int = 1) -> list[Step]:
        """Takes back the last `count` of `steps` that have run, be it in part, newest first. Returns what it took back.

        Raises Failure, before anything is taken back, for what a newer checkout ran: only that knows how.
        """
        known, services = {step.key: step for step in steps}, {step.service for step in steps}
        begun = [(row.service, row.migration) for row in self.ledger.records() if row.service in services]
        wanted = begun[::-1][:count]
        if strange := [key for key in wanted if key not in known]:
            raise Failure(
                f"{' '.join(strange[0])} has run, but is not in this checkout.",
                "Take it back with the code that ran it",
            )
        return [known[key] for key in wanted if self._run(known[key], Direction.DOWN)]

    def _run(self, step: Step, direction: Direction) -> bool:
        """False when another run was faster. Raises Failure, with the migration left where it stands."""
        migration = step.load()
        claim = self.ledger.claim(step.service, step.migration, direction)
        if claim is None:
            return False
        say(f"  {step.service} {step.migration}: {direction}" + (", taken up again" if claim.record.checkpoint else ""))
        tables = PagedTables(self.dynamodb, claim.record.checkpoint, claim.save, _log)
        try:
            with applied(self.environments[step.service]) as env, claim.alive():
                ctx = MigrationContext(step.service, env, _log, tables)
                (migration.up if direction is Direction.UP else migration.down)(ctx)
            claim.finish()
        except ClaimLost:
            raise
        except BaseException as error:
            if failure := _failed(step, claim, error):
                raise failure from error
            raise
        return True


def discover(functions: Path, service: str = "") -> list[Step]:
    """All migrations, or one service's, in the order in which they run: by number, then by service."""
    if service and not (functions / service / "__init__.py").exists():
        known = sorted(path.parent.name for path in functions.glob("*_service/__init__.py"))
        raise Failure(f"There is no service {service}.", f"There are: {', '.join(known)}")
    steps = []
    for path in sorted(functions.glob("*/migrations/*.py")):
        owner = path.parent.parent.name
        if path.name == "__init__.py" or service not in {"", owner}:
            continue
        if not FILE_NAME.fullmatch(path.name):
            raise Failure(f"{path} is not named like a migration", "Name it NNNN_what_it_does.py")
        steps.append(Step(path.stem, owner, f"functions.{owner}.migrations.{path.stem}"))
    return sorted(steps)


def status(steps: Sequence[Step], ledger: Ledger) -> list[str]:
    """A line for each migration, in the order of services: its state, since when, and how far it came."""
    records, now = {(row.service, row.migration): row for row in ledger.records()}, now_ms()
    services = {step.service for step in steps}
    known = {step.key for step in steps}
    keys = sorted(known | {key for key in records if key[0] in services})
    width = max((len(" ".join(key)) for key in keys), default=0)
    return [
        f"{' '.join(key):{width}}  {_told(records.get(key), now)}"
        + ("" if key in known else "  (not in this checkout)")
        for key in keys
    ]


def _told(record: Record | None, now: int) -> str:
    if record is None:
        return f"{State.PENDING:9}"
    state = record.as_of(now)
    back = " back" if record.direction is Direction.DOWN else ""
    when = datetime.fromtimestamp(record.since / 1000, UTC)
    parts = [f"{state + back:9}", f"since {when:%Y-%m-%d %H:%M:%S} UTC", record.progress]
    if state is State.FAILED:
        parts.append(record.error)
    if state is State.RUNNING:
        parts.append(f"by {record.owner.rpartition(' ')[0]}")
    return "  ".join(part for part in parts if part)


def _in_order(steps: Sequence[Step], records: Sequence[Record]) -> None:
    """Raises Failure for a migration numbered before one of its service that has run: nobody tried that order."""
    run = {(row.service, row.migration) for row in records if row.state is State.DONE}
    last = {service: max(name for owner, name in run if owner == service) for service, _ in run}
    for step in steps:
        if step.key not in run and step.migration < last.get(step.service, ""):
            raise Failure(
                f"{step.service} {step.migration} comes before {last[step.service]}, which has run.",
                "Give it the next number, or take the later one back first: make rollback",
            )


def _failed(step: Step, claim: Claim, error: BaseException) -> Failure | None:
    """What to raise for `error`, None for itself. The ledger knows of it, unless the table does not answer."""
    what = error.message if isinstance(error, Failure) else f"{type(error).__name__}: {error}"
    try:
        claim.fail(what[:ERROR_CHARS])
    except Exception as another:  # noqa: BLE001  # the first failure is the one to tell of
        say(f"  and its state could not be kept: {another}")
    if not isinstance(error, Exception):
        return None  # Ctrl-C
    if not isinstance(error, Failure):
        say("".join(traceback.format_exception(error)).rstrip())
    again = "make migrate" if claim.record.direction is Direction.UP else "make rollback"
    todo = f"Once its cause is mended, this takes it up where it stopped: {again}"
    return Failure(f"{step.service} {step.migration} ({claim.record.direction}) failed: {what}", todo)


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
