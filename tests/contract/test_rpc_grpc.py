"""What HTTP/2 adds: stock clients, reflection, health, the call token, TLS, a client that cancels, a graceful stop."""

import datetime as dt
import ipaddress
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from google.rpc.status_pb2 import Status
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from grpc_status import rpc_status

from functions.common.errors import FieldError, InvalidInput, Unavailable
from functions.common.rpc import grpc_channel
from functions.common.rpc.client import Stub, channel_to
from functions.common.rpc.envelope import Call
from functions.common.rpc.grpc_channel import GrpcChannel, channel_at, is_loopback
from functions.common.rpc.server import LambdaRpcHandler, RpcContext
from functions.common.rpc.status import StatusCode
from functions.common.settings import SettingsError
from functions.contracts.rpc import providers_pb2
from functions.contracts.rpc.common_pb2 import ErrorInfo
from functions.contracts.rpc.providers_pb2 import (
    ListProvidersReply,
    ListProvidersRequest,
    Provider,
    ProviderExistsReply,
    ProviderExistsRequest,
)
from functions.contracts.rpc.users_pb2 import GetUserRequest, User
from infra.console import Failure
from infra.grpc_server import GrpcServer, ServerSettings
from infra.settings import ROOT
from tests.support.rpc import USERS, Users

PROVIDERS = providers_pb2.DESCRIPTOR.services_by_name["Providers"]
SERVICE = "billing.users.v1.Users"
METHOD = f"{SERVICE}/GetUser"
TOKEN = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def users() -> Users:
    return Users()


