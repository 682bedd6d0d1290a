"""Use cases of the broker: ask for a refresh, follow its job."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Protocol

from functions.broker_service.model import (
    PUBLISH_FAILED,
    Job,
    JobId,
    LinkId,
    LinkResult,
    Outcome,
    UserId,
)
from functions.common import logs, personal
from functions.common.clock import Clock
from functions.common.errors import AppError, Conflict, NotFound, Unavailable
from functions.common.ids import is_id, new_id
from functions.common.publisher import Publisher
from functions.common.rpc.client import Stub
from functions.contracts.events.bills import BillsRefreshRequestedV1
from functions.contracts.events.envelope import wrap
from functions.contracts.rpc.accounts_pb2 import GetLinkedAccountsReply, GetLinkedAccountsRequest

log = logging.getLogger(__name__)

REVOKED = "REVOKED"
MANUAL = "manual"
"""Kind of a link that files feed."""
START_ATTEMPTS = 3
ANNOUNCED_WITHIN = timedelta(seconds=30)
"""Longer than the function may take: a job that is older and not announced is of one that died."""


class JobTable(Protocol):
    def find_running(self, user_id: UserId, link_ids: Sequence[LinkId]) -> Job | None:
        """The job that was last started for this very set of links and not released since."""
        ...

    def start(self, job: Job, instead_of: Job | None) -> bool:
        """Stores a new job as the running one for its links. False when another than `instead_of` is running."""
        ...

    def mark_announced(self, job: Job) -> None:
        """Nobody needs to announce it any more."""
        ...

    def get(self, user_id: UserId, job_id: JobId) -> Job | None:
        """None when there is none, or when it has expired."""
        ...

    def record(self, user_id: UserId, job_id: JobId, result: LinkResult) -> Job | None:
        """Adds a link's first result; the job as this very write left it. None when there is no such job or link, or
        when a result of the link stands."""
        ...

    def release(self, job: Job) -> None:
        """The job is not the running one for its links any more."""
        ...

    def held(self, user_id: UserId, after: str) -> Iterator[Job]:
        """All jobs of the user, oldest first, those whose id is greater than `after`."""
        ...

    def delete(self, user_id: UserId, limit: int) -> int:
        """Deletes at most `limit` of the user's items; answers how many."""
        ...


class Jobs:
    def __init__(self, table: JobTable, clock: Clock) -> None:
        self._table = table
        self._clock = clock

    def get_job(self, user_id: UserId, job_id: JobId) -> Job:
        job = self._table.get(user_id, job_id) if is_id("job", job_id) else None
        if job is None:
            raise NotFound("There is no such job.")
        return job.as_of(self._clock.now())

    def record_job_result(self, user_id: UserId, job_id: JobId, result: LinkResult) -> Job:
        """Idempotent per (job, link): the first result of a link stands. The last link's result finishes the job."""
        job = self._table.record(user_id, job_id, result)
        if job is None:
            return self._known_job(user_id, job_id, result.link_id)
        if job.finished:  # only one write leaves it so
            self._table.release(job)
            log.info("job_finished", extra=logs.fields(job_id=job_id, state=job.state, total=job.total))
        return job

    def export_user(self, user_id: UserId, cursor: str) -> personal.ExportPage:
        held = self._table.held(user_id, personal.after(cursor))
        return personal.export_page(["items"], (personal.Record(job.job_id, "items", job) for job in held))

    def purge_user(self, user_id: UserId) -> tuple[int, bool]:
        """How many items went, and whether there are more."""
        deleted = self._table.delete(user_id, personal.PURGED_AT_ONCE)
        log.info("user_purged", extra=logs.fields(items=deleted))
        return deleted, deleted == personal.PURGED_AT_ONCE

    def _known_job(self, user_id: UserId, job_id: JobId, link_id: LinkId) -> Job:
        job = self._table.get(user_id, job_id)
        if job is None or link_id not in job.link_ids:
            raise NotFound("There is no such job, or it does not ask for this link.")
        return job


