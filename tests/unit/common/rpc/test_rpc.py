"""Client and server together, through the envelope, and each against a counterpart that misbehaves."""

import base64
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf.message import Message

from functions.common.context import correlation_id, invocation, remaining_seconds
from functions.common.errors import (
    AppError,
    DeadlineExceeded,
    FieldError,
    InvalidInput,
    NotFound,
    NotImplementedYet,
    Unavailable,
)
from functions.common.rpc.client import Stub, channel_to
from functions.common.rpc.envelope import Call, Reply
from functions.common.rpc.lambda_channel import LambdaChannel
from functions.common.rpc.server import LambdaRpcHandler, RpcContext
from functions.common.rpc.status import TABLE, StatusCode
from functions.contracts.rpc import providers_pb2, users_pb2
from functions.contracts.rpc.users_pb2 import GetUserRequest, User
from tests.support.fakes import LoopbackChannel
from tests.support.logs import Lines

USERS = users_pb2.DESCRIPTOR.services_by_name["Users"]
METHOD = "billing.users.v1.Users/GetUser"
Answer = Callable[[GetUserRequest, RpcContext], Message]


class Users:
    """A servicer whose answer each test chooses."""

    def __init__(self) -> None:
        self.answer: Answer = lambda request, context: User(user_id=request.user_id, name="Ada")

    def GetUser(self, request: GetUserRequest, context: RpcContext) -> Message:
        return self.answer(request, context)


@pytest.fixture
def users() -> Users:
    return Users()


@pytest.fixture
def handler(users: Users) -> LambdaRpcHandler:
    return LambdaRpcHandler(USERS, lambda: users, {})


@pytest.fixture
def channel(handler: LambdaRpcHandler) -> LoopbackChannel:
    return LoopbackChannel(handler)


@pytest.fixture
def stub(channel: LoopbackChannel) -> Stub:
    return Stub(USERS, channel)


def get_user(stub: Stub, user_id: str = "usr_1") -> User:
    return stub.call("GetUser", GetUserRequest(user_id=user_id), User)


def raising(error: Exception) -> Answer:
    def answer(request: GetUserRequest, context: RpcContext) -> Message:
        raise error

    return answer


# a call that goes well


def test_a_call_is_answered(stub: Stub, channel: LoopbackChannel) -> None:
    assert get_user(stub) == User(user_id="usr_1", name="Ada")
    assert channel.calls[0].method == METHOD


def test_a_message_of_a_megabyte_goes_there_and_back(stub: Stub) -> None:
    assert get_user(stub, "é" * (1 << 19)).user_id == "é" * (1 << 19)


def test_the_correlation_id_is_carried(stub: Stub, users: Users, log_lines: Lines) -> None:
    users.answer = lambda request, context: User(name=correlation_id())

    with invocation("req-1", 5):
        assert get_user(stub).name == "req-1"

    [line] = log_lines()
    assert (line["event"], line["correlation_id"], line["method"], line["status"]) == ("rpc", "req-1", METHOD, "OK")


def test_the_callee_knows_how_long_the_caller_waits(stub: Stub, users: Users) -> None:
    users.answer = lambda request, context: User(name=f"{context.time_remaining():.2f} {remaining_seconds():.2f}")

    with invocation("req-1", 3):
        assert {round(float(part)) for part in get_user(stub).name.split()} == {3}
    with invocation("req-1", 300):
        assert {round(float(part)) for part in get_user(stub).name.split()} == {10}


def test_the_function_may_have_less_time_than_the_caller(handler: LambdaRpcHandler, users: Users) -> None:
    users.answer = lambda request, context: User(name=f"{context.time_remaining():.2f}")

    class Context:
        def get_remaining_time_in_millis(self) -> int:
            return 2000

    reply = Reply.from_payload(handler(Call(METHOD, b"", 9000, "req-1").to_payload(), Context()))

    assert float(User.FromString(reply.message).name) == pytest.approx(2, abs=0.3)


def test_fields_of_a_newer_contract_are_passed_over(stub: Stub, channel: LoopbackChannel) -> None:
    newer = GetUserRequest(user_id="usr_1").SerializeToString() + b"\xa2\x06\x03new"  # field 100

    reply = channel.invoke(Call(METHOD, newer, 1000, "req-1"))

    assert User.FromString(reply.message).user_id == "usr_1"


