"""Queries and answers of imports and exports."""

from typing import Annotated, TypedDict

from msgspec import Meta, Struct

from functions.bill_aggregation_service.bill_filter import BillFilter
from functions.bill_aggregation_service.currencies import EXPONENTS
from functions.bill_aggregation_service.exports import Download, Format
from functions.bill_aggregation_service.import_job import Asked, ImportJob, ImportReport, ImportState
from functions.bill_aggregation_service.model import Criteria, LinkId
from functions.bill_aggregation_service.uploads import UploadForm
from functions.common.clock import rfc3339
from functions.common.errors import FieldError, InvalidInput

ROWS = 500
"""Of one query of an export."""


class ImportQuery(Struct, kw_only=True, frozen=True):
    """`link_id`: the account that the bills belong to; without it, the user's link for files. `currency`: of bills that
    name none; without it the user's own, then the platform's usual one."""

    link_id: Annotated[str, Meta(min_length=1, max_length=64)] | None = None
    currency: Annotated[str, Meta(pattern="^[A-Z]{3}$", description="ISO 4217")] | None = None

    def asked(self) -> Asked:
        """Raises InvalidInput. Whether the link exists is not judged here."""
        if self.currency is not None and self.currency not in EXPONENTS:
            raise InvalidInput.of(
                FieldError("currency", "invalid", "This is no ISO 4217 code of a currency, e.g. EUR.")
            )
        return Asked(LinkId(self.link_id) if self.link_id else None, self.currency or "")


class SkippedReply(Struct, kw_only=True):
    reason: str
    """The bill cannot be read: bad_amount, bad_extension, bad_period, no_amount, no_period, too_large,
    unknown_currency. It cannot be kept: amount_out_of_range, currency_unknown, dates_out_of_range. The file has it once
    more: duplicate, superseded. There is none, only a meter's readings: no_bill."""
    detail: str
    entry: str
    """Address or id of the entry in the file."""


class ImportReply(Struct, kw_only=True):
    link_id: str | None
    """Where the bills are; null when the file has none."""
    created: int
    updated: int
    unchanged: int
    """Known as the file says, or in a newer version."""
    skipped: list[SkippedReply]
    """The first 200."""
    skipped_count: int


class UploadReply(Struct, kw_only=True):
    url: str
    fields: dict[str, str]
    """POST to `url` as multipart/form-data: these fields, then the file as `file`, 20 MB at most, within 15 minutes."""


class ImportCreatedReply(Struct, kw_only=True):
    import_id: str
    state: ImportState
    upload: UploadReply


class ImportErrorReply(Struct, kw_only=True):
    code: str
    """E.g. malformed_xml, not_green_button, too_complex, link_not_found, not_finished."""
    detail: str


class ImportJobReply(ImportReply, kw_only=True):
    import_id: str
    state: ImportState
    error: ImportErrorReply | None
    """Of a failed import."""
    created_at: str
    updated_at: str


class ExportQuery(BillFilter, kw_only=True, frozen=True):
    format: Format = Format.JSON

    def criteria(self) -> Criteria:
        """Raises InvalidInput."""
        return self.asked(ROWS)


class DownloadReply(Struct, kw_only=True):
    url: str
    expires_at: str


class ExportReply(Struct, kw_only=True):
    download: DownloadReply


def import_reply(report: ImportReport) -> ImportReply:
    return ImportReply(**_told(report))


def job_reply(job: ImportJob) -> ImportJobReply:
    error = ImportErrorReply(code=job.error_code, detail=job.error_detail) if job.error_code else None
    return ImportJobReply(
        import_id=job.import_id,
        state=job.state,
        error=error,
        created_at=rfc3339(job.created_at),
        updated_at=rfc3339(job.updated_at),
        **_told(job.report),
    )


def created_reply(job: ImportJob, form: UploadForm) -> ImportCreatedReply:
    upload = UploadReply(url=form.url, fields=dict(form.fields))
    return ImportCreatedReply(import_id=job.import_id, state=job.state, upload=upload)


def export_reply(download: Download) -> ExportReply:
    return ExportReply(download=DownloadReply(url=download.url, expires_at=rfc3339(download.expires_at)))


class _Told(TypedDict):
    link_id: str | None
    created: int
    updated: int
    unchanged: int
    skipped: list[SkippedReply]
    skipped_count: int


def _told(report: ImportReport) -> _Told:
    skipped = [SkippedReply(reason=each.reason, detail=each.detail, entry=each.entry) for each in report.skipped]
    return {
        "link_id": report.link_id,
        "created": report.created,
        "updated": report.updated,
        "unchanged": report.unchanged,
        "skipped": skipped,
        "skipped_count": report.skipped_count,
    }
