"""LocalStack and Valkey in Docker (docker-compose.localstack.yml)."""

import os
import shutil
import subprocess

from infra import engine
from infra.console import Failure, say, step
from infra.settings import ROOT, Settings

FILE = ROOT / "docker-compose.localstack.yml"
PROJECT, NETWORK = "billing-localstack", "billing"  # their names in that file
FUNCTIONS = f"^{PROJECT}-localstack-1-lambda-"  # how LocalStack names its functions' containers
NO_ENGINE = "Without Docker the platform runs embedded: make up"


def up(settings: Settings) -> None:
    """Starts both and waits until they are healthy."""
    _compose("up", "--detach", "--wait", "--wait-timeout", "180", settings=settings)
    with step(f"LocalStack at {settings.endpoint}"):
        if not engine.answers(settings):
            raise Failure(f"It does not answer at {settings.endpoint}.", f"docker compose -f {FILE.name} logs")
    say("now: TARGET=localstack make demo")


def down(settings: Settings) -> None:
    """Stops both, and the functions' containers. LocalStack keeps nothing, so nothing gets time to end: it would start
    with its functions, be killed before it is done, and leave the rest behind in the network."""
    _compose("stop", "--timeout", "0", settings=settings)
    listing = ["docker", "ps", "--all", "--quiet", "--filter", f"name={FUNCTIONS}"]
    left = subprocess.run(listing, capture_output=True, text=True, check=False).stdout.split()
    if left:
        with step(f"removing {len(left)} functions' containers"):
            subprocess.run(["docker", "rm", "--force", *left], capture_output=True, check=False)
    _compose("down", "--volumes", settings=settings)


def running(port: int) -> bool:
    """Whether it is our LocalStack container that answers at this port."""
    if not shutil.which("docker"):
        return False
    command = ["docker", "ps", "--quiet", "--filter", "status=running", "--filter", f"publish={port}"]
    command += ["--filter", f"label=com.docker.compose.project={PROJECT}"]
    return bool(subprocess.run(command, capture_output=True, check=False).stdout.strip())


def _compose(*arguments: str, settings: Settings) -> None:
    if not shutil.which("docker"):
        raise Failure("LocalStack runs in Docker, and there is no docker command on PATH.", NO_ENGINE)
    if subprocess.run(["docker", "info"], capture_output=True, check=False).returncode:
        raise Failure(
            "LocalStack runs in Docker, and no Docker engine answers.", f"Start it, and try again. {NO_ENGINE}"
        )
    if subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode:
        raise Failure("docker has no `compose` command.", "Install it: docker-compose-plugin (or -v2).")
    command = ["docker", "compose", "--file", str(FILE), *arguments]
    ports = {"LOCALSTACK_PORT": str(settings.engine_port), "VALKEY_PORT": str(settings.cache_port)}
    if subprocess.run(command, cwd=ROOT, env={**os.environ, **ports}, check=False).returncode:
        raise Failure("docker compose failed: see above.", f"docker compose -f {FILE.name} logs")
