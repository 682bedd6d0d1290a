"""The same cases over both transports: whoever calls cannot tell which one carries the call."""

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from functions.common.context import correlation_id, invocation, remaining_seconds, traceparent
from functions.common.errors import (
    AppError,
    DeadlineExceeded,
    FieldError,
    InvalidInput,
    NotFound,
    NotImplementedYet,
    Unavailable,
)
from functions.common.rpc.client import Stub
from functions.common.rpc.envelope import Call
from functions.common.rpc.server import RpcContext
from functions.common.rpc.status import TABLE, StatusCode
from functions.contracts.rpc import providers_pb2
from functions.contracts.rpc.users_pb2 import GetUserRequest, User
from tests.support.logs import Lines
from tests.support.rpc import Answer, Transport, over_grpc, over_lambda

METHOD = "billing.users.v1.Users/GetUser"
TRANSPORTS = {"lambda": over_lambda, "grpc": over_grpc}


@pytest.fixture(params=list(TRANSPORTS))
def transport(request: pytest.FixtureRequest) -> Iterator[Transport]:
    with TRANSPORTS[request.param]() as chosen:
        yield chosen


def get_user(transport: Transport, user_id: str = "usr_1", seconds: float = 10) -> User:
    return transport.stub(seconds).call("GetUser", GetUserRequest(user_id=user_id), User)


def raising(error: Exception) -> Answer:
    def answer(request: GetUserRequest, context: RpcContext) -> User:
        raise error

    return answer


# a call that goes well


def test_a_call_is_answered(transport: Transport) -> None:
    assert get_user(transport) == User(user_id="usr_1", name="Ada")


def test_a_message_of_a_megabyte_goes_there_and_back(transport: Transport) -> None:
    large = "é" * (1 << 19)

    assert get_user(transport, large).user_id == large


def test_the_correlation_id_is_carried(transport: Transport, log_lines: Lines) -> None:
    transport.users.answer = lambda request, context: User(name=correlation_id())

    with invocation("req-1", 5):
        assert get_user(transport).name == "req-1"

    [line] = log_lines()
    assert (line["event"], line["correlation_id"], line["method"], line["status"]) == ("rpc", "req-1", METHOD, "OK")


def test_the_trace_goes_on_at_the_callee(transport: Transport) -> None:
    transport.users.answer = lambda request, context: User(name=traceparent())

    with invocation("req-1", 5):
        _, trace, span, _ = traceparent().split("-")
        _, its_trace, its_span, _ = get_user(transport).name.split("-")

    assert its_trace == trace
    assert its_span != span


def test_the_callee_knows_how_long_the_caller_waits(transport: Transport) -> None:
    transport.users.answer = lambda request, context: User(
        name=f"{context.time_remaining():.2f} {remaining_seconds():.2f}"
    )

    for caller_has, seconds in ((3, 3), (300, 10)):
        with invocation("req-1", caller_has):
            for told in get_user(transport).name.split():
                assert float(told) == pytest.approx(seconds, abs=0.7)


def test_fields_of_a_newer_contract_are_passed_over(transport: Transport) -> None:
    newer = GetUserRequest(user_id="usr_1").SerializeToString() + b"\xa2\x06\x03new"  # field 100

    reply = transport.channel.invoke(Call(METHOD, newer, 5000, "req-1"))

    assert User.FromString(reply.message).user_id == "usr_1"


def test_fields_of_a_newer_answer_reach_the_caller_untouched(transport: Transport) -> None:
    newer = User.FromString(User(name="Ada").SerializeToString() + b"\xa2\x06\x03new")
    transport.users.answer = lambda request, context: newer

    reply = transport.channel.invoke(Call(METHOD, b"", 5000, "req-1"))

    assert reply.message == newer.SerializeToString()
    assert b"new" in reply.message


