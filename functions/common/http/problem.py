"""Errors as RFC 9457 `application/problem+json`. The only place that writes an error answer."""

import json

from functions.common.context import correlation_id
from functions.common.errors import AppError, Unauthenticated

MEDIA_TYPE = "application/problem+json"
MAX_TEXT = 1000
"""Of what may quote the request: a large one must not make a large answer."""
CHALLENGE = 'Bearer realm="billing"'
"""RFC 9110 section 15.5.2: every 401 carries one; the token verifier's own says more."""


def problem(error: AppError, instance: str) -> tuple[int, dict[str, str], str]:
    """Status, headers and body that tell of `error`; `instance` is the path that was asked for."""
    document: dict[str, object] = {
        "type": f"urn:billing:problem:{error.code}",
        "title": error.title,
        "status": error.status,
        "detail": error.detail[:MAX_TEXT],
        "instance": instance[:MAX_TEXT],
        "code": error.code,
        "correlation_id": correlation_id(),
    }
    if error.errors:
        document["errors"] = [
            {"field": each.field[:MAX_TEXT], "code": each.code, "message": each.message[:MAX_TEXT]}
            for each in error.errors
        ]
    headers = {"Content-Type": MEDIA_TYPE, **error.headers}
    if error.status == Unauthenticated.status:
        headers.setdefault("WWW-Authenticate", CHALLENGE)
    if error.retry_after:
        headers["Retry-After"] = str(error.retry_after)
    return error.status, headers, json.dumps(document)
