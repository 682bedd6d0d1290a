"""`make grpc`: the platform's RPC contracts on a real gRPC server, on the running target's tables (docs/grpc.md).

The servicers are those of the deployed functions, built in this process under the environments that these functions
have. Services name their variables alike only where they mean the same, so that one environment serves them all.
"""

import importlib
import os
import signal
import threading
from collections.abc import Mapping
from types import FrameType

from functions.common import logs
from functions.common.rpc.grpc_channel import is_loopback
from functions.common.rpc.server import LambdaRpcHandler
from functions.common.settings import SettingsError, load
from infra import stack, target, template
from infra.console import Failure, say, step
from infra.grpc_server import GrpcServer, ServerSettings
from infra.migrations import applied
from infra.settings import Settings

GRACE = 10.0
"""Seconds that calls have to end in when the server is stopped."""
CREDENTIALS = "Credentials"


def serve(settings: Settings, *, credentials: bool, environ: Mapping[str, str] = os.environ) -> None:
    """Serves until SIGTERM or Ctrl-C. Raises Failure when it cannot, or may not."""
    wanted = _settings(environ)
    wanted.check()
    if credentials and not is_loopback(wanted.host):
        raise Failure("Credentials are opened on loopback only.", "ADR 0012 says why; leave CREDENTIALS or HOST out")
    if not target.running(settings):
        raise Failure(f"Nothing answers at {settings.endpoint}, so there are no tables to serve.", "Start it: make up")
    handlers = rpc_handlers(credentials=credentials)
    with step(f"environments of {len(handlers)} functions in {settings.stack_name}"):
        environments = {name: stack.environment_here(settings, name) for name in handlers}
    own = {name: environ[name] for name in ("RPC_TOKEN", "RPC_CA_FILE") if environ.get(name)}
    with applied(merged(environments) | own) as env:  # a servicer may call another one here: with the token it wants
        logs.configure(env.get("LOG_LEVEL", "INFO"))
        try:
            server = GrpcServer(list(handlers.values()), wanted)
        except SettingsError as error:
            raise Failure(
                f"A servicer cannot be built: {error}", "Deploy the code as it is now: make up_build"
            ) from error
        _run(server, wanted)


def _settings(environ: Mapping[str, str]) -> ServerSettings:
    try:
        return load(ServerSettings, {name: value for name, value in environ.items() if value})
    except SettingsError as error:
        raise Failure(str(error)) from error


def rpc_handlers(*, credentials: bool) -> dict[str, LambdaRpcHandler]:
    """Logical id → the handler of each RPC function of the template; Credentials only when asked for."""
    found = {}
    for name, properties in template.functions().items():
        module, _, attribute = str(properties["Handler"]).rpartition(".")
        if module.endswith("rpc"):
            handler: LambdaRpcHandler = getattr(importlib.import_module(module), attribute)
            if credentials or handler.service.name != CREDENTIALS:
                found[name] = handler
    return found


def merged(environments: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """One environment for all. Raises Failure when two functions disagree: then one of them would read the other's."""
    together: dict[str, str] = {}
    for function, environment in environments.items():
        for name, value in environment.items():
            if together.setdefault(name, value) != value:
                raise Failure(f"{name} of {function} is not what another function has: one process cannot serve both.")
    return together


def _run(server: GrpcServer, settings: ServerSettings) -> None:
    stopped = threading.Event()

    def stop(number: int, _frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)  # the second time means: now
        stopped.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    port = server.start()
    say(f"gRPC at {settings.host}:{port}, with health and reflection: {', '.join(server.names)}")
    say(f"TLS: {'yes' if settings.rpc_cert_file else 'no'}, call token: {'yes' if settings.rpc_token else 'no'}")
    stopped.wait()
    with step("ending the calls that run"):
        server.stop(GRACE)
