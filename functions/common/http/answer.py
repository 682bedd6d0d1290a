"""What handlers return, and how it becomes what Lambda answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import msgspec
from chalice.app import Response

from functions.common.errors import AppError, MethodNotAllowed, NotFound
from functions.common.http.etag import not_modified, quoted, tag_of
from functions.common.http.headers import checked
from functions.common.http.problem import problem
from functions.common.http.route import JSON

if TYPE_CHECKING:
    from functions.common.idempotency import KeptAnswer


@dataclass(frozen=True, slots=True)
class Answer:
    """What a handler returns when it is not simply 200 with JSON. `body`: a Struct or JSON-like value, text or bytes
    as they are."""

    body: object = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    etag: str = ""
    """The resource's version, without quotes: the answer's entity tag. Empty: it has none."""


def reply(result: object) -> Response:
    """Of an Answer, or of what stands for its body alone."""
    answer = result if isinstance(result, Answer) else Answer(result)
    headers = checked({"ETag": quoted(answer.etag), **answer.headers} if answer.etag else answer.headers)
    if answer.body is None:
        return Response("", {**headers}, answer.status)
    text = answer.body if isinstance(answer.body, str | bytes) else msgspec.json.encode(answer.body).decode()
    return Response(text, {"Content-Type": JSON, **headers}, answer.status)


def unless_known(response: Response, if_none_match: str | None) -> Response:
    """304 without a body in place of an answer to GET that the caller has already. What brings no entity tag gets the
    hash of its body."""
    if response.status_code != HTTPStatus.OK:
        return response
    if "ETag" not in response.headers:
        response.headers["ETag"] = quoted(tag_of(response.body))
    etag = str(response.headers["ETag"])
    if not not_modified(if_none_match, etag):
        return response
    kept = {name: value for name, value in response.headers.items() if name.lower() != "content-type"}
    return Response("", kept, HTTPStatus.NOT_MODIFIED)


def kept(response: Response) -> "KeptAnswer":
    from functions.common.idempotency import KeptAnswer

    return KeptAnswer(
        response.status_code, {name: str(value) for name, value in response.headers.items()}, response.body
    )


def unrouted(asked: Mapping[str, Any], allowed: Sequence[str]) -> dict[str, Any]:  # Any: API Gateway's context
    """What no route takes: 405 where the path is known, else 404."""
    error: AppError = NotFound("There is no such path.")
    if allowed:
        error = MethodNotAllowed("This path does not take this method.", headers={"Allow": ", ".join(allowed)})
    status, headers, body = problem(error, str(asked.get("path", "")))
    return Response(body, {**headers}, status).to_dict()