def test_the_servicer_is_built_once_and_on_the_first_call(users: Users) -> None:
    built = []

    def build() -> object:
        built.append(1)
        return users

    stub = Stub(USERS, LoopbackChannel(LambdaRpcHandler(USERS, build, {})))
    assert built == []

    get_user(stub)
    get_user(stub)

    assert built == [1]


# errors


@pytest.mark.parametrize("cls", [cls for cls, _ in TABLE], ids=lambda cls: cls.__name__)
def test_the_caller_gets_the_error_that_the_callee_raised(stub: Stub, users: Users, cls: type[AppError]) -> None:
    users.answer = raising(cls("why", code="special"))

    with pytest.raises(AppError) as raised:
        get_user(stub)

    assert (raised.value.detail, raised.value.code) == ("why", "special")
    status = dict(TABLE)[cls]
    assert type(raised.value) is next(first for first, its_status in TABLE if its_status is status)


def test_fields_that_do_not_validate_are_named_two_services_away(stub: Stub, users: Users) -> None:
    users.answer = raising(InvalidInput.of(FieldError("params.a", "invalid", "Too short.")))

    with pytest.raises(InvalidInput) as raised:
        get_user(stub)

    assert raised.value.errors == (FieldError("params.a", "invalid", "Too short."),)


def test_any_other_exception_leaks_nothing_and_is_logged_whole(stub: Stub, users: Users, log_lines: Lines) -> None:
    users.answer = raising(KeyError("hunter2"))

    with invocation("req-1", 5), pytest.raises(AppError) as raised:
        get_user(stub)

    assert type(raised.value) is AppError
    assert "hunter2" not in raised.value.detail
    unhandled, line = log_lines()
    assert ("Traceback" in unhandled["exception"], unhandled["correlation_id"]) == (True, "req-1")
    assert line["status"] == "INTERNAL"


def test_a_servicer_that_cannot_be_built_is_an_answer_too() -> None:
    def build() -> object:
        raise RuntimeError("hunter2")

    with pytest.raises(AppError) as raised:
        get_user(Stub(USERS, LoopbackChannel(LambdaRpcHandler(USERS, build, {}))))

    assert "hunter2" not in raised.value.detail


@pytest.mark.parametrize(
    "method",
    ["billing.users.v1.Users/DeleteAll", "billing.bills.v1.Bills/GetUser", "GetUser", "", METHOD + "/x", "__init__"],
)
def test_a_method_that_is_not_in_the_contract_is_unimplemented(handler: LambdaRpcHandler, method: str) -> None:
    reply = Reply.from_payload(handler(Call(method, b"", 1000, "req-1").to_payload(), None))

    assert reply.status is StatusCode.UNIMPLEMENTED


def test_a_call_to_another_services_function_says_so(channel: LoopbackChannel) -> None:
    providers = Stub(providers_pb2.DESCRIPTOR.services_by_name["Providers"], channel)

    with pytest.raises(NotImplementedYet):
        providers.call("GetProvider", providers_pb2.GetProviderRequest(), providers_pb2.Provider)


def test_a_message_that_is_none_is_an_invalid_argument(handler: LambdaRpcHandler) -> None:
    reply = Reply.from_payload(handler(Call(METHOD, b"\xff\xff", 1000, "req-1").to_payload(), None))

    assert (reply.status, reply.detail) == (StatusCode.INVALID_ARGUMENT, "The message is no GetUserRequest.")


PAYLOAD = Call(METHOD, b"", 1000, "req-1").to_payload()


@pytest.mark.parametrize(
    "payload",
    [{}, [], None, "text", 7, PAYLOAD | {"message": None}, PAYLOAD | {"message": "é"}, PAYLOAD | {"timeout_ms": "soon"},
     PAYLOAD | {"timeout_ms": None}, PAYLOAD | {"timeout_ms": float("inf")}, PAYLOAD | {"timeout_ms": float("nan")}],
)  # fmt: skip
def test_a_payload_that_is_no_call_is_an_answer_and_never_an_exception(handler: LambdaRpcHandler, payload: Any) -> None:
    assert Reply.from_payload(handler(payload, None)).status is StatusCode.INVALID_ARGUMENT