class Refreshes:
    def __init__(
        self,
        *,
        table: JobTable,
        jobs: Jobs,
        accounts: Stub,
        publisher: Publisher,
        clock: Clock,
        job_seconds: int,
        kept_seconds: int,
    ) -> None:
        self._table = table
        self._jobs = jobs
        self._accounts = accounts
        self._publisher = publisher
        self._clock = clock
        self._job_time = timedelta(seconds=job_seconds)
        self._kept_time = timedelta(seconds=kept_seconds)

    def request_refresh(self, user_id: UserId, link_ids: Sequence[str] | None) -> Job:
        """A job that reads these links again (None: all); the one that does so already, if there is one.

        Raises NotFound for a link that is not the user's, Conflict when there is none at all or files feed it,
        Unavailable when no event got out.
        """
        wanted = self._choose(user_id, link_ids)
        for _ in range(START_ATTEMPTS):
            running = self._table.find_running(user_id, wanted)
            if running and not running.as_of(self._clock.now()).finished:
                return self._join(running)
            job = self._new_job(user_id, wanted)
            if self._table.start(job, instead_of=running):
                return self._announce(job)
        raise Unavailable("Other refreshes of the same accounts came in between; try again.")

    def _choose(self, user_id: UserId, link_ids: Sequence[str] | None) -> tuple[LinkId, ...]:
        reply = self._accounts.call(
            "GetLinkedAccounts", GetLinkedAccountsRequest(user_id=user_id), GetLinkedAccountsReply
        )
        live = [account for account in reply.items if account.state != REVOKED]
        linked = {LinkId(account.link_id) for account in live if account.kind != MANUAL}
        if link_ids is None:
            if not linked:
                raise Conflict("No account is linked yet.", code="no_links")
            return tuple(sorted(linked))
        wanted = {LinkId(link_id) for link_id in link_ids}
        if not wanted <= {LinkId(account.link_id) for account in live}:
            raise NotFound("At least one of these accounts does not exist.", code="link_not_found")
        if not wanted <= linked:
            raise Conflict("Files feed one of these accounts: there is nobody to ask.", code="link_is_manual")
        return tuple(sorted(wanted))

    def _new_job(self, user_id: UserId, link_ids: tuple[LinkId, ...]) -> Job:
        now = self._clock.now()
        return Job(
            job_id=JobId(new_id("job")),
            user_id=user_id,
            link_ids=link_ids,
            created_at=now,
            gives_up_at=now + self._job_time,
            expires_at=now + self._kept_time,
            announced=False,
        )

    def _join(self, job: Job) -> Job:
        """Whoever started it may have died before the events were out: then they go out now. Twice does no harm, for a
        link's first result stands."""
        if job.announced or self._clock.now() < job.created_at + ANNOUNCED_WITHIN:
            return job
        log.warning("job_announced_again", extra=logs.fields(job_id=job.job_id))
        return self._announce(job)

    def _announce(self, job: Job) -> Job:
        """Asks for the refresh of each link without a result; links that could not be asked for have failed."""
        now = self._clock.now()
        links = {}
        events = []
        for link_id in job.missing:
            data = BillsRefreshRequestedV1(user_id=job.user_id, link_id=link_id, job_id=job.job_id, reason="user")
            event = wrap(data, now)
            links[event.id] = link_id
            events.append(event)
        try:
            refused = self._publisher.publish(events)
        except AppError:
            self._fail(job, job.missing)
            raise
        self._mark_announced(job)
        return self._fail(replace(job, announced=True), [links[event_id] for event_id in refused])

    def _mark_announced(self, job: Job) -> None:
        try:
            self._table.mark_announced(job)
        except AppError as error:
            # The events are out; whoever joins sends them once more.
            log.warning("job_not_marked", extra=logs.fields(job_id=job.job_id, code=error.code))

    def _fail(self, job: Job, link_ids: Sequence[LinkId]) -> Job:
        for link_id in link_ids:
            result = LinkResult(
                link_id=link_id, outcome=Outcome.FAILED, error_code=PUBLISH_FAILED, at=self._clock.now()
            )
            job = self._jobs.record_job_result(job.user_id, job.job_id, result)
        return job
