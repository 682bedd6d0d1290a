"""Migrations of the broker, on items as its table writes them."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from functions.broker_service.model import Job, JobId, LinkId, LinkResult, Outcome, UserId
from functions.broker_service.table import DynamoJobTable
from functions.common.clock import SystemClock
from tests.support.migrations import Database, database, migration

ENV = {"JOBS_TABLE": "jobs"}
USER = UserId("usr_a")
dead_jobs = migration("broker_service", "0001_close_dead_jobs")


@pytest.fixture
def base() -> Iterator[Database]:
    with database() as base:
        base.create("jobs", "user_id", "sk")
        yield base


@pytest.fixture
def jobs(base: Database) -> DynamoJobTable:
    return DynamoJobTable("jobs", SystemClock())


def started(jobs: DynamoJobTable, name: str, *, minutes_left: int, read: tuple[str, ...] = ()) -> Job:
    now = datetime.now(UTC).replace(microsecond=0)
    job = Job(
        job_id=JobId(name),
        user_id=USER,
        link_ids=(LinkId(f"lnk_{name}1"), LinkId(f"lnk_{name}2")),
        results=tuple(LinkResult(link_id=LinkId(link), outcome=Outcome.FRESH, created=3, at=now) for link in read),
        created_at=now - timedelta(minutes=20),
        gives_up_at=now + timedelta(minutes=minutes_left),
        expires_at=now + timedelta(hours=20),
    )
    assert jobs.start(job, None)
    return job


def test_a_job_that_died_is_stored_as_it_is_answered(base: Database, jobs: DynamoJobTable) -> None:
    dead = started(jobs, "dead", minutes_left=-5, read=("lnk_dead1",))
    running = started(jobs, "running", minutes_left=5)
    answered = dead.as_of(datetime.now(UTC))

    for _ in range(2):
        dead_jobs.up(base.context("broker_service", ENV))

    assert jobs.get(USER, dead.job_id) == answered
    assert jobs.get(USER, running.job_id) == running


def test_a_result_that_comes_later_still_changes_nothing_any_more(base: Database, jobs: DynamoJobTable) -> None:
    dead = started(jobs, "dead", minutes_left=-5)
    dead_jobs.up(base.context("broker_service", ENV))

    late = LinkResult(link_id=dead.link_ids[0], outcome=Outcome.FRESH, at=datetime.now(UTC))
    assert jobs.record(USER, dead.job_id, late) is None


def test_a_result_that_comes_in_between_stands(
    base: Database, jobs: DynamoJobTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = started(jobs, "dead", minutes_left=-5)
    result = LinkResult(link_id=dead.link_ids[0], outcome=Outcome.FRESH, at=datetime.now(UTC).replace(microsecond=0))
    ctx = base.context("broker_service", ENV)
    write = vars(type(ctx.tables))["_write"]

    def late(*arguments: object) -> None:
        jobs.record(USER, dead.job_id, result)
        write(*arguments)

    monkeypatch.setattr(type(ctx.tables), "_write", late)
    dead_jobs.up(ctx)

    closed = jobs.get(USER, dead.job_id)
    assert closed
    assert [(r.link_id, r.error_code) for r in closed.results] == [("lnk_dead1", ""), ("lnk_dead2", "timed_out")]


def test_down_takes_out_what_up_has_put_in(base: Database, jobs: DynamoJobTable) -> None:
    dead = started(jobs, "dead", minutes_left=-5, read=("lnk_dead2",))
    whole = started(jobs, "whole", minutes_left=-5, read=("lnk_whole1", "lnk_whole2"))

    dead_jobs.up(base.context("broker_service", ENV))
    dead_jobs.down(base.context("broker_service", ENV))

    assert jobs.get(USER, dead.job_id) == dead
    assert jobs.get(USER, whole.job_id) == whole


def test_jobs_about_to_be_deleted_are_left_alone(base: Database) -> None:
    expired = {"user_id": USER, "sk": "job#old", "link_ids": ["lnk_a"], "results": {}, "expires_at": 1}
    base.put("jobs", expired | {"gives_up_at": "2020-01-01T00:00:00Z"})

    dead_jobs.up(base.context("broker_service", ENV))

    assert base.items("jobs")[0]["results"] == {}