def test_a_call_whose_time_is_over_is_not_begun(handler: LambdaRpcHandler, users: Users) -> None:
    users.answer = raising(AssertionError("was called"))

    for timeout in (0, -5):
        reply = Reply.from_payload(handler(Call(METHOD, b"", timeout, "req-1").to_payload(), None))
        assert reply.status is StatusCode.DEADLINE_EXCEEDED


def test_with_no_time_left_nothing_is_called(stub: Stub, channel: LoopbackChannel) -> None:
    with invocation("req-1", -1), pytest.raises(DeadlineExceeded):
        get_user(stub)
    assert channel.calls == []


def test_a_channel_that_is_down_is_unavailable(stub: Stub, channel: LoopbackChannel) -> None:
    channel.down = True

    with pytest.raises(Unavailable):
        get_user(stub)


class Answering:
    """A channel that answers always the same."""

    def __init__(self, reply: Reply) -> None:
        self._reply = reply

    def invoke(self, call: Call) -> Reply:
        return self._reply

    def post(self, call: Call) -> None:
        pass


def test_an_answer_that_is_no_message_is_unavailable() -> None:
    garbled = Answering(Reply(StatusCode.OK, b"\xff\xff"))

    with pytest.raises(Unavailable, match="did not answer with a User"):
        get_user(Stub(USERS, garbled))


def test_an_error_without_details_is_still_that_error() -> None:
    bare = Answering(Reply(StatusCode.NOT_FOUND, detail="gone"))

    with pytest.raises(NotFound, match="gone"):
        get_user(Stub(USERS, bare))


def test_a_posted_call_is_carried_out_and_not_answered(stub: Stub, channel: LoopbackChannel, users: Users) -> None:
    def break_down(request: GetUserRequest, context: RpcContext) -> Message:
        raise NotFound("There is no such user.")

    users.answer = break_down
    stub.post("GetUser", GetUserRequest(user_id="usr_1"))

    assert [call.method for call in channel.calls] == [METHOD]


# over Lambda


class FakeLambda:
    """The one operation of boto3's Lambda client that is used. `answer` makes the raw payload, or raises."""

    def __init__(self, answer: Callable[[dict[str, Any]], bytes], error: str = "") -> None:
        self._answer = answer
        self._error = error
        self.invoked: list[str] = []
        self.kinds: list[str] = []

    def invoke(self, *, FunctionName: str, Payload: bytes, **options: str) -> dict[str, Any]:  # noqa: N803 - boto3's
        self.invoked.append(FunctionName)
        self.kinds.append(options.get("InvocationType", "RequestResponse"))
        answer = self._answer(json.loads(Payload))

        class Body:
            def read(self) -> bytes:
                return answer

        return {"Payload": Body(), **({"FunctionError": self._error} if self._error else {})}


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Callable[[FakeLambda], Stub]:
    def use(fake: FakeLambda) -> Stub:
        monkeypatch.setattr("functions.common.aws.lambda_invoke", lambda: fake)
        return Stub(USERS, channel_to("lambda:the-function"), seconds=0.3)

    return use


def test_a_call_is_a_lambda_invoke(install: Callable[[FakeLambda], Stub], handler: LambdaRpcHandler) -> None:
    fake = FakeLambda(lambda payload: json.dumps(handler(payload, None)).encode())

    assert get_user(install(fake)).name == "Ada"
    assert fake.invoked == ["the-function"]


def test_a_posted_call_is_an_invoke_that_lambda_queues(install: Callable[[FakeLambda], Stub]) -> None:
    fake = FakeLambda(lambda payload: b"")

    install(fake).post("GetUser", GetUserRequest(user_id="usr_1"))

    assert (fake.invoked, fake.kinds) == (["the-function"], ["Event"])


def test_a_call_that_lambda_does_not_queue_is_unavailable(install: Callable[[FakeLambda], Stub]) -> None:
    from botocore.exceptions import EndpointConnectionError

    def unreachable(payload: dict[str, Any]) -> bytes:
        raise EndpointConnectionError(endpoint_url="http://x")

    with pytest.raises(Unavailable):
        install(FakeLambda(unreachable)).post("GetUser", GetUserRequest(user_id="usr_1"))


