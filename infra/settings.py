"""What the command line works on: which target, which stage, where the engine and the cache answer.

Everything comes from the environment, which is also where make puts the variables of its command line.
"""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit

from infra.console import Failure

ROOT = Path(__file__).resolve().parent.parent
API_STAGE = "v1"
RPC_SERVICES = ("Users", "Providers", "Accounts", "Credentials", "Bills", "Reminders", "Broker", "Webhooks", "Activity")


class Target(StrEnum):
    """Where the platform runs."""

    EMBEDDED = "embedded"
    LOCALSTACK = "localstack"
    AWS = "aws"


@dataclass(frozen=True)
class Settings:
    target: Target
    stage: str
    region: str
    endpoint: str  # of the engine, without a slash at the end; "" on AWS
    cache_url: str  # of the cache as seen from here; "" on AWS, where nobody here reaches it
    run_dir: Path  # process files, logs, the engine's state
    # of the template: which RPCs travel otherwise than by Lambda, and the call token that they show; none is empty
    rpc_parameters: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    grpcio: bool = False  # whether callers' artefacts hold grpcio although no target needs it

    @property
    def emulated(self) -> bool:
        return self.target is not Target.AWS

    @property
    def stack_name(self) -> str:
        return f"billing-{self.stage}"

    @property
    def engine_port(self) -> int:
        return urlsplit(self.endpoint).port or 4566

    @property
    def cache_port(self) -> int:
        return urlsplit(self.cache_url).port or 6379

    @property
    def with_grpcio(self) -> bool:
        """A target that is called by gRPC brings along what its callers need (docs/grpc.md)."""
        return self.grpcio or any(value.startswith("grpc:") for _, value in self.rpc_parameters)

    def environment(self) -> dict[str, str]:
        """Variables for a child process (sam, pytest) that must reach the same platform, credentials included."""
        own = {"TARGET": self.target.value, "STAGE": self.stage, "AWS_REGION": self.region}
        own["AWS_DEFAULT_REGION"] = self.region
        if self.emulated:
            own |= {"AWS_ENDPOINT_URL": self.endpoint, "CACHE_URL": self.cache_url, "AWS_ACCESS_KEY_ID": "test"}
            own |= {"AWS_SECRET_ACCESS_KEY": "test", "AWS_EC2_METADATA_DISABLED": "true"}
            own["NO_PROXY"] = own["no_proxy"] = "127.0.0.1,localhost"
        return {**os.environ, **own}


def load(environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings that `environ` asks for. Raises Failure, naming the variable, when one makes no sense."""
    try:
        target = Target(environ.get("TARGET") or Target.EMBEDDED)
    except ValueError:
        raise Failure(f"TARGET={environ['TARGET']} is not one of {', '.join(Target)}") from None
    stage = environ.get("STAGE") or "dev"
    if not stage.isalnum() or not stage.islower():
        raise Failure(f"STAGE={stage} must be lower-case letters and digits")
    emulated = target is not Target.AWS
    redis_port = environ.get("REDIS_PORT") or "6399"
    return Settings(
        target=target,
        stage=stage,
        region=environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or "us-east-1",
        endpoint=_url(environ, "AWS_ENDPOINT_URL", "http://127.0.0.1:4566") if emulated else "",
        cache_url=_url(environ, "CACHE_URL", f"redis://127.0.0.1:{redis_port}/0") if emulated else "",
        run_dir=Path(environ.get("RUN_DIR") or ROOT / ".run").resolve(),
        rpc_parameters=_rpc_parameters(environ),
        grpcio=environ.get("GRPC") == "1",
    )


def _rpc_parameters(environ: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """The template's parameters that say how RPCs travel; "" is by Lambda, without a token."""
    from functions.common.rpc.client import target_of

    variables = {f"Rpc{name}": f"RPC_{name.upper()}" for name in RPC_SERVICES}
    for variable in variables.values():
        try:
            _ = target_of(environ[variable]) if environ.get(variable) else None
        except ValueError as error:
            raise Failure(f"{variable}: {error}") from None
    variables |= {"RpcToken": "RPC_TOKEN", "RpcCaFile": "RPC_CA_FILE"}
    return tuple((name, environ.get(variable, "")) for name, variable in variables.items())


def _url(environ: Mapping[str, str], name: str, default: str) -> str:
    value = (environ.get(name) or default).rstrip("/")
    try:
        parts = urlsplit(value)
        usable = bool(parts.scheme and parts.hostname and parts.port)
    except ValueError:
        usable = False
    if not usable:
        raise Failure(f"{name}={value} must be a URL with a port, such as {default}")
    return value


def host_python() -> str:
    """The version of the interpreter that runs this, which is also the embedded engine's: "3.11"."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"
