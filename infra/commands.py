"""The commands that use a platform that is up, and those that work on the sources."""

import shlex
import sys

import click

from infra.cli import main
from infra.console import Failure
from infra.settings import Settings


@main.command()
@click.pass_obj
def demo(settings: Settings) -> None:
    """Start everything and run the whole journey."""
    from infra import demo as journey
    from infra import local

    local.up(settings)
    sys.exit(journey.run(local.url(settings)))


@main.command()
@click.option("--fn", envvar="FN", default="", help="Logical id of one function.")
@click.option(
    "--since", envvar="SINCE", default=10, show_default=True, type=click.IntRange(min=1), help="Minutes back."
)
@click.option("--follow", envvar="FOLLOW", is_flag=True, help="Go on until Ctrl-C.")
@click.pass_obj
def logs(settings: Settings, fn: str, since: int, *, follow: bool) -> None:
    """Print the functions' logs."""
    from infra import logs as reading

    reading.show(settings, fn, since, follow=follow)


@main.command()
@click.pass_obj
def seed(settings: Settings) -> None:
    """Make a demo user with linked accounts, through the API."""
    from infra import local
    from infra import seed as sowing

    sowing.run(local.url(settings))


@main.command()
@click.option("--email", envvar="EMAIL", default="", help="The user's address.")
@click.pass_obj
def admin(settings: Settings, email: str) -> None:
    """Give a user the role admin."""
    from infra import admin as granting

    if not email:
        raise Failure("Whom?", "make admin EMAIL=someone@example.com")
    click.echo(granting.grant(settings, email))
    click.echo("tokens issued from now on say so: log in again, or refresh")


@main.command()
@click.option("--fn", envvar="FN", default="", help="Logical id of the function, or all.")
@click.option("--event", envvar="EVENT", default="", help="File with the event; its own of tests/events if none.")
@click.option("--token", envvar="TOKEN", default="", help="Access token for an API's payload; the demo user's if none.")
@click.option("--options", envvar="OPTIONS", default="", help="More options for sam local invoke.")
@click.pass_obj
def invoke(settings: Settings, fn: str, event: str, token: str, options: str) -> None:
    """Run one function in a container by sam local invoke, or each on its payload."""
    from infra import invoke as invoking

    invoking.run(settings, fn, event, token, shlex.split(options))


@main.command("start-api")
@click.option("--port", envvar="PORT", default=3000, show_default=True, type=click.IntRange(1, 65_535))
@click.option("--options", envvar="OPTIONS", default="", help="More options for sam local start-api.")
@click.pass_obj
def start_api(settings: Settings, port: int, options: str) -> None:
    """Serve the API's functions in containers by sam local start-api, until Ctrl-C."""
    from infra import start_api as serving

    serving.serve(settings, port, shlex.split(options))


@main.command()
@click.option("--credentials", envvar="CREDENTIALS", is_flag=True, help="Serve Credentials too, on loopback only.")
@click.pass_obj
def grpc(settings: Settings, *, credentials: bool) -> None:
    """Serve the RPC contracts by real gRPC (HOST, PORT, RPC_TOKEN, RPC_CERT_FILE, RPC_KEY_FILE, RPC_WORKERS)."""
    from infra import grpc_platform

    grpc_platform.serve(settings, credentials=credentials)


@main.command()
@click.option("--limit", envvar="LIMIT", default=20, show_default=True, help="At most so many of each queue.")
@click.pass_obj
def dlq(settings: Settings, limit: int) -> None:
    """List the messages that the workers gave up, with their reasons."""
    from infra import dead_letters

    dead_letters.show(settings, limit)


@main.command()
@click.option("--queue", envvar="QUEUE", default="", help="Logical id of the queue they came from.")
@click.option("--limit", envvar="LIMIT", default=100_000, show_default=True, help="At most so many.")
@click.pass_obj
def redrive(settings: Settings, queue: str, limit: int) -> None:
    """Give the messages that were given up back to their queue."""
    from infra import dead_letters

    dead_letters.redrive(settings, queue, limit)


