"""What the commands say: one line per step, its time, and for a failure what to do about it. All on stderr."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import click


class Failure(click.ClickException):
    """Ends the command. `what` says what is wrong; `todo` what to do about it."""

    def __init__(self, what: str, todo: str = "") -> None:
        super().__init__(what)
        self.todo = todo

    def format_message(self) -> str:
        return f"{self.message}\n{self.todo}" if self.todo else self.message


def say(text: str) -> None:
    click.echo(text, err=True)


@contextmanager
def step(title: str) -> Iterator[None]:
    """Announces a step before it starts and says how long it took."""
    begun = time.monotonic()
    click.echo(f"▸ {title} … ", nl=False, err=True)
    sys.stderr.flush()
    try:
        yield
    except BaseException:
        click.echo("failed", err=True)
        raise
    click.echo(f"{time.monotonic() - begun:.1f} s", err=True)
