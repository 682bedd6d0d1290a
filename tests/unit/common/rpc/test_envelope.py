import json

import pytest
from google.protobuf.message import DecodeError

from functions.common.rpc.envelope import Call, Reply
from functions.common.rpc.status import StatusCode
from functions.contracts.rpc.common_pb2 import ErrorInfo, FieldViolation

EVERY_BYTE = bytes(range(256))
CALL = Call("billing.users.v1.Users/GetUser", EVERY_BYTE, 1500, "req-1")


def through_json(payload: dict[str, object]) -> dict[str, object]:
    read: dict[str, object] = json.loads(json.dumps(payload))
    return read


def test_a_call_travels_unchanged() -> None:
    assert Call.from_payload(through_json(CALL.to_payload())) == CALL


def test_a_megabyte_travels_unchanged() -> None:
    large = EVERY_BYTE * 4096
    assert len(large) == 1 << 20

    assert Reply.from_payload(through_json(Reply(StatusCode.OK, large).to_payload())).message == large


def test_an_error_travels_with_what_is_known_of_it() -> None:
    info = ErrorInfo(code="x", violations=[FieldViolation(field="a.b", code="c", message="é")], retry_after_seconds=7)
    reply = Reply(StatusCode.INVALID_ARGUMENT, detail="Wrong: é", info=info)

    assert Reply.from_payload(through_json(reply.to_payload())) == reply


def test_a_good_reply_is_short() -> None:
    assert Reply(StatusCode.OK, b"a").to_payload() == {"status": 0, "message": "YQ=="}


@pytest.mark.parametrize("name", sorted(CALL.to_payload().keys() - {"traceparent"}))
def test_a_call_that_lacks_something_is_none(name: str) -> None:
    payload = CALL.to_payload()
    del payload[name]

    with pytest.raises(KeyError):
        Call.from_payload(payload)


def test_a_call_written_by_hand_need_not_belong_to_a_trace() -> None:
    payload = CALL.to_payload()
    del payload["traceparent"]

    assert Call.from_payload(payload).traceparent == ""


def test_what_is_not_base64_is_no_message() -> None:
    with pytest.raises(ValueError, match="base64"):
        Call.from_payload(CALL.to_payload() | {"message": "not base64!"})


@pytest.mark.parametrize("payload", [{"status": 99, "message": ""}, {"status": "OK", "message": ""}])
def test_a_status_that_grpc_does_not_know_is_none(payload: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="StatusCode"):
        Reply.from_payload(payload)


def test_garbled_details_are_told_as_such() -> None:
    with pytest.raises(DecodeError):
        Reply.from_payload({"status": 5, "message": "", "info": "////"})
