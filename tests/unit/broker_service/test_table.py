import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from moto import mock_aws
from pynamodb.exceptions import CancellationReason, TransactWriteError, VerboseClientError
from pynamodb.transactions import TransactWrite

from functions.broker_service.model import Job, JobId, JobState, LinkId, LinkResult, Outcome
from functions.broker_service.service import Jobs
from functions.broker_service.table import DynamoJobTable, JobItem
from functions.common.clock import rfc3339
from functions.common.errors import NotFound, Unavailable
from tests.support.fakes import FakeClock
from tests.unit.broker_service.fakes import ANNA, BERT, GAS, POWER, WATER


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def table(clock: FakeClock) -> Iterator[DynamoJobTable]:
    with mock_aws():
        repository = DynamoJobTable("jobs", clock)
        JobItem.create_table(wait=True)
        yield repository


def a_job(clock: FakeClock, job_id: str = "job_1", *links: LinkId) -> Job:
    now = clock.now()
    return Job(
        job_id=JobId(job_id),
        user_id=ANNA,
        link_ids=links or (GAS, POWER),
        created_at=now,
        gives_up_at=now + timedelta(minutes=15),
        expires_at=now + timedelta(days=1),
    )


def a_result(clock: FakeClock, link_id: LinkId, outcome: Outcome = Outcome.FRESH) -> LinkResult:
    return LinkResult(
        link_id=link_id, outcome=outcome, error_code="", created=2, updated=1, unchanged=9, at=clock.now()
    )


def test_a_job_comes_back_as_it_was_stored(table: DynamoJobTable, clock: FakeClock) -> None:
    job = a_job(clock)

    assert table.start(job, instead_of=None)

    assert table.get(ANNA, job.job_id) == job
    assert table.find_running(ANNA, [POWER, GAS]) == job
    assert table.get(BERT, job.job_id) is None
    assert table.find_running(ANNA, [POWER]) is None


def test_an_expired_job_is_gone_before_it_is_deleted(table: DynamoJobTable, clock: FakeClock) -> None:
    job = a_job(clock)
    table.start(job, instead_of=None)
    clock.advance(timedelta(days=1))

    assert table.get(ANNA, job.job_id) is None
    assert not table.record(ANNA, job.job_id, a_result(clock, GAS))


def test_one_job_at_a_time_for_a_set_of_links(table: DynamoJobTable, clock: FakeClock) -> None:
    first, second = a_job(clock), a_job(clock, "job_2")
    table.start(first, instead_of=None)

    assert not table.start(second, instead_of=None)
    assert table.get(ANNA, second.job_id) is None
    assert table.start(second, instead_of=first)
    assert table.find_running(ANNA, first.link_ids) == second


