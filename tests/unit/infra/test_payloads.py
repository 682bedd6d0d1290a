"""What answers of functions say in a word, and how a payload gets its token."""

from pathlib import Path

import pytest

from infra import payloads

HANDLED = [
    ({"statusCode": 200, "body": "{}"}, "200"),
    ({"statusCode": 204, "body": ""}, "204"),
    ({"statusCode": 401, "body": '{"code": "invalid_credentials"}'}, "401 invalid_credentials"),
    ({"statusCode": 404, "body": "[]"}, "404"),
    ({"statusCode": 404, "body": "no JSON"}, "404"),
    ({"status": 0, "message": ""}, "OK"),
    ({"status": 5, "message": ""}, "NOT_FOUND"),
    ({"batchItemFailures": []}, "every message handled"),
    ({"due": 2, "failed_parts": []}, '{"due": 2, "failed_parts": []}'),
]
FAILED = [
    ({"errorType": "KeyError", "errorMessage": "'USERS_TABLE'"}, "KeyError: 'USERS_TABLE'"),
    ({"errorMessage": "Task timed out"}, "error: Task timed out"),
    ({"statusCode": 500, "body": '{"code": "internal"}'}, "500 internal"),
    ({"status": 13, "message": ""}, "INTERNAL"),
    ({"status": 12, "message": ""}, "UNIMPLEMENTED"),
    ({"batchItemFailures": [{"itemIdentifier": "a"}]}, "1 failed"),
    ({"due": 2, "failed_parts": ["outboxes"]}, '{"due": 2, "failed_parts": ["outboxes"]}'),
    (None, "no answer: it ended, or was ended at its timeout"),
    ([], "[]"),
]


@pytest.mark.parametrize(("answer", "text"), HANDLED)
def test_work_that_was_done(answer: object, text: str) -> None:
    assert payloads.verdict(answer) == payloads.Verdict(handled=True, text=text)


@pytest.mark.parametrize(("answer", "text"), FAILED)
def test_work_that_was_not(answer: object, text: str) -> None:
    assert payloads.verdict(answer) == payloads.Verdict(handled=False, text=text)


def test_a_token_comes_in_where_there_is_a_place_for_it(tmp_path: Path) -> None:
    payload = tmp_path / "BillApi.json"
    payload.write_text('{"Authorization": "Bearer ${TOKEN}"}')

    assert payloads.ready(payload, lambda: "abc") == '{"Authorization": "Bearer abc"}'


def test_nobody_is_asked_for_a_token_without_a_place_for_it(tmp_path: Path) -> None:
    payload = tmp_path / "Sweep.json"
    payload.write_text("{}")

    def no_token() -> str:
        raise AssertionError("asked for")

    assert payloads.ready(payload, no_token) == "{}"


def test_a_payload_s_name_begins_with_its_function() -> None:
    assert payloads.function_of(Path("tests/events/UserApi.login.json")) == "UserApi"
    assert payloads.function_of(payloads.payload_of("BillApi")) == "BillApi"
