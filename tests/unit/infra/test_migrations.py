"""The migrations' runner: each once, in order, with its service's environment, and back again."""

import os
import sys
import threading
import types
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from functions.common.migration import MigrationContext
from infra import ledger as ledgers
from infra import migrations
from infra.console import Failure
from infra.ledger import Claim, ClaimLost, Direction, Ledger, Record, State
from infra.migrations import Runner, Step
from tests.support.migrations import Database, database

TABLE = "migrations"
ENVIRONMENTS = {"alpha": {"SERVICE_TABLE": "alphas"}, "beta": {"SERVICE_TABLE": "betas"}}


@pytest.fixture
def base() -> Iterator[Database]:
    with database() as base:
        base.create(TABLE, "service", "migration")
        base.create("alphas", "id")
        yield base


@pytest.fixture
def ledger(base: Database) -> Ledger:
    return Ledger(base.dynamodb, TABLE)


@pytest.fixture
def runner(base: Database, ledger: Ledger) -> Runner:
    return Runner(ledger, base.dynamodb, ENVIRONMENTS)


class Modules:
    """Migrations that write down what is asked of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[str] = []
        self.fail = ""
        self.error: BaseException = RuntimeError("the cause")
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
            raise self.error
        self.calls.append(what)


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> Modules:
    return Modules(monkeypatch)


def claimed(ledger: Ledger, step: Step, direction: Direction = Direction.UP) -> Claim:
    claim = ledger.claim(step.service, step.migration, direction)
    assert claim
    return claim


def states(ledger: Ledger) -> dict[str, State]:
    return {row.migration: row.state for row in ledger.records()}


def later(monkeypatch: pytest.MonkeyPatch, seconds: int) -> None:
    now = ledgers.now_ms()
    monkeypatch.setattr(ledgers, "now_ms", lambda: now + seconds * 1000)
    monkeypatch.setattr(migrations, "now_ms", lambda: now + seconds * 1000)


def looking(monkeypatch: pytest.MonkeyPatch, first: Record | None) -> list[Record | None]:
    """What the ledger finds when it looks: at first this, as if it had looked a moment ago, then what is there."""
    look = Ledger._get
    found: list[Record | None] = []

    def get(self: Ledger, service: str, migration: str) -> Record | None:
        found.append(look(self, service, migration) if found else first)
        return found[-1]

    monkeypatch.setattr(Ledger, "_get", get)
    return found


def test_migrations_run_by_number_then_by_service_and_only_once(runner: Runner, modules: Modules) -> None:
    steps = sorted(modules.step(*key) for key in [("beta", "0001_b"), ("alpha", "0002_c"), ("alpha", "0001_a")])

    runner.migrate(steps)
    again = runner.migrate(steps)

    assert modules.calls == ["up alpha 0001_a", "up beta 0001_b", "up alpha 0002_c"]
    assert again == []
    assert "SERVICE_TABLE" not in os.environ


def test_after_runs_at_the_end_of_every_migrate(runner: Runner, modules: Modules) -> None:
    step = modules.step("alpha", "0001_a")
    vars(sys.modules[step.module])["after"] = lambda ctx: modules.calls.append(f"after {ctx.service}")

    runner.migrate([step, modules.step("beta", "0002_b")])
    runner.migrate([step])

    assert modules.calls == ["up alpha 0001_a", "up beta 0002_b", "after alpha", "after alpha"]


def test_a_new_migration_runs_alone(runner: Runner, modules: Modules) -> None:
    old = modules.step("alpha", "0001_a")
    runner.migrate([old])

    ran = runner.migrate([old, new := modules.step("alpha", "0002_b")])

    assert ran == [new]


def test_a_migration_numbered_before_one_that_has_run_is_refused(runner: Runner, modules: Modules) -> None:
    late = modules.step("alpha", "0002_b")
    runner.migrate([late])

    with pytest.raises(Failure, match="comes before 0002_b") as failure:
        runner.migrate([modules.step("alpha", "0001_a"), late])

    assert "next number" in failure.value.todo
    assert modules.calls == ["up alpha 0002_b"]


def test_a_failed_migration_stops_the_rest_says_why_and_is_taken_up_at_once(
    runner: Runner, ledger: Ledger, modules: Modules, capsys: pytest.CaptureFixture[str]
) -> None:
    steps = [modules.step("alpha", "0001_a"), modules.step("alpha", "0002_b")]
    modules.fail = "up alpha 0001_a"
    with pytest.raises(Failure, match=r"alpha 0001_a \(up\) failed: RuntimeError: the cause") as failure:
        runner.migrate(steps)
    assert modules.calls == []
    assert "make migrate" in failure.value.todo
    assert "Traceback" in capsys.readouterr().err
    assert [(row.state, row.error) for row in ledger.records()] == [(State.FAILED, "RuntimeError: the cause")]

    modules.fail = ""
    runner.migrate(steps)

    assert modules.calls == ["up alpha 0001_a", "up alpha 0002_b"]
    assert states(ledger) == {"0001_a": State.DONE, "0002_b": State.DONE}


def test_a_run_that_is_interrupted_leaves_its_claim_at_once(runner: Runner, ledger: Ledger, modules: Modules) -> None:
    step = modules.step("alpha", "0001_a")
    modules.fail, modules.error = "up alpha 0001_a", KeyboardInterrupt()

    with pytest.raises(KeyboardInterrupt):
        runner.migrate([step])

    assert states(ledger) == {"0001_a": State.FAILED}


def test_a_failure_whose_state_cannot_be_kept_is_told_all_the_same(
    runner: Runner, modules: Modules, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def unreachable(self: Claim, error: str) -> None:
        raise ConnectionError(f"no table to write {error!r} to")

    monkeypatch.setattr(Claim, "fail", unreachable)
    step = modules.step("alpha", "0001_a")
    modules.fail = "up alpha 0001_a"

    with pytest.raises(Failure, match="the cause"):
        runner.migrate([step])

    assert "no table to write" in capsys.readouterr().err


def test_rollback_takes_back_the_newest_first(
    runner: Runner, modules: Modules, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = [modules.step("alpha", "0001_a"), modules.step("beta", "0001_b"), modules.step("alpha", "0002_c")]
    for number, step in enumerate(steps):
        later(monkeypatch, number)
        runner.migrate([step])
    modules.calls.clear()

    runner.rollback(steps, count=2)
    assert modules.calls == ["down alpha 0002_c", "down beta 0001_b"]

    runner.migrate(steps)
    assert modules.calls[2:] == ["up beta 0001_b", "up alpha 0002_c"]


def test_rollback_of_one_service_leaves_the_others(runner: Runner, ledger: Ledger, modules: Modules) -> None:
    alpha, beta = modules.step("alpha", "0001_a"), modules.step("beta", "0001_b")
    runner.migrate([alpha, beta])

    assert runner.rollback([alpha], count=5) == [alpha]
    assert [row.service for row in ledger.records()] == ["beta"]


def test_what_a_newer_checkout_ran_is_not_taken_back_by_this_one(runner: Runner, modules: Modules) -> None:
    old = modules.step("alpha", "0001_a")
    runner.migrate([old, modules.step("alpha", "0002_b")])

    with pytest.raises(Failure, match="alpha 0002_b has run, but is not in this checkout"):
        runner.rollback([old], count=2)

    assert modules.calls == ["up alpha 0001_a", "up alpha 0002_b"]


def test_a_migration_that_another_run_has_is_not_run_too(runner: Runner, ledger: Ledger, modules: Modules) -> None:
    step = modules.step("alpha", "0001_a")
    claimed(ledger, step)

    with pytest.raises(Failure, match="is being run by another deploy"):
        runner.migrate([step])
    with pytest.raises(Failure, match="is being run by another deploy"):
        runner.rollback([step])

    assert modules.calls == []


def test_of_two_runs_that_start_together_one_gets_it(
    ledger: Ledger, modules: Modules, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both see that nobody has it before either writes."""
    step = modules.step("alpha", "0001_a")
    first = claimed(ledger, step)
    looked = looking(monkeypatch, first=None)

    with pytest.raises(Failure, match="is being run by another deploy"):
        ledger.claim(step.service, step.migration, Direction.UP)

    assert looked == [None, first.record]
    first.finish()
    assert states(ledger) == {"0001_a": State.DONE}


