"""Runs a long program: its output to a log file, its progress to the terminal, its end to the reader when it fails."""

import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from infra.console import Failure, say

TAIL = 40  # lines of the log shown when the program fails
BEAT = 10.0  # seconds between signs of life where there is no terminal


def run(
    title: str, command: Sequence[str], *, log: Path, cwd: Path, env: Mapping[str, str], todo: str, timeout: float = 900
) -> None:
    """Runs `command` to its end. Raises Failure with the log's last lines when it fails or exceeds `timeout`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    progress = _Progress(title)
    with (
        log.open("w") as out,
        subprocess.Popen(
            command,
            cwd=cwd,
            env=dict(env),
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        watch = threading.Timer(timeout, process.kill)
        watch.start()
        try:
            for line in process.stdout or ():
                out.write(line)
                progress.show(line)
            code = process.wait()
        except BaseException:
            process.terminate()
            raise
        finally:
            watch.cancel()
    took = time.monotonic() - begun
    progress.end(f"{took:.1f} s" if code == 0 else "failed")
    if code != 0:
        lines = log.read_text(errors="replace").splitlines()[-TAIL:]
        say("\n".join(f"  | {line}" for line in lines))
        why = f"did not end within {timeout:.0f} s" if took >= timeout else f"ended with code {code}"
        raise Failure(f"{title}: {why} (whole log: {log})", todo)


class _Progress:
    """On a terminal one line that changes; elsewhere a line now and then."""

    def __init__(self, title: str) -> None:
        self.title, self.begun, self.said = title, time.monotonic(), time.monotonic()
        self.terminal = sys.stderr.isatty()
        click.echo(f"▸ {title} … ", nl=False, err=True)

    def show(self, line: str) -> None:
        text, now = line.strip(), time.monotonic()
        if not text or set(text) <= set("-=+ "):
            return
        if self.terminal:
            click.echo(f"\r\033[K▸ {self.title} … {now - self.begun:3.0f} s  {text[:70]}", nl=False, err=True)
        elif now - self.said > BEAT:
            self.said = now
            click.echo(f"{now - self.begun:.0f} s … ", nl=False, err=True)

    def end(self, text: str) -> None:
        click.echo(f"\r\033[K▸ {self.title} … {text}" if self.terminal else text, err=True)
