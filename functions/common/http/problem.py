"""Errors as RFC 9457 `application/problem+json`. The only place that writes an error answer."""

import json

from functions.common.context import correlation_id
from functions.common.errors import AppError

MEDIA_TYPE = "application/problem+json"


def problem(error: AppError, instance: str) -> tuple[int, dict[str, str], str]:
    """Status, headers and body that tell of `error`; `instance` is the path that was asked for."""
    document: dict[str, object] = {
        "type": f"urn:billing:problem:{error.code}",
        "title": error.title,
        "status": error.status,
        "detail": error.detail,
        "instance": instance,
        "code": error.code,
        "correlation_id": correlation_id(),
    }
    if error.errors:
        document["errors"] = [{"field": e.field, "code": e.code, "message": e.message} for e in error.errors]
    headers = {"Content-Type": MEDIA_TYPE, **error.headers}
    if error.retry_after:
        headers["Retry-After"] = str(error.retry_after)
    return error.status, headers, json.dumps(document)