def test_a_run_that_finds_it_done_meanwhile_leaves_it(runner: Runner, ledger: Ledger, modules: Modules) -> None:
    step = modules.step("alpha", "0001_a")
    runner.migrate([step])

    assert ledger.claim("alpha", "0001_a", Direction.UP) is None
    assert ledger.claim("alpha", "0009_never_ran", Direction.DOWN) is None


def test_a_claim_that_a_dead_run_left_is_taken_over_and_cannot_be_finished_by_it(
    runner: Runner, ledger: Ledger, modules: Modules, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = modules.step("alpha", "0001_a")
    dead = claimed(ledger, step)
    later(monkeypatch, ledgers.ABANDONED_SECONDS + 1)
    assert ledger.records()[0].as_of(ledgers.now_ms()) is State.ABANDONED

    assert runner.migrate([step]) == [step]

    for write in (dead.beat, lambda: dead.save("{}", "half"), lambda: dead.fail("late"), dead.finish):
        with pytest.raises(ClaimLost, match="taken over by another run"):
            write()
    assert [(row.state, row.error) for row in ledger.records()] == [(State.DONE, "")]


def test_a_run_that_shows_life_keeps_its_claim(
    ledger: Ledger, modules: Modules, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = modules.step("alpha", "0001_a")
    claim = claimed(ledger, step)
    later(monkeypatch, ledgers.ABANDONED_SECONDS - 1)
    claim.beat()
    later(monkeypatch, ledgers.ABANDONED_SECONDS - 1)

    with pytest.raises(Failure, match="is being run by another deploy"):
        claimed(ledger, step)


def test_a_dead_run_that_shows_life_in_the_moment_of_the_takeover_keeps_its_claim(
    ledger: Ledger, modules: Modules, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = modules.step("alpha", "0001_a")
    claim = claimed(ledger, step)
    later(monkeypatch, ledgers.ABANDONED_SECONDS + 1)
    stale = ledger.records()[0]
    claim.beat()
    looking(monkeypatch, first=stale)

    with pytest.raises(Failure, match="last sign of life 0 s ago"):
        claimed(ledger, step)

    claim.finish()


def test_a_run_shows_life_while_it_works(ledger: Ledger, modules: Modules, monkeypatch: pytest.MonkeyPatch) -> None:
    claim = claimed(ledger, modules.step("alpha", "0001_a"))
    begun = ledger.records()[0].beat_at
    later(monkeypatch, 30)

    with claim.alive(beat_seconds=0.001):
        for _ in range(1000):
            if ledger.records()[0].beat_at > begun:
                break

    assert ledger.records()[0].beat_at >= begun + 30_000


def test_signs_of_life_outlive_a_table_that_does_not_answer_and_end_with_the_claim(
    ledger: Ledger, modules: Modules, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim = claimed(ledger, modules.step("alpha", "0001_a"))
    lost = threading.Event()
    answers = iter([EndpointConnectionError(endpoint_url="none"), None, ClaimLost(claim.record)])
    beats: list[BaseException | None] = []

    def beat(self: Claim) -> None:
        beats.append(answer := next(answers))
        if isinstance(answer, ClaimLost):
            lost.set()
        if answer:
            raise answer

    monkeypatch.setattr(Claim, "beat", beat)
    with claim.alive(beat_seconds=0.001):
        assert lost.wait(5)

    assert len(beats) == 3


def test_what_the_table_says_else_is_told(base: Database, ledger: Ledger, modules: Modules) -> None:
    step = modules.step("alpha", "0001_a")
    claim = claimed(ledger, step)

    with pytest.raises(ClientError, match="size"):
        claim.save("x" * 500_000, "")
    base.dynamodb.delete_table(TableName=TABLE)
    with pytest.raises(ClientError, match="ResourceNotFound"):
        ledger._put(claim.record, None)


def test_claims_of_the_first_runner_are_understood(base: Database, runner: Runner, modules: Modules) -> None:
    """They have neither owner nor direction nor sign of life."""
    done, dead = modules.step("alpha", "0001_a"), modules.step("alpha", "0002_b")
    base.put(TABLE, {"service": "alpha", "migration": "0001_a", "state": "done", "since": 1_000})
    base.put(TABLE, {"service": "alpha", "migration": "0002_b", "state": "running", "since": 2_000})

    assert runner.migrate([done, dead]) == [dead]
    assert runner.rollback([done, dead], count=2) == [dead, done]


def fill(base: Database, modules: Modules, count: int = 7, *, fail_at: int | None = None) -> Step:
    """A migration that marks each item of a table, three a page; it fails when it has marked so many."""
    base.put("alphas", *({"id": f"i{number}"} for number in range(count)))
    step = modules.step("alpha", "0001_mark")

    def mark(ctx: MigrationContext, *, marked: bool) -> None:
        from functions.common.migration import Change, Item

        def judge(item: Item) -> Change | None:
            if len(modules.calls) == fail_at:
                raise RuntimeError("cut off")
            modules.calls.append(item["id"])
            if ("marked" in item) == marked:
                return None
            return Change(put={"marked": True}) if marked else Change(remove=("marked",))

        vars(ctx.tables)["_page"] = 3
        ctx.tables.back_fill(ctx.env["SERVICE_TABLE"], judge)

    vars(sys.modules[step.module]).update(
        up=lambda ctx: mark(ctx, marked=True), down=lambda ctx: mark(ctx, marked=False)
    )
    return step


def marked(base: Database) -> int:
    return sum("marked" in item for item in base.items("alphas"))


def test_a_back_fill_that_was_cut_off_goes_on_at_its_page(
    base: Database, runner: Runner, ledger: Ledger, modules: Modules, capsys: pytest.CaptureFixture[str]
) -> None:
    step = fill(base, modules, fail_at=5)  # in the middle of the second page
    with pytest.raises(Failure, match="cut off"):
        runner.migrate([step])
    assert (marked(base), ledger.records()[0].progress) == (5, "3 of about 7 items read, 3 changed")

    before = list(modules.calls)
    modules.calls.clear()
    runner.migrate([fill(base, modules, count=0)])

    assert modules.calls[:2] == before[3:]  # the second page from its beginning; the first is not read again
    assert len(modules.calls) == 4
    assert marked(base) == 7
    assert ledger.records()[0].progress == "7 items read, 5 changed"  # the page that was cut off was changed in part
    assert "goes on after 3 of about 7 items read" in capsys.readouterr().err


def test_a_half_done_migration_is_taken_back_from_the_start(
    base: Database, runner: Runner, ledger: Ledger, modules: Modules
) -> None:
    with pytest.raises(Failure, match="cut off"):
        runner.migrate([fill(base, modules, fail_at=5)])
    modules.calls.clear()

    step = fill(base, modules, count=0)
    assert runner.rollback([step]) == [step]

    assert (len(modules.calls), marked(base), ledger.records()) == (7, 0, [])


def test_a_rollback_that_was_cut_off_goes_on_where_it_stopped(
    base: Database, runner: Runner, ledger: Ledger, modules: Modules
) -> None:
    runner.migrate([fill(base, modules)])
    modules.calls.clear()
    with pytest.raises(Failure, match=r"0001_mark \(down\) failed: RuntimeError: cut off") as failure:
        runner.rollback([fill(base, modules, count=0, fail_at=4)])
    assert "make rollback" in failure.value.todo
    assert migrations.status([fill(base, modules, count=0)], ledger)[0].split()[2:4] == ["failed", "back"]
    modules.calls.clear()

    runner.rollback([fill(base, modules, count=0)])

    assert (len(modules.calls), marked(base), ledger.records()) == (4, 0, [])


def test_a_rollback_that_was_cut_off_can_be_run_forth_again(base: Database, runner: Runner, modules: Modules) -> None:
    runner.migrate([fill(base, modules)])
    modules.calls.clear()
    with pytest.raises(Failure):
        runner.rollback([fill(base, modules, count=0, fail_at=4)])
    modules.calls.clear()

    runner.migrate([fill(base, modules, count=0)])

    assert (len(modules.calls), marked(base)) == (7, 7)


def test_a_run_whose_claim_was_taken_stops_at_its_next_page(
    base: Database, runner: Runner, ledger: Ledger, modules: Modules, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = fill(base, modules)
    up = sys.modules[step.module].up

    def overtaken(ctx: MigrationContext) -> None:
        later(monkeypatch, ledgers.ABANDONED_SECONDS + 1)
        vars(modules)["other"] = claimed(ledger, step)
        up(ctx)

    vars(sys.modules[step.module])["up"] = overtaken
    with pytest.raises(ClaimLost):
        runner.migrate([step])

    assert len(modules.calls) == 3
    assert states(ledger) == {"0001_mark": State.RUNNING}
    vars(modules)["other"].finish()
    assert states(ledger) == {"0001_mark": State.DONE}


def test_status_tells_of_each_migration(
    base: Database, runner: Runner, ledger: Ledger, modules: Modules, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = [modules.step("beta", name) for name in ("0001_done", "0002_failed", "0003_dead", "0004_running")]
    pending = modules.step("beta", "0005_pending")
    runner.migrate(steps[:1])
    modules.fail = "up beta 0002_failed"
    with pytest.raises(Failure):
        runner.migrate(steps[:2])
    claimed(ledger, steps[2]).save("{}", "200 of about 900 items read, 3 changed")
    later(monkeypatch, ledgers.ABANDONED_SECONDS + 1)
    claimed(ledger, steps[3])
    base.put(TABLE, {"service": "beta", "migration": "0009_newer", "state": "done", "since": 1_700_000_000_000})

    lines = migrations.status([*steps, pending], ledger)

    assert [line.split()[2] for line in lines] == ["done", "failed", "abandoned", "running", "pending", "done"]
    assert lines[1].endswith("RuntimeError: the cause")
    assert lines[2].endswith("200 of about 900 items read, 3 changed")
    assert f"process {os.getpid()}" in lines[3]
    assert lines[5].endswith("since 2023-11-14 22:13:20 UTC  (not in this checkout)")


def test_migrations_are_discovered_by_their_names(tmp_path: Path) -> None:
    for name in ("beta/migrations/0001_x.py", "alpha/migrations/0002_y.py", "alpha/migrations/__init__.py"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "beta" / "__init__.py").touch()

    assert [(step.service, step.migration) for step in migrations.discover(tmp_path)] == [
        ("beta", "0001_x"),
        ("alpha", "0002_y"),
    ]
    assert [step.module for step in migrations.discover(tmp_path, "beta")] == ["functions.beta.migrations.0001_x"]


def test_a_service_that_does_not_exist_is_named(tmp_path: Path) -> None:
    (tmp_path / "user_service").mkdir()
    (tmp_path / "user_service" / "__init__.py").touch()

    with pytest.raises(Failure, match="There is no service users") as failure:
        migrations.discover(tmp_path, "users")

    assert "user_service" in failure.value.todo


def test_a_misnamed_migration_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "alpha" / "migrations" / "first.py"
    path.parent.mkdir(parents=True)
    path.touch()

    with pytest.raises(Failure, match="not named like a migration"):
        migrations.discover(tmp_path)


def test_a_module_that_goes_one_way_only_is_refused(runner: Runner, ledger: Ledger, modules: Modules) -> None:
    step = modules.step("alpha", "0001_a")
    del vars(sys.modules[step.module])["down"]

    with pytest.raises(Failure, match="needs both"):
        runner.migrate([step])

    assert ledger.records() == []