@pytest.fixture(autouse=True)
def fresh_channels(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("RPC_TOKEN", "RPC_CA_FILE"):
        monkeypatch.delenv(name, raising=False)
    channel_at.cache_clear()
    yield
    channel_at.cache_clear()


@contextmanager
def serving(users: Users, **settings: Any) -> Iterator[int]:  # Any: values of ServerSettings
    server = GrpcServer([LambdaRpcHandler(USERS, lambda: users, {})], ServerSettings(**{"port": 0, **settings}))
    try:
        yield server.start()
    finally:
        server.stop(0)


@pytest.fixture
def port(users: Users) -> Iterator[int]:
    with serving(users) as port:
        yield port


def stock(port: int) -> grpc.Channel:
    return grpc.insecure_channel(f"127.0.0.1:{port}")


def get_user(channel: grpc.Channel) -> "grpc.UnaryUnaryMultiCallable[GetUserRequest, User]":
    """What generated code makes of the contract."""
    return channel.unary_unary(f"/{METHOD}", GetUserRequest.SerializeToString, User.FromString)


def refusing(request: GetUserRequest, context: RpcContext) -> User:
    raise InvalidInput.of(FieldError("user_id", "missing", "Who?"))


# a stock client


def test_a_stock_client_is_answered(port: int) -> None:
    with stock(port) as channel:
        assert get_user(channel)(GetUserRequest(user_id="usr_1"), timeout=5) == User(user_id="usr_1", name="Ada")


def test_a_stock_client_finds_the_details_where_the_standard_puts_them(port: int, users: Users) -> None:
    users.answer = refusing

    with stock(port) as channel, pytest.raises(grpc.RpcError) as raised:
        get_user(channel)(GetUserRequest(), timeout=5)

    status = rpc_status.from_call(raised.value)  # type: ignore[arg-type]  # a raised RpcError is a Call
    assert isinstance(status, Status)
    info = ErrorInfo()
    assert status.details[0].Unpack(info)
    assert (raised.value.code(), info.code) == (grpc.StatusCode.INVALID_ARGUMENT, "invalid_input")
    assert [(v.field, v.code, v.message) for v in info.violations] == [("user_id", "missing", "Who?")]


def test_a_call_without_a_correlation_id_is_given_one_and_told_so(port: int) -> None:
    with stock(port) as channel:
        given = get_user(channel).with_call(GetUserRequest(), timeout=5)[1].initial_metadata()
        asked = get_user(channel).with_call(
            GetUserRequest(), timeout=5, metadata=(("x-correlation-id", "req-1"),)
        )[1].initial_metadata()  # fmt: skip

    assert str(dict(given)["x-correlation-id"]).startswith("cor_")
    assert dict(asked)["x-correlation-id"] == "req-1"


def test_a_call_without_a_deadline_ends_within_a_minute(port: int, users: Users) -> None:
    users.answer = lambda request, context: User(name=f"{context.time_remaining():.0f}")

    with stock(port) as channel:
        assert 50 < float(get_user(channel)(GetUserRequest()).name) <= 60


def test_a_client_that_cancels_is_no_longer_worked_for(port: int, users: Users) -> None:
    begun, noticed, seen = threading.Event(), threading.Event(), list[float]()

    def answer(request: GetUserRequest, context: RpcContext) -> User:
        seen.append(context.time_remaining())
        begun.set()
        until = time.monotonic() + 10
        while context.time_remaining() and time.monotonic() < until:
            time.sleep(0.01)
        seen.append(context.time_remaining())
        noticed.set()
        return User()

    users.answer = answer
    with stock(port) as channel:
        call = get_user(channel).future(GetUserRequest(), timeout=30)
        assert begun.wait(5)
        call.cancel()
        assert call.code() is grpc.StatusCode.CANCELLED
        assert noticed.wait(15)

    assert seen[0] > 20
    assert seen[1] == 0


def test_what_is_larger_than_a_lambda_payload_is_refused(port: int) -> None:
    channel = channel_at("127.0.0.1", port)

    with pytest.raises(Unavailable):
        channel.invoke(Call(METHOD, GetUserRequest(user_id="x" * (7 << 20)).SerializeToString(), 5000, "req-1"))


# reflection, as grpcurl does it: list, describe, call


def test_a_client_that_knows_nothing_lists_describes_and_calls(port: int) -> None:
    with stock(port) as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        names = set(database.get_services())
        assert {SERVICE, "grpc.health.v1.Health"} <= names

        method = DescriptorPool(database).FindServiceByName(SERVICE).methods_by_name["GetUser"]
        request, reply = GetMessageClass(method.input_type), GetMessageClass(method.output_type)
        assert [field.name for field in method.input_type.fields] == ["user_id"]

        call = channel.unary_unary(f"/{METHOD}", request.SerializeToString, reply.FromString)
        answer: Any = call(request(user_id="usr_9"), timeout=5)  # Any: a class that reflection made

    assert (answer.user_id, answer.name) == ("usr_9", "Ada")


def test_the_client_in_the_document_works(capsys: pytest.CaptureFixture[str]) -> None:
    class Providers:
        def ListProviders(self, request: ListProvidersRequest, context: RpcContext) -> ListProvidersReply:
            return ListProvidersReply(items=[Provider(provider_id="prv_1", name=f"first of {request.limit}")])

    [snippet] = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "grpc.md").read_text(), re.DOTALL)
    server = GrpcServer([LambdaRpcHandler(PROVIDERS, Providers, {})], ServerSettings(port=0))
    port = server.start()
    try:
        exec(compile(snippet.replace(":50051", f":{port}"), "docs/grpc.md", "exec"), {})
    finally:
        server.stop(0)

    # whatever the server, which runs in this process here, has logged
    assert capsys.readouterr().out.splitlines()[-1] == "prv_1 first of 10"


def test_the_details_of_an_error_are_described_too(port: int) -> None:
    with stock(port) as channel:
        pool = DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
        assert "violations" in pool.FindMessageTypeByName("billing.common.v1.ErrorInfo").fields_by_name


# health


def health(channel: grpc.Channel, service: str = "") -> int:
    stub: Any = health_pb2_grpc.HealthStub(channel)  # Any: its stubs know none of its methods
    answer = stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=5)
    return int(answer.status)


def test_each_service_and_the_whole_say_that_they_serve(port: int) -> None:
    with stock(port) as channel:
        assert {health(channel), health(channel, SERVICE)} == {health_pb2.HealthCheckResponse.SERVING}


