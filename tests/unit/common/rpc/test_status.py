import grpc
import pytest

from functions.common.errors import AppError, Conflict, DeadlineExceeded, FieldError, InvalidInput, Unavailable
from functions.common.rpc.status import TABLE, StatusCode, error_from, info_of, status_of
from functions.contracts.rpc.common_pb2 import ErrorInfo


def test_the_codes_are_grpcs_own() -> None:
    assert {code.name: code.value for code in StatusCode} == {code.name: code.value[0] for code in grpc.StatusCode}


def test_every_error_has_one_row() -> None:
    rows = [cls for cls, _ in TABLE]

    assert len(rows) == len(set(rows))
    assert set(rows) == {cls for cls in AppError.__subclasses__() if cls.__module__ == AppError.__module__}


@pytest.mark.parametrize(("cls", "status"), TABLE, ids=lambda value: getattr(value, "__name__", str(value)))
def test_an_error_becomes_its_status_and_the_first_of_a_status_comes_back(
    cls: type[AppError], status: StatusCode
) -> None:
    assert status_of(cls("why")) is status
    first = next(error for error, its_status in TABLE if its_status is status)
    assert type(error_from(status, "why", ErrorInfo())) is first


@pytest.mark.parametrize("status", [code for code in StatusCode if code is not StatusCode.OK])
def test_every_status_becomes_an_error(status: StatusCode) -> None:
    error = error_from(status, "why", ErrorInfo(code="special"))

    assert (error.detail, error.code) == ("why", "special")
    expected = {StatusCode.CANCELLED: DeadlineExceeded, StatusCode.ABORTED: Conflict}
    if status in expected:
        assert type(error) is expected[status]
    elif status not in {row for _, row in TABLE}:
        assert type(error) is AppError


def test_an_error_without_a_row_is_internal() -> None:
    class OddError(AppError): ...

    assert status_of(AppError("x")) is StatusCode.INTERNAL
    assert status_of(OddError("x")) is StatusCode.INTERNAL


def test_code_fields_and_retry_travel_both_ways() -> None:
    wrong = InvalidInput.of(FieldError("params.account_number", "invalid", "Too short."))
    down = Unavailable("down", code="provider_down", retry_after=9)

    back = error_from(status_of(wrong), wrong.detail, info_of(wrong))
    assert (back.detail, back.code, back.errors) == (wrong.detail, wrong.code, wrong.errors)
    again = error_from(status_of(down), down.detail, info_of(down))
    assert (again.code, again.retry_after) == ("provider_down", 9)


def test_an_outage_always_says_when_to_retry() -> None:
    assert error_from(StatusCode.UNAVAILABLE, "down", ErrorInfo()).retry_after == 5