def test_of_two_that_start_at_once_one_runs_and_the_other_is_told(
    table: DynamoJobTable, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = a_job(clock), a_job(clock, "job_2")
    commit = TransactWrite._commit
    response: Any = {"Error": {"Code": "TransactionCanceledException"}}
    reasons = [CancellationReason("TransactionConflict"), None]
    conflict = VerboseClientError(response, "TransactWriteItems", {}, cancellation_reasons=reasons)

    def meets_the_first(_: TransactWrite) -> None:
        monkeypatch.setattr(TransactWrite, "_commit", commit)
        assert table.start(first, instead_of=None)
        raise TransactWriteError("cancelled", conflict)

    monkeypatch.setattr(TransactWrite, "_commit", meets_the_first)

    assert not table.start(second, instead_of=None)
    assert table.find_running(ANNA, second.link_ids) == first


def test_that_a_job_is_announced_is_noted(table: DynamoJobTable, clock: FakeClock) -> None:
    job = replace(a_job(clock), announced=False)
    table.start(job, instead_of=None)
    assert table.find_running(ANNA, job.link_ids) == job

    table.mark_announced(job)

    assert table.get(ANNA, job.job_id) == replace(job, announced=True)


def test_a_job_from_before_that_was_noted_counts_as_announced(table: DynamoJobTable, clock: FakeClock) -> None:
    job = a_job(clock)
    table.start(job, instead_of=None)
    item = JobItem.get(ANNA, "job#job_1")
    item.announced = None
    item.save()
    assert "announced" not in JobItem.get(ANNA, "job#job_1").serialize()

    assert table.get(ANNA, job.job_id) == job


def test_a_job_that_was_purged_does_not_come_back_by_its_mark(table: DynamoJobTable, clock: FakeClock) -> None:
    table.mark_announced(a_job(clock))

    assert JobItem.count() == 0


def test_a_pointer_past_its_time_is_free(table: DynamoJobTable, clock: FakeClock) -> None:
    table.start(a_job(clock), instead_of=None)
    clock.advance(timedelta(minutes=15))

    assert table.start(a_job(clock, "job_2"), instead_of=None)


def test_release_frees_only_its_own_place(table: DynamoJobTable, clock: FakeClock) -> None:
    first, second = a_job(clock), a_job(clock, "job_2")
    table.start(first, instead_of=None)
    table.start(second, instead_of=first)

    table.release(first)
    assert table.find_running(ANNA, first.link_ids) == second
    table.release(second)
    assert table.find_running(ANNA, first.link_ids) is None


class OneCallAtATime:
    """What DynamoDB does with the writes of one item; moto breaks when two threads are in it."""

    def __init__(self, table: DynamoJobTable) -> None:
        self._table = table
        self._lock = threading.Lock()

    def __getattr__(self, name: str) -> object:
        method = getattr(self._table, name)

        def call(*args: object) -> object:
            with self._lock:
                return method(*args)

        return call


def test_the_first_result_of_a_link_stands(table: DynamoJobTable, clock: FakeClock) -> None:
    job = a_job(clock)
    table.start(job, instead_of=None)
    first = a_result(clock, POWER)

    assert table.record(ANNA, job.job_id, first)
    assert not table.record(ANNA, job.job_id, a_result(clock, POWER, Outcome.FAILED))
    assert not table.record(ANNA, job.job_id, a_result(clock, WATER))
    assert not table.record(BERT, job.job_id, a_result(clock, GAS))

    stored = table.get(ANNA, job.job_id)
    assert stored is not None
    assert stored.results == (first,)


def test_concurrent_results_finish_the_job_once(
    table: DynamoJobTable, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    links = tuple(LinkId(f"lnk_{number}") for number in range(8))
    job = a_job(clock, "job_1", *links)
    table.start(job, instead_of=None)
    released: list[Job] = []
    monkeypatch.setattr(table, "release", released.append)
    jobs = Jobs(OneCallAtATime(table), clock)  # type: ignore[arg-type]

    def record(link_id: LinkId) -> JobState:
        return jobs.record_job_result(ANNA, job.job_id, a_result(clock, link_id)).state

    with ThreadPoolExecutor(8) as pool:
        states = list(pool.map(record, links * 2))

    finished = table.get(ANNA, job.job_id)
    assert finished is not None
    assert (finished.state, finished.done, finished.total) == (JobState.SUCCEEDED, 8, 8)
    assert JobState.SUCCEEDED in states
    assert released == [finished]


def test_expiry_is_a_number_of_seconds(table: DynamoJobTable, clock: FakeClock) -> None:
    job = a_job(clock)
    table.start(job, instead_of=None)

    item = JobItem.get(ANNA, "job#job_1")

    assert item.expires_at == int(job.expires_at.timestamp())
    assert item.created_at == rfc3339(job.created_at)


def test_a_table_that_does_not_answer(clock: FakeClock) -> None:
    with mock_aws():  # no table in it
        table = DynamoJobTable("jobs", clock)
        calls: list[Callable[[], object]] = [
            lambda: table.get(ANNA, JobId("job_1")),
            lambda: table.find_running(ANNA, [POWER]),
            lambda: table.start(a_job(clock), None),
            lambda: table.record(ANNA, JobId("job_1"), a_result(clock, POWER)),
            lambda: table.release(a_job(clock)),
        ]
        for call in calls:
            with pytest.raises(Unavailable):
                call()


def test_record_job_result_of_an_unknown_job(table: DynamoJobTable, clock: FakeClock) -> None:
    with pytest.raises(NotFound):
        Jobs(table, clock).record_job_result(ANNA, JobId("job_1"), a_result(clock, POWER))


def test_what_is_held_on_a_user(table: DynamoJobTable, clock: FakeClock) -> None:
    jobs = [a_job(clock, f"job_{number}", LinkId(f"lnk_{number}")) for number in range(3)]
    for job in jobs:
        table.start(job, instead_of=None)

    assert list(table.held(ANNA, "")) == jobs
    assert list(table.held(ANNA, "job_1")) == jobs[2:]
    assert list(table.held(BERT, "")) == []
    clock.advance(timedelta(days=1))
    assert list(table.held(ANNA, "")) == []


def test_all_of_a_user_is_deleted_in_parts(table: DynamoJobTable, clock: FakeClock) -> None:
    for number in range(3):
        table.start(a_job(clock, f"job_{number}", LinkId(f"lnk_{number}")), instead_of=None)

    assert [table.delete(ANNA, 4) for _ in range(3)] == [4, 2, 0]  # jobs, and what says which of them runs
    assert JobItem.count() == 0
