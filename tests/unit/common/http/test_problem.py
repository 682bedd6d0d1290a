import json

from functions.common.context import invocation
from functions.common.errors import FieldError, InvalidInput, NotFound, Unavailable
from functions.common.http.problem import MAX_TEXT, problem


def test_an_error_becomes_an_rfc_9457_document() -> None:
    with invocation("req-1", 5):
        status, headers, body = problem(NotFound("There is no such bill.", code="bill_not_found"), "/v1/bills/x")

    assert status == 404
    assert headers == {"Content-Type": "application/problem+json"}
    assert json.loads(body) == {
        "type": "urn:billing:problem:bill_not_found", "title": "Not found", "status": 404,
        "detail": "There is no such bill.", "instance": "/v1/bills/x", "code": "bill_not_found",
        "correlation_id": "req-1",
    }  # fmt: skip


def test_fields_that_do_not_validate_are_listed() -> None:
    _, _, body = problem(InvalidInput.of(FieldError("params.account_number", "invalid", "Too short.")), "/")

    assert json.loads(body)["errors"] == [
        {"field": "params.account_number", "code": "invalid", "message": "Too short."}
    ]


def test_a_retry_is_told_when_it_may_succeed() -> None:
    assert problem(Unavailable("down", retry_after=7), "/")[1]["Retry-After"] == "7"


def test_an_instance_with_any_character_is_still_json() -> None:
    assert json.loads(problem(NotFound("no"), '/a"b\u2028\udcff')[2])["instance"] == '/a"b\u2028\udcff'


def test_what_quotes_a_large_request_is_cut() -> None:
    large = "x" * 1_000_000

    _, _, body = problem(InvalidInput.of(FieldError(large, "invalid", large)), large)

    assert len(body) < 6 * MAX_TEXT