def test_many_calls_go_at_once(transport: Transport) -> None:
    together = threading.Barrier(8, timeout=10)

    def wait(request: GetUserRequest, context: RpcContext) -> User:
        together.wait()
        return User(user_id=request.user_id)

    transport.users.answer = wait
    answers: list[str] = []
    threads = [
        threading.Thread(target=lambda n=n: answers.append(get_user(transport, f"usr_{n}").user_id)) for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(15)

    assert sorted(answers) == [f"usr_{n}" for n in range(8)]


# errors of the callee


@pytest.mark.parametrize("cls", [cls for cls, _ in TABLE], ids=lambda cls: cls.__name__)
def test_the_caller_gets_the_error_that_the_callee_raised(transport: Transport, cls: type[AppError]) -> None:
    transport.users.answer = raising(cls("Nö: why", code="special"))

    with pytest.raises(AppError) as raised:
        get_user(transport)

    assert (raised.value.detail, raised.value.code) == ("Nö: why", "special")
    status = dict(TABLE)[cls]
    assert type(raised.value) is next(first for first, its_status in TABLE if its_status is status)


@pytest.mark.parametrize("cls", [cls for cls, _ in TABLE], ids=lambda cls: cls.__name__)
def test_the_status_on_the_wire_is_the_one_of_the_table(transport: Transport, cls: type[AppError]) -> None:
    transport.users.answer = raising(cls("why"))

    assert transport.channel.invoke(Call(METHOD, b"", 5000, "req-1")).status is dict(TABLE)[cls]


def test_when_to_try_again_is_told(transport: Transport) -> None:
    transport.users.answer = raising(Unavailable("Later.", retry_after=77))

    with pytest.raises(Unavailable) as raised:
        get_user(transport)

    assert raised.value.retry_after == 77


def test_a_hundred_fields_that_do_not_validate_are_all_named(transport: Transport) -> None:
    errors = [FieldError(f"params.field_{number}", "invalid", "Zu kürz. " * 8) for number in range(100)]
    transport.users.answer = raising(InvalidInput.of(*errors))

    with pytest.raises(InvalidInput) as raised:
        get_user(transport)

    assert raised.value.errors == tuple(errors)


def test_any_other_exception_leaks_nothing(transport: Transport, log_lines: Lines) -> None:
    transport.users.answer = raising(KeyError("hunter2"))

    with pytest.raises(AppError) as raised:
        get_user(transport)

    assert type(raised.value) is AppError
    assert "hunter2" not in raised.value.detail
    unhandled, line = log_lines()
    assert "hunter2" in unhandled["exception"]
    assert line["status"] == "INTERNAL"


def test_a_method_that_the_callee_does_not_know_yet_is_unimplemented(transport: Transport) -> None:
    reply = transport.channel.invoke(Call("billing.users.v1.Users/OfTomorrow", b"", 5000, "req-1"))

    assert reply.status is StatusCode.UNIMPLEMENTED


def test_a_service_that_is_not_there_is_unimplemented(transport: Transport) -> None:
    providers = Stub(providers_pb2.DESCRIPTOR.services_by_name["Providers"], transport.channel)

    with pytest.raises(NotImplementedYet):
        providers.call("GetProvider", providers_pb2.GetProviderRequest(), providers_pb2.Provider)


def test_a_message_that_is_none_is_an_invalid_argument(transport: Transport) -> None:
    reply = transport.channel.invoke(Call(METHOD, b"\xff\xff", 5000, "req-1"))

    assert (reply.status, reply.detail) == (StatusCode.INVALID_ARGUMENT, "The message is no GetUserRequest.")


# deadlines, cancelled calls, and a callee that is not there


def test_a_callee_that_takes_too_long_is_not_waited_for(transport: Transport) -> None:
    seen: list[float] = []
    given_up = threading.Event()

    def slow(request: GetUserRequest, context: RpcContext) -> User:
        given_up.wait(5)
        time.sleep(0.1)
        seen.append(context.time_remaining())
        return User()

    transport.users.answer = slow
    began = time.perf_counter()
    with pytest.raises(DeadlineExceeded, match="GetUser did not answer in 300 ms"):
        get_user(transport, seconds=0.3)
    assert time.perf_counter() - began < 2

    given_up.set()
    deadline = time.monotonic() + 5
    while not seen and time.monotonic() < deadline:
        time.sleep(0.01)
    assert seen == [0.0]


def test_after_a_call_that_was_given_up_the_next_is_answered_and_not_by_the_late_answer(transport: Transport) -> None:
    release = threading.Event()

    def late(request: GetUserRequest, context: RpcContext) -> User:
        if request.user_id == "late":
            release.wait(5)
        return User(user_id=request.user_id)

    transport.users.answer = late
    with pytest.raises(DeadlineExceeded):
        get_user(transport, "late", seconds=0.2)

    release.set()
    assert get_user(transport, "usr_2").user_id == "usr_2"


def test_a_deadline_of_the_callee_s_own_is_told_as_such(transport: Transport) -> None:
    transport.users.answer = raising(DeadlineExceeded("The utility took too long.", code="provider_timeout"))

    with pytest.raises(DeadlineExceeded) as raised:
        get_user(transport)

    assert raised.value.code == "provider_timeout"


def test_with_no_time_left_nothing_is_called(transport: Transport) -> None:
    transport.users.answer = raising(AssertionError("was called"))

    with invocation("req-1", -1), pytest.raises(DeadlineExceeded):
        get_user(transport)


def test_a_callee_that_is_not_there_is_unavailable_and_found_again(transport: Transport, log_lines: Lines) -> None:
    assert get_user(transport).name == "Ada"
    transport.go_down()

    with invocation("req-9", 10), pytest.raises(Unavailable, match="GetUser cannot be reached"):
        get_user(transport)
    line = log_lines()[-1]
    assert (line["event"], line["correlation_id"], line["method"]) == ("rpc_unreachable", "req-9", METHOD)

    transport.come_back()
    assert eventually(lambda: get_user(transport).name) == "Ada"


def eventually(call: Callable[[], str]) -> str:
    deadline = time.monotonic() + 10
    while True:
        try:
            return call()
        except Unavailable:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


# posted calls


def test_a_posted_call_is_carried_out_and_its_end_is_nobody_s_business(transport: Transport) -> None:
    done = threading.Event()

    def answer(request: GetUserRequest, context: RpcContext) -> User:
        done.set()
        raise NotFound("There is no such user.")

    transport.users.answer = answer
    transport.stub().post("GetUser", GetUserRequest(user_id="usr_1"))

    assert done.wait(5)


def test_a_posted_call_that_cannot_be_handed_over_is_unavailable(transport: Transport) -> None:
    transport.go_down()

    with pytest.raises(Unavailable):
        transport.stub().post("GetUser", GetUserRequest(user_id="usr_1"))
