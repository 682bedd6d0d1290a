"""`make invoke`: deployed functions run in containers, by `sam local invoke`, on payloads of tests/events."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import click

from infra import local, payloads, sam_local, template
from infra import seed as sowing
from infra.console import Failure, say
from infra.payloads import Verdict
from infra.sam_local import NO_REGISTRY, Local
from infra.settings import ROOT, Settings

ALL = "all"


def run(settings: Settings, function: str, event: str, token: str, options: list[str]) -> None:
    """Prints what the function answers, or for `all` a line of each payload. Raises Failure when one fails."""
    if function == ALL:
        _run_all(settings, _tokens(settings, token), options)
        return
    template.service_of(function)
    payload = Path(event) if event else payloads.payload_of(function)
    if not payload.is_file():
        raise Failure(f"There is no file {payload}.", "make invoke FN=BillApi EVENT=<file>; payloads: ls tests/events")
    ready = payloads.ready(payload, _tokens(settings, token))
    prepared = sam_local.prepare(settings, "invoke", [function])
    with prepared.reachable():
        answer = _invoke(prepared, function, ready, options)
    click.echo(answer)
    say(_verdict(answer).text)


def _run_all(settings: Settings, token: Callable[[], str], options: list[str]) -> None:
    found = payloads.all_payloads()
    ready = {payload: payloads.ready(payload, token) for payload in found}
    prepared = sam_local.prepare(settings, "invoke", sorted({payloads.function_of(payload) for payload in found}))
    failed = []
    with prepared.reachable():
        for payload, event in ready.items():
            verdict = _verdict(_invoke(prepared, payloads.function_of(payload), event, options, quiet=True))
            click.echo(f"{payloads.function_of(payload):18}{payload.name:26}{verdict.text}")
            if not verdict.handled:
                failed.append(payload.name)
    if failed:
        raise Failure(f"{len(failed)} of {len(found)} failed: {', '.join(failed)}", "One by itself: make invoke FN=…")


def _invoke(prepared: Local, function: str, event: str, options: list[str], *, quiet: bool = False) -> str:
    """What the function answers; its log goes to the terminal unless `quiet`."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        file.write(event)
        file.flush()
        command = prepared.command("invoke", function, "--event", file.name, *options)
        pipe, log, env = subprocess.PIPE, subprocess.PIPE if quiet else None, prepared.environ
        done = subprocess.run(command, cwd=ROOT, env=env, stdout=pipe, stderr=log, text=True, check=False)
    if done.returncode:
        sys.stderr.write(done.stderr or "")
        raise Failure(f"sam local invoke {function} ended with {done.returncode}: see above.", NO_REGISTRY)
    return done.stdout.strip()


def _verdict(answer: str) -> Verdict:
    try:
        return payloads.verdict(json.loads(answer or "null"))
    except ValueError:
        return Verdict(handled=False, text=answer)


def _tokens(settings: Settings, given: str) -> Callable[[], str]:
    """The token that was given, or one of the demo user, who is made where the platform is this machine's."""

    @cache
    def token() -> str:
        if given:
            return given
        if not settings.emulated:
            raise Failure("The payload needs a user's access token.", "make invoke FN=… TOKEN=…")
        return sowing.demo_user(local.url(settings)).token

    return token
