"""Refresh jobs in one table: keys `user_id` and `sk`, time to live `expires_at`.

sk                      what
job#<job_id>            the job with its links and the results so far
running#<hash of links> job_id of the job that was last started for this set of links
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pynamodb.attributes import BooleanAttribute, ListAttribute, MapAttribute, NumberAttribute, UnicodeAttribute
from pynamodb.exceptions import DoesNotExist
from pynamodb.models import Model
from pynamodb.transactions import TransactWrite

from functions.broker_service.model import Job, JobId, LinkId, LinkResult, Outcome, UserId
from functions.common.clock import Clock, parse_rfc3339, rfc3339
from functions.common.table import ConditionFailed, bind, deleted, transact, translated, updated

JOB = "job#"


class JobItem(Model):
    class Meta:
        table_name = ""
        billing_mode = "PAY_PER_REQUEST"

    user_id = UnicodeAttribute(hash_key=True)
    sk = UnicodeAttribute(range_key=True)
    job_id = UnicodeAttribute()
    link_ids = ListAttribute[str]()
    # link id → outcome, error_code, created, updated, unchanged, at
    results: MapAttribute[str, Any] = MapAttribute()  # type: ignore[no-untyped-call]
    created_at = UnicodeAttribute()
    gives_up_at = UnicodeAttribute()
    announced = BooleanAttribute(null=True)
    expires_at = NumberAttribute()


class RunningItem(Model):
    class Meta:
        table_name = ""
        billing_mode = "PAY_PER_REQUEST"

    user_id = UnicodeAttribute(hash_key=True)
    sk = UnicodeAttribute(range_key=True)
    job_id = UnicodeAttribute()
    expires_at = NumberAttribute()


class DynamoJobTable:
    def __init__(self, table_name: str, clock: Clock) -> None:
        self._job = bind(JobItem, table_name)
        self._running = bind(RunningItem, table_name)
        self._clock = clock

    def find_running(self, user_id: UserId, link_ids: Sequence[LinkId]) -> Job | None:
        with translated():
            try:
                pointer = self._running.get(user_id, _running_key(link_ids), consistent_read=True)
            except DoesNotExist:
                return None
        return self.get(user_id, JobId(pointer.job_id))

    def start(self, job: Job, instead_of: Job | None) -> bool:
        pointer = self._running(
            job.user_id, _running_key(job.link_ids), job_id=job.job_id, expires_at=_epoch(job.gives_up_at)
        )
        # A pointer past its time is one of a job that died: nothing waits for it.
        free = RunningItem.sk.does_not_exist() | (RunningItem.expires_at <= self._now())
        if instead_of:
            free |= RunningItem.job_id == instead_of.job_id

        def write(transaction: TransactWrite) -> None:
            transaction.save(pointer, condition=free)
            transaction.save(self._item(job), condition=JobItem.sk.does_not_exist())

        try:
            transact(self._job, write)
        except ConditionFailed:
            return False
        return True

    def mark_announced(self, job: Job) -> None:
        item = self._job(job.user_id, _job_key(job.job_id))
        # unless it was purged meanwhile
        updated(item, [JobItem.announced.set(True)], JobItem.sk.exists())

    def get(self, user_id: UserId, job_id: JobId) -> Job | None:
        with translated():
            try:
                item = self._job.get(user_id, _job_key(job_id), consistent_read=True)
            except DoesNotExist:
                return None
        return _job(item) if item.expires_at > self._now() else None

    def record(self, user_id: UserId, job_id: JobId, result: LinkResult) -> Job | None:
        item = self._job(user_id, _job_key(job_id))
        slot = JobItem.results[result.link_id]
        awaited = JobItem.link_ids.contains(result.link_id) & slot.does_not_exist() & (JobItem.expires_at > self._now())
        return _job(item) if updated(item, [slot.set(_stored(result))], awaited) else None

    def release(self, job: Job) -> None:
        pointer = self._running(job.user_id, _running_key(job.link_ids))
        # unless a later job has taken the place already
        deleted(pointer, RunningItem.job_id == job.job_id)

    def held(self, user_id: UserId, after: str) -> Iterator[Job]:
        with translated():
            jobs = JobItem.sk > _job_key(JobId(after)) if after else JobItem.sk.startswith(JOB)
            for item in self._job.query(user_id, jobs, consistent_read=True):
                if item.sk.startswith(JOB) and item.expires_at > self._now():
                    yield _job(item)

    def delete(self, user_id: UserId, limit: int) -> int:
        with translated(), self._job.batch_write() as batch:
            items = list(
                self._job.query(user_id, consistent_read=True, attributes_to_get=["user_id", "sk"], limit=limit)
            )
            for item in items:
                batch.delete(item)
        return len(items)

    def _item(self, job: Job) -> JobItem:
        return self._job(
            job.user_id,
            _job_key(job.job_id),
            job_id=job.job_id,
            link_ids=list(job.link_ids),
            results={result.link_id: _stored(result) for result in job.results},
            created_at=rfc3339(job.created_at),
            gives_up_at=rfc3339(job.gives_up_at),
            announced=job.announced,
            expires_at=_epoch(job.expires_at),
        )

    def _now(self) -> int:
        return _epoch(self._clock.now())


def _job(item: JobItem) -> Job:
    results = item.results.as_dict()  # type: ignore[no-untyped-call]
    return Job(
        job_id=JobId(item.job_id),
        user_id=UserId(item.user_id),
        link_ids=tuple(LinkId(link_id) for link_id in item.link_ids),
        results=tuple(_result(LinkId(link_id), results[link_id]) for link_id in sorted(results)),
        created_at=parse_rfc3339(item.created_at),
        gives_up_at=parse_rfc3339(item.gives_up_at),
        expires_at=datetime.fromtimestamp(int(item.expires_at), UTC),
        announced=item.announced is not False,
    )


def _stored(result: LinkResult) -> dict[str, str | int]:
    return {
        "outcome": result.outcome.value,
        "error_code": result.error_code,
        "created": result.created,
        "updated": result.updated,
        "unchanged": result.unchanged,
        "at": rfc3339(result.at),
    }


def _result(link_id: LinkId, stored: Mapping[str, Any]) -> LinkResult:  # Any: text and numbers, as `_stored` wrote them
    return LinkResult(
        link_id=link_id,
        outcome=Outcome(stored["outcome"]),
        error_code=stored["error_code"],
        created=int(stored["created"]),
        updated=int(stored["updated"]),
        unchanged=int(stored["unchanged"]),
        at=parse_rfc3339(stored["at"]),
    )


def _job_key(job_id: JobId) -> str:
    return f"{JOB}{job_id}"


def _running_key(link_ids: Sequence[LinkId]) -> str:
    return f"running#{hashlib.sha256(' '.join(sorted(link_ids)).encode()).hexdigest()[:32]}"


def _epoch(instant: datetime) -> int:
    return int(instant.timestamp())