def test_a_server_that_stops_says_so_first_and_ends_what_it_has_begun(users: Users) -> None:
    begun, release = threading.Event(), threading.Event()

    def slow(request: GetUserRequest, context: RpcContext) -> User:
        begun.set()
        release.wait(5)
        return User(name="done")

    users.answer = slow
    server = GrpcServer([LambdaRpcHandler(USERS, lambda: users, {})], ServerSettings(port=0))
    with stock(server.start()) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)  # Any: its stubs know none of its methods
        watch = stub.Watch(health_pb2.HealthCheckRequest(), timeout=10)
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        call = get_user(channel).future(GetUserRequest(), timeout=10)
        assert begun.wait(5)
        stopping = threading.Thread(target=server.stop, args=(5,))
        stopping.start()
        assert next(watch).status == health_pb2.HealthCheckResponse.NOT_SERVING
        watch.cancel()
        release.set()
        assert call.result(5).name == "done"
        stopping.join(10)
        assert not stopping.is_alive()
        with pytest.raises(grpc.RpcError) as raised:
            get_user(channel)(GetUserRequest(), timeout=1)
    assert raised.value.code() is grpc.StatusCode.UNAVAILABLE


# many calls


def test_a_service_that_waits_for_another_on_the_same_server_does_not_hold_its_threads(users: Users) -> None:
    class Providers:
        def ProviderExists(self, request: ProviderExistsRequest, context: RpcContext) -> ProviderExistsReply:
            return ProviderExistsReply(exists=request.provider_id == "prv_1")

    handlers = [LambdaRpcHandler(USERS, lambda: users, {}), LambdaRpcHandler(PROVIDERS, Providers, {})]
    server = GrpcServer(handlers, ServerSettings(port=0, rpc_workers=1))
    channel = channel_at("127.0.0.1", server.start())

    def ask(request: GetUserRequest, context: RpcContext) -> User:
        providers = Stub(PROVIDERS, channel, 5)
        found = providers.call("ProviderExists", ProviderExistsRequest(provider_id="prv_1"), ProviderExistsReply)
        return User(name=str(found.exists))

    users.answer = ask
    try:
        answers = [Stub(USERS, channel, 5).call("GetUser", GetUserRequest(), User).name for _ in range(3)]
    finally:
        server.stop(0)

    assert answers == ["True"] * 3


# posted calls


def test_a_posted_call_is_taken_over_before_it_is_carried_out_and_not_lost_by_a_stop(users: Users) -> None:
    release, done = threading.Event(), threading.Event()

    def slow(request: GetUserRequest, context: RpcContext) -> User:
        release.wait(5)
        assert context.time_remaining() > 0, "it counts as abandoned"
        done.set()
        return User()

    users.answer = slow
    server = GrpcServer([LambdaRpcHandler(USERS, lambda: users, {})], ServerSettings(port=0))
    stub = Stub(USERS, channel_at("127.0.0.1", server.start()))

    began = time.perf_counter()
    stub.post("GetUser", GetUserRequest())
    assert time.perf_counter() - began < 2
    assert not done.is_set()
    threading.Timer(0.2, release.set).start()
    server.stop(1)

    assert done.is_set()


def test_when_too_many_wait_the_caller_is_told(users: Users, monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()
    users.answer = lambda request, context: User(name=str(release.wait(5)))
    monkeypatch.setattr("infra.grpc_server.POSTS_WAITING", 2)

    with serving(users) as port:
        channel = channel_at("127.0.0.1", port)
        stub = Stub(USERS, channel)
        stub.post("GetUser", GetUserRequest())
        stub.post("GetUser", GetUserRequest())
        with pytest.raises(Unavailable):
            stub.post("GetUser", GetUserRequest())
        release.set()


# the call token


def test_without_the_token_nothing_but_health_is_answered(users: Users) -> None:
    users.answer = lambda request, context: pytest.fail("was called")

    with serving(users, rpc_token=TOKEN) as port, stock(port) as channel:
        for metadata in ((), (("authorization", f"Bearer {TOKEN}x"),), (("authorization", TOKEN),)):
            with pytest.raises(grpc.RpcError) as raised:
                get_user(channel)(GetUserRequest(), timeout=5, metadata=metadata)
            assert raised.value.code() is grpc.StatusCode.UNAUTHENTICATED
            assert TOKEN not in str(raised.value.details())
        with pytest.raises(grpc.RpcError) as raised:
            list(_reflect(channel))
        assert raised.value.code() is grpc.StatusCode.UNAUTHENTICATED
        assert health(channel) == health_pb2.HealthCheckResponse.SERVING


def _reflect(channel: grpc.Channel) -> Iterator[Any]:  # Any: the stubs' own
    asked = iter([reflection_pb2.ServerReflectionRequest(list_services="")])
    stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
    answers: Iterator[Any] = stub.ServerReflectionInfo(asked, timeout=5)
    return answers


def test_a_caller_shows_the_token_that_its_settings_hold(users: Users, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RPC_TOKEN", TOKEN)

    with serving(users, rpc_token=TOKEN) as port:
        stub = Stub(USERS, channel_to(f"grpc://127.0.0.1:{port}"))
        assert stub.call("GetUser", GetUserRequest(user_id="usr_1"), User).name == "Ada"


def test_a_caller_s_wrong_token_is_the_platform_s_fault_and_not_the_user_s(users: Users) -> None:
    with serving(users, rpc_token=TOKEN) as port, pytest.raises(Unavailable):
        Stub(USERS, channel_at("127.0.0.1", port)).call("GetUser", GetUserRequest(), User)


# TLS


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that signs itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "rpc")])
    now = dt.datetime.now(dt.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = folder / "cert.pem", folder / "key.pem"
    cert_file.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )  # fmt: skip
    return cert_file, key_file


