"""Bodies of the broker's routes."""

from typing import Annotated

from msgspec import Meta, Struct

from functions.broker_service.model import Job
from functions.common.clock import rfc3339

MAX_LINKS = 200


class RequestRefresh(Struct, kw_only=True, forbid_unknown_fields=True):
    """Without `link_ids`: all of the user's links."""

    link_ids: Annotated[list[str], Meta(min_length=1, max_length=MAX_LINKS)] | None = None


class LinkResultView(Struct, kw_only=True):
    link_id: str
    outcome: str
    error_code: str | None
    created: int
    updated: int
    unchanged: int


class JobView(Struct, kw_only=True):
    job_id: str
    state: str
    total: int
    done: int
    failed: int
    results: list[LinkResultView]
    created_at: str
    finished_at: str | None

    @classmethod
    def of(cls, job: Job) -> "JobView":
        return cls(
            job_id=job.job_id,
            state=job.state,
            total=job.total,
            done=job.done,
            failed=job.failed,
            results=[
                LinkResultView(
                    link_id=result.link_id,
                    outcome=result.outcome,
                    error_code=result.error_code or None,
                    created=result.created,
                    updated=result.updated,
                    unchanged=result.unchanged,
                )
                for result in job.results
            ],
            created_at=rfc3339(job.created_at),
            finished_at=rfc3339(job.finished_at) if job.finished_at else None,
        )


class Health(Struct, kw_only=True):
    status: str
    version: str
    time: str
