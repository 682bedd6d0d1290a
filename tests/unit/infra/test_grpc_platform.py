"""`make grpc`: what is served, under which environment, and when it refuses to start."""

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from functions.common.settings import SettingsError
from infra import artefacts, build, deploy, grpc_platform, mail, signing_key, stack, target
from infra.console import Failure
from infra.grpc_server import ServerSettings
from infra.settings import load

TOKEN = "0123456789abcdef0123456789abcdef"
OPEN = {"HOST": "0.0.0.0", "RPC_TOKEN": TOKEN, "RPC_CERT_FILE": "/cert.pem", "RPC_KEY_FILE": "/key.pem"}


def names(*, credentials: bool) -> set[str]:
    return {handler.service.name for handler in grpc_platform.rpc_handlers(credentials=credentials).values()}


def test_every_contract_is_served_but_credentials() -> None:
    assert names(credentials=False) == {
        "Users",
        "Providers",
        "Accounts",
        "Bills",
        "Broker",
        "Activity",
        "Webhooks",
        "Reminders",
    }


def test_credentials_are_served_when_asked_for() -> None:
    assert names(credentials=True) - names(credentials=False) == {"Credentials"}


def test_credentials_do_not_leave_the_machine() -> None:
    with pytest.raises(Failure, match="loopback only"):
        grpc_platform.serve(load({}), credentials=True, environ=OPEN)


def test_without_a_token_it_does_not_listen_to_others() -> None:
    with pytest.raises(Failure, match="RPC_TOKEN must be set"):
        grpc_platform.serve(load({}), credentials=False, environ={"HOST": "0.0.0.0"})


def test_where_no_platform_runs_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target, "running", lambda settings: False)

    with pytest.raises(Failure, match=r"Nothing answers at http://127\.0\.0\.1:4566"):
        grpc_platform.serve(load({}), credentials=False, environ={})


def test_a_setting_that_makes_no_sense_is_named() -> None:
    with pytest.raises(Failure, match="PORT: not a whole number"):
        grpc_platform.serve(load({}), credentials=False, environ={"PORT": "many", "HOST": ""})


def test_functions_that_agree_share_one_environment() -> None:
    merged = grpc_platform.merged({"A": {"X": "1", "Y": "2"}, "B": {"X": "1", "Z": "3"}})

    assert merged == {"X": "1", "Y": "2", "Z": "3"}


def test_functions_that_disagree_are_not_served_together() -> None:
    with pytest.raises(Failure, match="USERS_TABLE of B"):
        grpc_platform.merged({"A": {"USERS_TABLE": "one"}, "B": {"USERS_TABLE": "other"}})


class Server:
    """A server that is stopped as soon as it serves; what it saw is kept."""

    def __init__(self, names: list[str], settings: ServerSettings) -> None:
        self.names = names
        self.settings = settings
        self.seen: dict[str, str] = {}
        self.stopped_with: list[float] = []

    def start(self) -> int:
        self.seen = dict(os.environ)
        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGTERM)).start()
        return 50051

    def stop(self, grace: float) -> None:
        self.stopped_with.append(grace)