def test_over_tls_the_certificate_must_be_of_the_authority(
    users: Users, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cert, key = certificate(tmp_path)
    with serving(users, rpc_cert_file=str(cert), rpc_key_file=str(key)) as port:
        monkeypatch.setenv("RPC_CA_FILE", str(cert))
        stub = Stub(USERS, channel_at("127.0.0.1", port))
        assert stub.call("GetUser", GetUserRequest(user_id="usr_1"), User).name == "Ada"

        (tmp_path / "other").mkdir()
        monkeypatch.setenv("RPC_CA_FILE", str(certificate(tmp_path / "other")[0]))
        channel_at.cache_clear()
        with pytest.raises(Unavailable):
            Stub(USERS, channel_at("127.0.0.1", port)).call("GetUser", GetUserRequest(), User)


def test_plain_text_is_not_spoken_to_a_tls_server(users: Users, tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    with (
        serving(users, rpc_cert_file=str(cert), rpc_key_file=str(key)) as port,
        pytest.raises(Unavailable),
    ):
        Stub(USERS, channel_at("127.0.0.1", port)).call("GetUser", GetUserRequest(), User)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "localhost", "LOCALHOST", "[::1]", "::1"])
def test_what_is_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "[::]", "10.0.0.1", "rpc.internal", "localhost.example.com", "", "127.1"])
def test_what_is_not_loopback_never_gets_plain_text(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    monkeypatch.setattr(grpc, "insecure_channel", lambda address, options: pytest.fail("plain text"))
    monkeypatch.setattr(grpc, "secure_channel", lambda address, credentials, options: made.append(address))

    assert not is_loopback(host)
    channel_at(host, 443)

    assert made == [f"{host}:443"]


# settings and targets


def test_a_target_is_one_connection_for_the_process(port: int) -> None:
    first = channel_to(f"grpc://127.0.0.1:{port}")

    assert isinstance(first, GrpcChannel)
    assert channel_to(f"grpc://127.0.0.1:{port}") is first


@pytest.mark.parametrize(
    "target", ["grpc:", "grpc://", "grpc://host", "grpc:host:1", "grpc://a@host:1", "grpc://host:1/x", "grpc://host:"]
)
def test_a_target_that_is_no_address_is_refused(target: str) -> None:
    with pytest.raises(ValueError, match=r"grpc://<host>:<port>"):
        channel_to(target)


def test_an_artefact_without_grpcio_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "grpc", None)

    with pytest.raises(SettingsError, match=r"grpc://127\.0\.0\.1:1 needs grpcio.*GRPC=1"):
        channel_to("grpc://127.0.0.1:1")


def test_a_file_of_authorities_that_is_not_there_is_named_by_its_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RPC_CA_FILE", "/nowhere.pem")

    with pytest.raises(SettingsError, match="RPC_CA_FILE"):
        channel_to("grpc://rpc.internal:443")


