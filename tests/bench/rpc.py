"""An RPC round trip over each transport, beside the least that the transport can do: a Lambda Invoke of a function that
answers at once, and a gRPC call whose server gives the bytes back.

Lambda is the embedded engine's, on a port of its own; the gRPC servers are processes of their own on loopback. What is
above the floor is the envelope, encoding, deadline, correlation id, the thread that waits, and (for gRPC) the log line.
An Invoke of the engine's says nothing of AWS; what our code adds to one does.
"""

import io
import json
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING
from unittest.mock import patch

import grpc

from functions.common import aws
from functions.common.rpc.client import Stub, channel_to
from functions.common.rpc.lambda_channel import LambdaChannel
from functions.contracts.rpc.users_pb2 import GetUserRequest, User
from infra import aws as infra_aws
from infra import engine
from infra.process import free_port
from infra.settings import ROOT, Settings, load
from tests.bench.handlers.echo import METHOD, USERS
from tests.bench.isolated import ratio
from tests.bench.printing import table
from tests.support import artefacts

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

BLOCKS, INVOKES, CALLS = 10, 10, 200
HANDLERS = Path(__file__).parent / "handlers"
ASKED = GetUserRequest(user_id="usr_01JD3N8Z6W3V9K4T7Q2M5XBRPC")
Contest = dict[str, tuple[Callable[[], object], int]]
"""Name → what is done, and how often in a block."""


def report(scratch: Path) -> None:
    with ExitStack() as stack:
        client = stack.enter_context(_lambda(scratch))
        stack.enter_context(patch.object(aws, "lambda_invoke", lambda: client))
        by_lambda = Stub(USERS, LambdaChannel("bench-echo"))
        rpc, bare = (stack.enter_context(_server(kind)) for kind in ("rpc", "bare"))
        by_grpc = Stub(USERS, channel_to(f"grpc://127.0.0.1:{rpc}"))
        channel = stack.enter_context(grpc.insecure_channel(f"127.0.0.1:{bare}"))
        echo: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(METHOD)
        contest: Contest = {
            "RPC over Lambda": (lambda: _ask(by_lambda), INVOKES),
            "bare Lambda Invoke": (lambda: _invoke(client), INVOKES),
            "RPC over gRPC": (lambda: _ask(by_grpc), CALLS),
            "bare gRPC echo": (lambda: echo(ASKED.SerializeToString(), timeout=10), CALLS),
        }
        _print(_blocks(contest))


def _print(times: dict[str, list[float]]) -> None:
    floors = {"RPC over Lambda": "bare Lambda Invoke", "RPC over gRPC": "bare gRPC echo"}
    rows = []
    for name, taken in times.items():
        beside = f"{ratio(taken, times[floors[name]]):.2f}" if name in floors else "1.00"
        rows.append([name, f"{median(taken) * 1e3:.2f} ({min(taken) * 1e3:.2f})", beside])
    faster = ratio(times["RPC over Lambda"], times["RPC over gRPC"])
    rows.append(["RPC over Lambda beside over gRPC", "", f"{faster:.1f}"])
    table(
        f"RPC round trip, ms per call, median (least) of {BLOCKS} blocks of {INVOKES} (Lambda) or {CALLS} (gRPC)",
        ["what", "ms", "ratio"],
        rows,
    )


def _ask(stub: Stub) -> None:
    if stub.call("GetUser", ASKED, User).user_id != ASKED.user_id:
        raise RuntimeError("the echo answered with something else")


def _invoke(client: "LambdaClient") -> None:
    answer = client.invoke(FunctionName="bench-bare", Payload=json.dumps({"message": ASKED.user_id}).encode())
    if json.loads(answer["Payload"].read())["statusCode"] != 200:
        raise RuntimeError("the bare function did not answer")


def _blocks(contest: Contest) -> dict[str, list[float]]:
    """Seconds per call of each block; in every block all take one turn. The first is for warming up."""
    times: dict[str, list[float]] = {name: [] for name in contest}
    for number in range(BLOCKS + 1):
        for name, (work, calls) in contest.items():
            began = time.perf_counter()
            for _ in range(calls):
                work()
            if number:
                times[name].append((time.perf_counter() - began) / calls)
    return times


@contextmanager
def _lambda(scratch: Path) -> "Iterator[LambdaClient]":
    """A client, with the platform's own settings, of an engine that has both functions."""
    settings = replace(load({}), endpoint=f"http://127.0.0.1:{free_port()}", run_dir=scratch / "engine")
    try:
        engine.start(settings)
        role = _role(settings)
        with patch.dict(os.environ, settings.environment()):
            client = aws.lambda_invoke.__wrapped__()
        _deploy(client, role, "bench-bare", "logged.handler", _zip(HANDLERS / "logged.py"))
        folder = artefacts.importable("UserRpc", scratch)
        _deploy(client, role, "bench-echo", "echo.handler", _zip(HANDLERS / "echo.py", folder))
        yield client
    finally:
        engine.stop(settings)


def _role(settings: Settings) -> str:
    """The ARN of one that a function may have: the engine looks for it."""
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
        ],
    }
    made = infra_aws.client(settings, "iam").create_role(RoleName="bench", AssumeRolePolicyDocument=json.dumps(trust))
    return str(made["Role"]["Arn"])


def _deploy(client: "LambdaClient", role: str, name: str, handler: str, code: bytes) -> None:
    client.create_function(
        FunctionName=name,
        Runtime="python3.13",
        Handler=handler,
        Code={"ZipFile": code},
        Role=role,
        Timeout=29,
        MemorySize=1024,
    )
    client.get_waiter("function_active_v2").wait(FunctionName=name)


def _zip(module: Path, folder: Path | None = None) -> bytes:
    """The module at the top, beside what is in `folder`."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(module, module.name)
        for name in artefacts.files(folder) if folder else ():
            archive.write((folder or Path()) / name, name)
    return stream.getvalue()


@contextmanager
def _server(kind: str) -> Iterator[int]:
    """The port of a gRPC server in a process of its own."""
    command = [sys.executable, "-m", "tests.bench.handlers.echo", kind]
    with (
        Path(os.devnull).open("w") as nowhere,
        subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=nowhere, text=True
        ) as process,
    ):
        try:
            yield int(process.stdout.readline() if process.stdout else 0)
        finally:
            process.kill()
