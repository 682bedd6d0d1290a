"""`python -m infra <command>`. Options are read from the environment too: FN=… on make's command line is --fn here."""

import click

from infra.settings import Settings, load


@click.group()
@click.pass_context
def main(context: click.Context) -> None:
    """Build, start, deploy and look after the platform."""
    context.obj = load()


@main.command()
@click.option("--build", "force", is_flag=True, help="Build and deploy even when a stack is there.")
@click.pass_obj
def up(settings: Settings, *, force: bool) -> None:
    """Start the engine and the cache; deploy when nothing is deployed yet."""
    from infra import local

    local.up(settings, force=force)


@main.command()
@click.pass_obj
def down(settings: Settings) -> None:
    """Stop what `up` started; the data stays."""
    from infra import target

    target.stop(settings)


@main.command()
@click.pass_obj
def restart(settings: Settings) -> None:
    """Down, then up."""
    from infra import local, target

    target.stop(settings)
    local.up(settings)


@main.command()
@click.pass_obj
def reset(settings: Settings) -> None:
    """Down, then delete all local data."""
    from infra import local

    local.reset(settings)


@main.command()
@click.pass_obj
def status(settings: Settings) -> None:
    """What runs, where, and what is deployed."""
    from infra import local

    local.status(settings)


@main.command()
@click.pass_obj
def url(settings: Settings) -> None:
    """Print the API's base URL with the stage."""
    from infra import local

    click.echo(local.url(settings))


@main.command()
@click.pass_obj
def build(settings: Settings) -> None:
    """Build the functions' artefacts."""
    from infra import build as building

    with building.one_at_a_time():
        building.build(settings)


@main.command()
@click.pass_obj
def deploy(settings: Settings) -> None:
    """Build, make the signing key, deploy, migrate."""
    from infra import deploy as deploying
    from infra import target

    if settings.emulated:
        target.start(settings)
    deploying.deploy(settings)


@main.command("rotate-keys")
@click.option("--force", envvar="FORCE", is_flag=True, help="Though tokens of the previous key may still be good.")
@click.pass_obj
def rotate_keys(settings: Settings, *, force: bool) -> None:
    """Let a new key sign access tokens; the old one verifies until the next rotation."""
    from infra import rotation

    rotation.rotate(settings, force=force)


@main.command()
@click.option("--service", envvar="SERVICE", default="", help="Only this service's.")
@click.pass_obj
def migrate(settings: Settings, service: str) -> None:
    """Run the migrations that have not run yet."""
    from infra import deploy as deploying

    deploying.migrate(settings, service)


@main.command()
@click.option("--count", envvar="N", default=1, show_default=True, type=click.IntRange(min=1))
@click.option("--service", envvar="SERVICE", default="", help="Only this service's.")
@click.pass_obj
def rollback(settings: Settings, count: int, service: str) -> None:
    """Take back the last migrations."""
    from infra import deploy as deploying

    deploying.rollback(settings, count, service)


@main.command("migrations")
@click.option("--service", envvar="SERVICE", default="", help="Only this service's.")
@click.pass_obj
def migration_status(settings: Settings, service: str) -> None:
    """Which migrations have run, are running, or stopped in their middle."""
    from infra import deploy as deploying

    for line in deploying.migration_status(settings, service):
        click.echo(line)
