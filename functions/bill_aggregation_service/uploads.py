"""Use cases on files that are too large to come with a request: a form to upload one, then a worker that imports it.

    uploading → queued → running → succeeded | failed

The job is kept with the user's bills for 30 days, the file until it is imported, a day at most.
"""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Protocol

from functions.bill_aggregation_service.import_job import (
    Asked,
    ImportId,
    ImportJob,
    ImportReport,
    ImportState,
    JobMoved,
)
from functions.bill_aggregation_service.imports import Importer
from functions.bill_aggregation_service.model import UserId
from functions.common import logs
from functions.common.clock import Clock
from functions.common.errors import AppError, Conflict, InvalidInput, MalformedBody, NotFound, PayloadTooLarge
from functions.common.ids import is_id, new_id
from functions.common.worker import UnknownEventError
from functions.contracts.events.bills import BillsImportRequestedV1
from functions.contracts.events.envelope import CloudEvent, unwrap, wrap

log = logging.getLogger(__name__)

MAX_FILE_BYTES = 20 * 1024 * 1024
FORM_SECONDS = 900
LEASE = timedelta(minutes=5)
"""Longer than the worker runs: a job that is running and older was left by a worker that broke."""


@dataclass(frozen=True, slots=True)
class UploadForm:
    """An HTML form's worth: POST to `url` as multipart/form-data with these fields, then the file as `file`."""

    url: str
    fields: Mapping[str, str]


class JobStore(Protocol):
    def create(self, job: ImportJob) -> None:
        """Raises NotFound for a user who was deleted."""
        ...

    def job(self, user_id: UserId, import_id: ImportId) -> ImportJob | None: ...

    def update(self, before: ImportJob, after: ImportJob) -> ImportJob:
        """The job as it stands then. Raises JobMoved."""
        ...


class Files(Protocol):
    def upload_form(self, key: str, max_bytes: int, seconds: int) -> UploadForm: ...

    def size(self, key: str) -> int | None:
        """None when there is no such file."""
        ...

    def read(self, key: str) -> Iterator[bytes]: ...

    def delete(self, key: str) -> None: ...


class Queue(Protocol):
    def send(self, event: CloudEvent) -> None: ...


@dataclass(frozen=True, slots=True)
class Uploads:
    """What the API does; the work itself is `ImportWork`'s."""

    jobs: JobStore
    files: Files
    queue: Queue
    importer: Importer
    clock: Clock

    def create_import(self, user_id: UserId, asked: Asked) -> tuple[ImportJob, UploadForm]:
        self.importer.check_link(user_id, asked.link_id)
        now = self.clock.now()
        job = ImportJob(
            import_id=ImportId(new_id("imp")),
            user_id=user_id,
            asked=asked,
            state=ImportState.UPLOADING,
            created_at=now,
            updated_at=now,
        )
        self.jobs.create(job)
        return job, self.files.upload_form(job.key, MAX_FILE_BYTES, FORM_SECONDS)

    def start_import(self, user_id: UserId, import_id: str) -> ImportJob:
        """Once more is the same. Raises Conflict when the file is not there, PayloadTooLarge when it is too large."""
        job = self.get_import(user_id, import_id)
        if job.state in (ImportState.RUNNING, ImportState.SUCCEEDED):
            return job
        self._check_file(job)
        if job.state is not ImportState.QUEUED:
            job = self._queued(job)
        # The same message may go twice: the worker takes a job once.
        event = BillsImportRequestedV1(user_id=user_id, import_id=job.import_id)
        self.queue.send(wrap(event, self.clock.now()))
        return job

    def get_import(self, user_id: UserId, import_id: str) -> ImportJob:
        job = self.jobs.job(user_id, ImportId(import_id)) if is_id("imp", import_id) else None
        if job is None:
            raise NotFound("There is no such import.", code="import_not_found")
        return job.seen_at(self.clock.now())

    def _check_file(self, job: ImportJob) -> None:
        size = self.files.size(job.key)
        if size is None:
            raise Conflict("The file has not been uploaded.", code="upload_missing")
        if size > MAX_FILE_BYTES:
            self.files.delete(job.key)
            raise PayloadTooLarge(f"The file has {size} bytes, {MAX_FILE_BYTES} are allowed.")

    def _queued(self, job: ImportJob) -> ImportJob:
        queued = replace(
            job, state=ImportState.QUEUED, updated_at=self.clock.now(), error_code="", error_detail="",
        )  # fmt: skip
        try:
            return self.jobs.update(job, queued)
        except JobMoved:
            return self.get_import(job.user_id, job.import_id)


@dataclass(frozen=True, slots=True)
class ImportWork:
    jobs: JobStore
    files: Files
    importer: Importer
    clock: Clock

    def run(self, event: CloudEvent) -> None:
        """Imports the file of a job. Raises AppError when that must be tried again; a file that is none, or a link that
        is gone, is an end like any other."""
        if event.type != BillsImportRequestedV1.TYPE:
            raise UnknownEventError(f"import takes no {event.type}")
        wanted = unwrap(event, BillsImportRequestedV1)
        job = self.jobs.job(UserId(wanted.user_id), ImportId(wanted.import_id))
        if job is None or not self._is_free(job):
            return
        try:
            job = self.jobs.update(job, replace(job, state=ImportState.RUNNING, updated_at=self.clock.now()))
            self.jobs.update(job, self._done(job))
        except JobMoved:
            return  # another worker has it, or its user is gone
        self.files.delete(job.key)

    def _is_free(self, job: ImportJob) -> bool:
        left = job.state is ImportState.RUNNING and self.clock.now() - job.updated_at >= LEASE
        return left or job.state is ImportState.QUEUED

    def _done(self, job: ImportJob) -> ImportJob:
        try:
            report = self.importer.import_file(job.user_id, self._file(job), job.asked)
        except (NotFound, MalformedBody, InvalidInput, PayloadTooLarge) as error:
            log.info("import_failed", extra=logs.fields(import_id=job.import_id, code=error.code))
            return self._ended(job, ImportState.FAILED, error=error)
        return self._ended(job, ImportState.SUCCEEDED, report=report)

    def _ended(
        self, job: ImportJob, state: ImportState, *, report: ImportReport | None = None, error: AppError | None = None
    ) -> ImportJob:
        return replace(
            job,
            state=state,
            updated_at=self.clock.now(),
            report=report or job.report,
            error_code=error.code if error else "",
            error_detail=error.detail if error else "",
        )

    def _file(self, job: ImportJob) -> Iterator[bytes]:
        """Never more than is allowed, whatever the form let through."""
        read = 0
        for chunk in self.files.read(job.key):
            read += len(chunk)
            if read > MAX_FILE_BYTES:
                raise PayloadTooLarge(f"The file has more than {MAX_FILE_BYTES} bytes.")
            yield chunk
