"""The one table between the platform's errors and gRPC's canonical status codes (google.golang.org/grpc/codes;
RFC-like list:
https://grpc.github.io/grpc/core/md_doc_statuscodes.html)."""

from enum import IntEnum

from functions.common.errors import (
    AppError,
    Conflict,
    DeadlineExceeded,
    FieldError,
    InvalidHeader,
    InvalidInput,
    MalformedBody,
    MethodNotAllowed,
    NotFound,
    NotImplementedYet,
    PayloadTooLarge,
    PermissionDenied,
    PreconditionFailed,
    RateLimited,
    Unauthenticated,
    Unavailable,
    UnsupportedMediaType,
)
from functions.contracts.rpc.common_pb2 import ErrorInfo, FieldViolation


class StatusCode(IntEnum):
    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


# The first row of a status is the error that it becomes again on the caller's side.
TABLE: tuple[tuple[type[AppError], StatusCode], ...] = (
    (InvalidInput, StatusCode.INVALID_ARGUMENT),
    (MalformedBody, StatusCode.INVALID_ARGUMENT),
    (InvalidHeader, StatusCode.INVALID_ARGUMENT),
    (UnsupportedMediaType, StatusCode.INVALID_ARGUMENT),
    (PayloadTooLarge, StatusCode.OUT_OF_RANGE),
    (Unauthenticated, StatusCode.UNAUTHENTICATED),
    (PermissionDenied, StatusCode.PERMISSION_DENIED),
    (NotFound, StatusCode.NOT_FOUND),
    (Conflict, StatusCode.ALREADY_EXISTS),
    (PreconditionFailed, StatusCode.FAILED_PRECONDITION),
    (RateLimited, StatusCode.RESOURCE_EXHAUSTED),
    (NotImplementedYet, StatusCode.UNIMPLEMENTED),
    (MethodNotAllowed, StatusCode.UNIMPLEMENTED),
    (Unavailable, StatusCode.UNAVAILABLE),
    (DeadlineExceeded, StatusCode.DEADLINE_EXCEEDED),
)
_TO_STATUS = dict(TABLE)
_FROM_STATUS = {status: error for error, status in reversed(TABLE)} | {
    StatusCode.CANCELLED: DeadlineExceeded,
    StatusCode.ABORTED: Conflict,
}


def status_of(error: AppError) -> StatusCode:
    return _TO_STATUS.get(type(error), StatusCode.INTERNAL)


def info_of(error: AppError) -> ErrorInfo:
    """What travels beside the status code."""
    violations = [FieldViolation(field=e.field, code=e.code, message=e.message) for e in error.errors]
    return ErrorInfo(code=error.code, violations=violations, retry_after_seconds=error.retry_after)


def error_from(status: StatusCode, detail: str, info: ErrorInfo) -> AppError:
    """The error that the callee raised, as far as its status tells. Statuses without a row become AppError (500)."""
    cls = _FROM_STATUS.get(status, AppError)
    if issubclass(cls, Unavailable):
        return cls(detail, code=info.code, retry_after=info.retry_after_seconds or 5)
    errors = [FieldError(v.field, v.code, v.message) for v in info.violations]
    return cls(detail, code=info.code, errors=errors, retry_after=info.retry_after_seconds)
