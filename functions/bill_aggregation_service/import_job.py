"""What is kept of an import: what was asked for, how it stands, what came of it."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NewType

from functions.bill_aggregation_service.espi.skipped import Skipped
from functions.bill_aggregation_service.model import LinkId, UserId

ImportId = NewType("ImportId", str)
OVERDUE = timedelta(hours=1)
"""Longer than all deliveries of a job take: one that is not done by then will not be."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the user said beside the file."""

    link_id: LinkId | None = None
    currency: str = ""
    """Of bills that name none; empty: the user's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportReport:
    link_id: LinkId | None = None
    """Where the bills are; None when the file has none and no link was named."""
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    """Known as the file says, or in a newer version than the file's."""
    skipped: tuple[Skipped, ...] = ()
    """The first ones; `skipped_count` counts all."""
    skipped_count: int = 0


class ImportState(StrEnum):
    UPLOADING = "uploading"
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportJob:
    import_id: ImportId
    user_id: UserId
    asked: Asked
    state: ImportState
    created_at: datetime
    updated_at: datetime
    report: ImportReport = field(default_factory=ImportReport)
    error_code: str = ""
    error_detail: str = ""
    version: int = 1

    @property
    def key(self) -> str:
        """Of the file."""
        return f"imports/{self.user_id}/{self.import_id}"

    def seen_at(self, now: datetime) -> "ImportJob":
        """As its user sees it: one that nobody works on any more has failed."""
        if self.state not in (ImportState.QUEUED, ImportState.RUNNING) or now - self.updated_at < OVERDUE:
            return self
        detail = "The import was given up. Start it again, or upload the file again."
        return replace(self, state=ImportState.FAILED, error_code="not_finished", error_detail=detail)


class JobMoved(Exception):
    """The job does not stand as it was read any more."""
