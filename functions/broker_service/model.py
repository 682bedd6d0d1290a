"""Refresh jobs: which links a user wants read again, and what became of each."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import NewType

UserId = NewType("UserId", str)
LinkId = NewType("LinkId", str)
JobId = NewType("JobId", str)


class JobState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    PARTIAL = "partial"
    FAILED = "failed"


class Outcome(StrEnum):
    FRESH = "fresh"
    FAILED = "failed"
    ACTION_REQUIRED = "action_required"


PUBLISH_FAILED = "publish_failed"
TIMED_OUT = "timed_out"


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkResult:
    """How the refresh of one link ended. Counts are of bills."""

    link_id: LinkId
    outcome: Outcome
    error_code: str = ""
    """Why it is not fresh; empty when it is."""
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """State and counts are derived from the results, so that recording a result is one conditional write."""

    job_id: JobId
    user_id: UserId
    link_ids: tuple[LinkId, ...]
    results: tuple[LinkResult, ...] = ()
    created_at: datetime
    gives_up_at: datetime
    """What has no result by then is taken as failed; a new job need not wait for this one."""
    expires_at: datetime
    announced: bool = True
    """Whether its links' refreshes have been asked for. Jobs from before this was noted count as announced."""

    @property
    def total(self) -> int:
        return len(self.link_ids)

    @property
    def done(self) -> int:
        """Links that are finished, whatever the outcome."""
        return len(self.results)

    @property
    def failed(self) -> int:
        """Finished links that are not fresh."""
        return sum(result.outcome is not Outcome.FRESH for result in self.results)

    @property
    def missing(self) -> tuple[LinkId, ...]:
        """Links without a result."""
        answered = {result.link_id for result in self.results}
        return tuple(link_id for link_id in self.link_ids if link_id not in answered)

    @property
    def finished(self) -> bool:
        return self.done >= self.total

    @property
    def state(self) -> JobState:
        if not self.finished:
            return JobState.RUNNING if self.done else JobState.QUEUED
        if not self.failed:
            return JobState.SUCCEEDED
        return JobState.FAILED if self.failed == self.total else JobState.PARTIAL

    @property
    def finished_at(self) -> datetime | None:
        return max((result.at for result in self.results), default=None) if self.finished else None

    def as_of(self, now: datetime) -> "Job":
        """The job as it looks at `now`: past `gives_up_at`, links without a result have timed out."""
        if self.finished or now < self.gives_up_at:
            return self
        timed_out = tuple(
            LinkResult(link_id=link_id, outcome=Outcome.FAILED, error_code=TIMED_OUT, at=self.gives_up_at)
            for link_id in self.missing
        )
        return replace(self, results=self.results + timed_out)