def test_settings_do_not_show_the_token() -> None:
    assert TOKEN not in repr(grpc_channel.GrpcSettings(rpc_token=TOKEN)) + repr(ServerSettings(rpc_token=TOKEN))


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"host": "0.0.0.0"}, "RPC_TOKEN must be set"),
        ({"host": "::"}, "RPC_TOKEN must be set"),
        ({"host": "0.0.0.0", "rpc_token": TOKEN}, "RPC_CERT_FILE and RPC_KEY_FILE must be set"),
        ({"rpc_token": "short"}, "shorter than 32"),
        ({"rpc_cert_file": "/a.pem"}, "go together"),
        ({"rpc_cert_file": "/nowhere.pem", "rpc_key_file": "/nowhere.key"}, "RPC_KEY_FILE=/nowhere.key cannot be read"),
    ],
)
def test_a_server_that_would_be_open_to_others_does_not_start(settings: dict[str, str], why: str, users: Users) -> None:
    with pytest.raises(Failure, match=why), serving(users, **settings):
        pytest.fail("it serves")


def test_a_port_that_is_taken_is_an_error_and_not_shared(port: int, users: Users) -> None:
    with pytest.raises(Failure, match=f"Nothing can listen on 127.0.0.1:{port}"), serving(users, port=port):
        pytest.fail("it serves")


def test_a_servicer_that_cannot_be_built_ends_the_start() -> None:
    def build() -> object:
        raise SettingsError("USERS_TABLE: not set")

    with pytest.raises(SettingsError, match="USERS_TABLE"):
        GrpcServer([LambdaRpcHandler(USERS, build, {})], ServerSettings(port=0))


# answers of servers that are not ours


def answering(code: grpc.StatusCode, trailers: tuple[tuple[str, bytes], ...] = ()) -> Any:  # Any: a generic handler
    def answer(request: bytes, context: grpc.ServicerContext) -> bytes:
        context.set_trailing_metadata(trailers)
        context.abort(code, "so be it")

    method: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(answer)
    return grpc.method_handlers_generic_handler(SERVICE, {"GetUser": method})


@contextmanager
def foreign(code: grpc.StatusCode, trailers: tuple[tuple[str, bytes], ...] = ()) -> Iterator[GrpcChannel]:
    from concurrent.futures import ThreadPoolExecutor

    server = grpc.server(ThreadPoolExecutor(2), handlers=[answering(code, trailers)])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield channel_at("127.0.0.1", port)
    finally:
        server.stop(0).wait()


@pytest.mark.parametrize("code", [grpc.StatusCode.NOT_FOUND, grpc.StatusCode.ABORTED, grpc.StatusCode.OUT_OF_RANGE])
def test_a_status_without_details_is_still_that_status(code: grpc.StatusCode) -> None:
    with foreign(code) as channel:
        reply = channel.invoke(Call(METHOD, b"", 5000, "req-1"))

    assert (reply.status, reply.detail) == (StatusCode(code.value[0]), "so be it")


@pytest.mark.parametrize("code", [c for c in grpc.StatusCode if StatusCode(c.value[0]) in grpc_channel.TRANSPORT])
def test_what_the_wire_says_is_unavailable(code: grpc.StatusCode) -> None:
    with foreign(code) as channel, pytest.raises(Unavailable):
        channel.invoke(Call(METHOD, b"", 5000, "req-1"))


def test_details_of_others_are_passed_over() -> None:
    status = Status(code=5, message="so be it")
    status.details.add().Pack(User(name="not an ErrorInfo"))

    with foreign(grpc.StatusCode.NOT_FOUND, (("grpc-status-details-bin", status.SerializeToString()),)) as channel:
        assert channel.invoke(Call(METHOD, b"", 5000, "req-1")).info == ErrorInfo()


@pytest.mark.parametrize("details", [b"\xff\xff", Status(code=7, message="another").SerializeToString()])
def test_garbled_details_are_unavailable(details: bytes) -> None:
    with (
        foreign(grpc.StatusCode.NOT_FOUND, (("grpc-status-details-bin", details),)) as channel,
        pytest.raises(Unavailable, match="did not answer as an RPC"),
    ):
        channel.invoke(Call(METHOD, b"", 5000, "req-1"))
