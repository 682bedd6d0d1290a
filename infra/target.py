"""What differs between the targets: who starts the engine, and how functions see it and the cache."""

import json
from dataclasses import dataclass

from infra import cache_server, compose, engine, stack
from infra.aws import client
from infra.console import Failure, say, step
from infra.settings import Settings, Target

RECEIVER_OFFSET, LAST_PORT = 10_000, 65_535


@dataclass(frozen=True)
class Seen:
    """Addresses as functions see them; "" leaves them to the template."""

    origin: str
    cache_url: str


def in_docker(settings: Settings) -> bool:
    """Whether the LocalStack that answers is that of docker-compose.localstack.yml, with functions in containers.

    `is_docker` alone does not say so: LocalStack outside Docker on a machine that is itself a container claims it too.
    """
    if settings.target is not Target.LOCALSTACK:
        return False
    info = engine.fetch(f"{settings.endpoint}/_localstack/info")
    return bool(info and json.loads(info).get("is_docker")) and compose.running(settings.engine_port)


def seen_by_functions(settings: Settings) -> Seen:
    if settings.target is Target.AWS:
        return Seen("", settings.cache_url)
    if in_docker(settings):  # names in the network of docker-compose.localstack.yml
        return Seen("http://localhost.localstack.cloud:4566", "redis://valkey:6379/0")
    return Seen(settings.endpoint, settings.cache_url)


def receiver_origin(settings: Settings) -> str:
    """Where functions reach a receiver of webhooks on this machine, at a port that follows from the engine's; "" where
    they do not."""
    if settings.target is Target.AWS or in_docker(settings):
        return ""
    port = settings.engine_port + RECEIVER_OFFSET
    return f"http://127.0.0.1:{port if port <= LAST_PORT else port - 2 * RECEIVER_OFFSET}"


def start(settings: Settings) -> None:
    """Makes the engine and the cache answer. Starts nothing where they are not ours to start."""
    if settings.target is Target.AWS:
        raise Failure("On AWS there is nothing to start.", "make deploy TARGET=aws STAGE=…")
    if settings.target is Target.LOCALSTACK and not engine.answers(settings):
        raise Failure(
            f"No LocalStack answers at {settings.endpoint}.",
            "Start it with: make localstack-up (or name its address: AWS_ENDPOINT_URL=http://host:port)",
        )
    if in_docker(settings):
        return  # its cache came with it
    if settings.target is Target.LOCALSTACK and cache_server.answers(settings):
        say(f"the cache on port {settings.cache_port} is used as it is")
    elif not cache_server.start(settings):
        say(f"the cache runs already on port {settings.cache_port}")
    if settings.target is Target.EMBEDDED and not engine.start(settings):
        say(f"the engine runs already on port {settings.engine_port}")


def running(settings: Settings) -> bool:
    """Whether the platform that this target means is up."""
    if settings.target is Target.EMBEDDED:
        return engine.daemon(settings).process() is not None and engine.answers(settings)
    return settings.target is Target.AWS or engine.answers(settings)


def stop(settings: Settings, *, quiet: bool = False) -> None:
    """Stops what `start` has started. The engine first: its functions use the cache."""
    stopped = engine.stop(settings) if settings.target is Target.EMBEDDED else False
    stopped = cache_server.stop(settings) or stopped
    if not quiet:
        say("stopped" if stopped else "nothing was running")


def before_deploy(settings: Settings) -> None:
    """LocalStack does not update an API in place, and may then wait for ever: there a stack is made anew."""
    if settings.target is not Target.LOCALSTACK or stack.describe(settings) is None:
        return
    cloudformation = client(settings, "cloudformation")
    with step(f"deleting {settings.stack_name}: LocalStack cannot change an API in place"):
        cloudformation.delete_stack(StackName=settings.stack_name)
        cloudformation.get_waiter("stack_delete_complete").wait(
            StackName=settings.stack_name, WaiterConfig={"Delay": 1, "MaxAttempts": 120}
        )
