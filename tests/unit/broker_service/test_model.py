from datetime import UTC, datetime, timedelta

import pytest

from functions.broker_service.model import Job, JobId, JobState, LinkId, LinkResult, Outcome
from tests.unit.broker_service.fakes import ANNA, GAS, POWER, WATER

BEGUN = datetime(2026, 3, 15, 12, 0, tzinfo=UTC)
FRESH, FAILED, ACTION = Outcome.FRESH, Outcome.FAILED, Outcome.ACTION_REQUIRED


def a_job(*outcomes: Outcome, links: tuple[LinkId, ...] = (POWER, GAS, WATER)) -> Job:
    return Job(
        job_id=JobId("job_1"),
        user_id=ANNA,
        link_ids=links,
        results=tuple(
            LinkResult(link_id=link_id, outcome=outcome, at=BEGUN + timedelta(seconds=number))
            for number, (link_id, outcome) in enumerate(zip(links, outcomes, strict=False))
        ),
        created_at=BEGUN,
        gives_up_at=BEGUN + timedelta(minutes=15),
        expires_at=BEGUN + timedelta(days=1),
    )


@pytest.mark.parametrize(
    ("outcomes", "state", "done", "failed"),
    [
        ((), JobState.QUEUED, 0, 0),
        ((FAILED,), JobState.RUNNING, 1, 1),
        ((FRESH, FRESH), JobState.RUNNING, 2, 0),
        ((FRESH, FRESH, FRESH), JobState.SUCCEEDED, 3, 0),
        ((FRESH, ACTION, FRESH), JobState.PARTIAL, 3, 1),
        ((FAILED, ACTION, FAILED), JobState.FAILED, 3, 3),
    ],
)
def test_state_follows_from_the_results(outcomes: tuple[Outcome, ...], state: JobState, done: int, failed: int) -> None:
    job = a_job(*outcomes)

    assert (job.state, job.done, job.failed, job.total) == (state, done, failed, 3)


def test_finished_when_the_last_result_came() -> None:
    assert a_job(FRESH, FRESH).finished_at is None
    assert a_job(FRESH, FRESH, FAILED).finished_at == BEGUN + timedelta(seconds=2)


def test_what_has_no_result_in_time_has_failed() -> None:
    job = a_job(FRESH)

    assert job.as_of(BEGUN + timedelta(minutes=14)) == job
    late = job.as_of(BEGUN + timedelta(minutes=15))

    assert (late.state, late.done, late.failed) == (JobState.PARTIAL, 3, 2)
    assert [result.error_code for result in late.results] == ["", "timed_out", "timed_out"]
    assert late.finished_at == BEGUN + timedelta(minutes=15)


def test_a_finished_job_does_not_change_with_time() -> None:
    job = a_job(FRESH, FRESH, FRESH)

    assert job.as_of(BEGUN + timedelta(hours=20)) is job