@main.command()
@click.option("--table", envvar="TABLE", default="", help="Logical id of the table.")
@click.option("--at", envvar="AT", default="", help="As it was then: 2026-01-31T12:00:00Z.")
@click.option("--from", "copy", envvar="FROM", default="", help="A copy that this command has made before.")
@click.option("--apply", envvar="APPLY", is_flag=True, help="Write what comes back.")
@click.pass_obj
def restore(settings: Settings, table: str, at: str, copy: str, *, apply: bool) -> None:
    """Bring back what a table has lost, from a copy of how it was."""
    from infra import restore as restoring

    restoring.run(settings, table, at, copy, apply=apply)


@main.command()
@click.pass_obj
def measure(settings: Settings) -> None:
    """Count and time what the main flows ask of AWS, for `cost`."""
    from infra import measure as measuring

    measuring.run(settings)


@main.command()
@click.option("--factor", envvar="FACTOR", default=2.0, show_default=True, help="Milliseconds on Lambda for one here.")
def cost(factor: float) -> None:
    """What the platform costs on AWS, of what was measured."""
    from infra import cost_tables

    cost_tables.run(factor)


@main.command()
@click.option("--links", envvar="LINKS", default=1_000_000, show_default=True, type=click.IntRange(min=1))
@click.option(
    "--per-minute", envvar="PER_MINUTE", default=6000, show_default=True, type=click.IntRange(min=1),
    help="Links that one run of the sweep takes at most.",
)  # fmt: skip
def simulate(links: int, per_minute: int) -> None:
    """A virtual day of many links: load, lag and calls of utilities, with a plot."""
    from infra import simulate as simulating

    simulating.run(links, per_minute)


@main.command()
@click.argument("parts", nargs=-1, type=click.Choice(["unit", "contract", "integration"]))
@click.option("--pytest", "arguments", envvar="ARGS", default="", help="More options for pytest.")
@click.pass_obj
def test(settings: Settings, parts: tuple[str, ...], arguments: str) -> None:
    """Run the tests, all parts unless some are named."""
    from infra import testing

    sys.exit(testing.run(settings, list(parts) or list(testing.PARTS), arguments.split()))


@main.command()
@click.pass_obj
def lint(settings: Settings) -> None:
    """All static checks."""
    from infra import checks

    checks.lint(settings)


@main.command("format")
def format_() -> None:
    """Format the code and mend what ruff can mend."""
    from infra import checks

    checks.format_sources()


@main.command()
def protos() -> None:
    """Generate code from the .proto files."""
    from infra import protos as generating
    from infra.settings import ROOT

    generating.generate(ROOT)


@main.command("protos-release")
def protos_release() -> None:
    """Publish the contracts as they are: what breaks them from now on fails the lint."""
    from infra import protos as generating

    generating.release()


@main.command()
def docs() -> None:
    """Generate the reference documents."""
    from infra import docs as generating
    from infra.settings import ROOT

    generating.generate(ROOT)


@main.command()
@click.option("--cases", envvar="CASES", default=1000, show_default=True, help="At least so many must be tried.")
@click.pass_obj
def fuzz(settings: Settings, cases: int) -> None:
    """Ask the running platform what its OpenAPI document allows, and what it does not."""
    from infra import fuzz as fuzzing
    from infra import local

    fuzzing.run(settings, local.url(settings), cases)


@main.command()
@click.pass_obj
def bench(settings: Settings) -> None:
    """Measure the budgets."""
    from infra import checks

    checks.bench(settings)


@main.command()
@click.option("--upgrade", envvar="UPGRADE", is_flag=True, help="Take the newest versions.")
def lock(*, upgrade: bool) -> None:
    """Resolve requirements/*.in into pinned, hashed files."""
    from infra import locking

    locking.lock(upgrade=upgrade)


@main.command("localstack-up")
@click.pass_obj
def localstack_up(settings: Settings) -> None:
    """Start LocalStack and Valkey in Docker."""
    from infra import compose

    compose.up(settings)


@main.command("localstack-down")
@click.pass_obj
def localstack_down(settings: Settings) -> None:
    """Stop LocalStack and Valkey."""
    from infra import compose

    compose.down(settings)
