"""The platform as a whole on a developer's machine: up, reset, status, url."""

import shutil

import click

from infra import cache_server, deploy, engine, stack, target
from infra.console import Failure, say
from infra.settings import Settings, Target


def up(settings: Settings, *, force: bool = False) -> None:
    """Engine and cache answer, and the stack is deployed: now, if it was not or if `force`."""
    target.start(settings)
    if force or not stack.deployed(settings):
        deploy.deploy(settings)
    else:
        say(f"deployed before: {stack.api_url(settings)}  (make up_build deploys the code as it is now)")


def reset(settings: Settings) -> None:
    """Nothing of the platform is left on this machine but its build. LocalStack's own data ends with it."""
    target.stop(settings)
    shutil.rmtree(settings.run_dir, ignore_errors=True)
    say(f"{settings.run_dir} is deleted")


def url(settings: Settings) -> str:
    """The API's base URL. Raises Failure when the platform is not up."""
    if not target.running(settings):
        raise Failure(f"Nothing answers at {settings.endpoint}.", "Start it with: make up")
    return stack.api_url(settings)


def status(settings: Settings) -> None:
    """One line per part, on stdout."""
    engine_up = settings.target is Target.AWS or engine.answers(settings)
    rows = [("target", f"{settings.target}, stage {settings.stage}")]
    if settings.emulated:
        process, cache_process = engine.daemon(settings).process(), cache_server.daemon(settings).process()
        rows.append(("engine", _line(settings.endpoint, up=engine_up, pid=process.pid if process else None)))
        cache_up = cache_server.answers(settings)
        rows.append(("cache", _line(settings.cache_url, up=cache_up, pid=cache_process.pid if cache_process else None)))
    described = stack.describe(settings) if engine_up else None
    rows.append(("stack", f"{settings.stack_name} {described['StackStatus']}" if described else "not deployed"))
    if described and stack.deployed(settings):
        rows.append(("API", stack.api_url(settings)))
    rows.append(("logs", str(settings.run_dir / "log")))
    for name, text in rows:
        click.echo(f"{name:8}{text}")


def _line(address: str, *, up: bool, pid: int | None) -> str:
    state = "up" if up else "down"
    if up and pid is None:
        state += ", not started here"
    return f"{address} {state}" + (f", process {pid}" if pid else "")