def test_whoever_posts_waits_no_longer_than_the_call_may_take(install: Callable[[FakeLambda], Stub]) -> None:
    def hang(payload: dict[str, Any]) -> bytes:
        time.sleep(1)
        return b""

    began = time.perf_counter()
    with pytest.raises(Unavailable):
        install(FakeLambda(hang)).post("GetUser", GetUserRequest(user_id="usr_1"))

    assert 0.25 < time.perf_counter() - began < 0.9


def test_a_function_that_breaks_is_unavailable(install: Callable[[FakeLambda], Stub], log_lines: Lines) -> None:
    fake = FakeLambda(lambda payload: b'{"errorMessage": "hunter2"}', error="Unhandled")

    with pytest.raises(Unavailable) as raised:
        get_user(install(fake))

    assert "hunter2" not in raised.value.detail
    assert [line["event"] for line in log_lines()] == ["rpc_broke"]


@pytest.mark.parametrize(
    "payload",
    [b"", b"null", b"[]", b"{}", b'"text"', b"\xff", b'{"status": 99, "message": ""}', b'{"status": 0}',
     b'{"status": 5, "message": "", "info": "////"}', b'{"status": 0, "message": 7}'],
)  # fmt: skip
def test_an_answer_that_is_no_envelope_is_unavailable(install: Callable[[FakeLambda], Stub], payload: bytes) -> None:
    with pytest.raises(Unavailable, match="did not answer as an RPC"):
        get_user(install(FakeLambda(lambda _: payload)))


def test_a_function_that_cannot_be_invoked_is_unavailable(
    install: Callable[[FakeLambda], Stub], log_lines: Lines
) -> None:
    from botocore.exceptions import ClientError, EndpointConnectionError

    def unreachable(payload: dict[str, Any]) -> bytes:
        raise EndpointConnectionError(endpoint_url="http://x")

    def throttled(payload: dict[str, Any]) -> bytes:
        raise ClientError({"Error": {"Code": "TooManyRequestsException"}}, "Invoke")

    for answer in (unreachable, throttled):
        with pytest.raises(Unavailable):
            get_user(install(FakeLambda(answer)))
    assert [line["event"] for line in log_lines()] == ["rpc_unreachable"] * 2


def test_a_function_that_takes_too_long_is_not_waited_for(install: Callable[[FakeLambda], Stub]) -> None:
    def slow(payload: dict[str, Any]) -> bytes:
        time.sleep(1)
        return b""

    began = time.perf_counter()
    with pytest.raises(DeadlineExceeded, match="did not answer in 300 ms"):
        get_user(install(FakeLambda(slow)))

    assert time.perf_counter() - began < 0.9


def test_log_lines_of_the_call_carry_its_correlation_id(
    install: Callable[[FakeLambda], Stub], log_lines: Lines
) -> None:
    stub = install(FakeLambda(lambda payload: b"", error="Unhandled"))

    with invocation("req-9", 5), pytest.raises(Unavailable):
        get_user(stub)

    assert log_lines()[0]["correlation_id"] == "req-9"


@pytest.mark.parametrize("target", ["", "lambda", "lambda:", "http://x", "users", ":x"])
def test_a_target_of_no_known_kind_is_refused(target: str) -> None:
    with pytest.raises(ValueError, match="want lambda:<function name>"):
        channel_to(target)


def test_a_function_is_named_by_the_target() -> None:
    channel = channel_to("lambda:arn:aws:lambda:us-east-1:1:function:users")

    assert isinstance(channel, LambdaChannel)
    assert channel._function_name == "arn:aws:lambda:us-east-1:1:function:users"


def test_a_payload_can_be_written_by_hand(handler: LambdaRpcHandler) -> None:
    by_hand = {"method": METHOD, "message": base64.b64encode(b"\n\x05usr_1").decode(), "timeout_ms": 1000,
               "correlation_id": "by-hand"}  # fmt: skip

    assert User.FromString(Reply.from_payload(handler(by_hand, None)).message).user_id == "usr_1"