@pytest.fixture
def signals() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("signals")
def test_it_serves_under_the_functions_environments_until_it_is_told_to_stop(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made: list[Server] = []

    def make(handlers: list[object], settings: ServerSettings) -> Server:
        made.append(Server(["billing.users.v1.Users"], settings))
        return made[0]

    monkeypatch.setattr(target, "running", lambda settings: True)
    monkeypatch.setattr(grpc_platform, "GrpcServer", make)
    monkeypatch.setattr(stack, "environment_here", lambda settings, name: {"USERS_TABLE": "users", "RPC_TOKEN": ""})

    grpc_platform.serve(load({}), credentials=False, environ={"PORT": "0", "RPC_TOKEN": TOKEN})

    [server] = made
    assert (server.seen["USERS_TABLE"], server.seen["RPC_TOKEN"]) == ("users", TOKEN)
    assert server.settings.rpc_token == TOKEN
    assert server.stopped_with == [grpc_platform.GRACE]
    assert "USERS_TABLE" not in os.environ
    said = capsys.readouterr().err
    assert "gRPC at 127.0.0.1:50051" in said
    assert "call token: yes" in said
    assert TOKEN not in said


def test_a_servicer_that_lacks_a_setting_is_a_failure_that_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def make(handlers: list[object], settings: ServerSettings) -> Server:
        raise SettingsError("USERS_TABLE: not set")

    monkeypatch.setattr(target, "running", lambda settings: True)
    monkeypatch.setattr(grpc_platform, "GrpcServer", make)
    monkeypatch.setattr(stack, "environment_here", lambda settings, name: {})

    with pytest.raises(Failure, match="USERS_TABLE: not set"):
        grpc_platform.serve(load({}), credentials=False, environ={})


# what deploying for it takes


def test_a_target_becomes_a_parameter_of_the_template_and_brings_grpcio() -> None:
    settings = load({"RPC_PROVIDERS": "grpc://127.0.0.1:50051", "RPC_TOKEN": TOKEN, "RPC_CA_FILE": "/opt/ca.pem"})

    assert {name: value for name, value in settings.rpc_parameters if value} == {
        "RpcProviders": "grpc://127.0.0.1:50051", "RpcToken": TOKEN, "RpcCaFile": "/opt/ca.pem",
    }  # fmt: skip
    assert settings.with_grpcio
    assert TOKEN not in repr(settings)


def test_a_deploy_without_targets_takes_the_earlier_ones_back_and_a_rotation_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    passed: list[dict[str, str]] = []
    monkeypatch.setattr(build, "build", lambda settings: None)
    monkeypatch.setattr(signing_key, "ensure", lambda settings: signing_key.SigningKey("key", "{}"))
    monkeypatch.setattr(mail, "ensure_sender", lambda settings: "")
    monkeypatch.setattr(target, "seen_by_functions", lambda settings: target.Seen("", ""))
    monkeypatch.setattr(deploy, "_sam_deploy", lambda settings, parameters: passed.append(parameters))
    monkeypatch.setattr(deploy, "migrate", lambda settings: None)
    monkeypatch.setattr(stack, "api_url", lambda settings: "")

    deploy.deploy(load({"RPC_BILLS": "grpc://127.0.0.1:1"}))
    deploy.deploy(load({}))
    deploy.release(load({}))

    assert [parameters.get("RpcBills") for parameters in passed] == ["grpc://127.0.0.1:1", "", None]
    assert "CorsOrigins" not in passed[0], "what is not given keeps its value"


@pytest.mark.parametrize(
    ("environ", "with_grpcio"),
    [({}, False), ({"RPC_BILLS": "lambda:mine"}, False), ({"GRPC": "1"}, True), ({"GRPC": "0"}, False)],
)
def test_grpcio_is_built_in_only_when_it_is_needed(environ: dict[str, str], *, with_grpcio: bool) -> None:
    assert load(environ).with_grpcio is with_grpcio


def test_a_target_of_no_known_kind_ends_the_deploy_before_it_begins() -> None:
    with pytest.raises(Failure, match="RPC_BILLS: RPC target 'http://x'"):
        load({"RPC_BILLS": "http://x"})


@pytest.mark.parametrize(
    ("function", "environ", "expected"),
    [
        ("AccountApi", {"RPC_PROVIDERS": "grpc://127.0.0.1:50051"}, True),
        ("AccountApi", {}, False),
        ("FrontDoor", {"GRPC": "1"}, False),
    ],
)
def test_grpcio_goes_to_those_who_call_others(
    function: str, environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, expected: bool
) -> None:
    asked: list[str] = []

    def dependencies(names: list[str], python: str, platform: str) -> Path:
        asked.extend(names)
        return tmp_path / "empty"

    (tmp_path / "empty").mkdir()
    monkeypatch.setattr(artefacts, "dependencies", dependencies)
    monkeypatch.setattr(artefacts, "own_package", lambda *_, **__: tmp_path / "empty")

    artefacts.build(function, tmp_path / "artefact", load(environ))

    assert (set(artefacts.GRPC) <= set(asked)) is expected


def test_what_grpc_needs_is_pinned() -> None:
    assert artefacts.pinned(list(artefacts.GRPC), artefacts.PINS.read_text())
