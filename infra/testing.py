"""Runs the tests, and the platform that the integration tests need.

Unit and contract tests share nothing, so they run in as many processes as there are processors. Integration tests share
a platform and wait for it within bounds: they run one by one, in a pytest of their own, when nothing else does.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import FrameType

import pytest

from infra import build, deploy, stack, target
from infra.console import Failure, say
from infra.process import free_port
from infra.settings import ROOT, Settings, Target

PARTS = ("unit", "contract", "integration")
COVERED = ("unit", "contract")  # the parts that run the functions' code in pytest's own process
STOP_AT_FIRST = {"-x", "--exitfirst"}
NOTHING_FAILED = {pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED}  # ARGS="-k …" may choose none of a part


def run(settings: Settings, parts: list[str], arguments: list[str]) -> int:
    """pytest's exit code; of two runs the first that is not good. A platform that is up is given the current code and
    used; otherwise one is started."""
    signal.signal(signal.SIGTERM, _terminated)
    covered = [part for part in parts if part in COVERED]
    built = "contract" in covered
    codes = [_covered(settings, covered, arguments)] if covered else []
    if "integration" in parts and (NOTHING_FAILED.issuperset(codes) or not STOP_AT_FIRST.intersection(arguments)):
        with _platform(settings, built=built) as platform:
            env = {**platform.environment(), "BASE_URL": stack.api_url(platform)}
            codes.append(_pytest(["tests/integration", *arguments], env, platform))
    return next((code for code in codes if code not in NOTHING_FAILED), min(codes))


def _covered(settings: Settings, parts: list[str], arguments: list[str]) -> int:
    """In as many processes as may run at once (ARGS=-n0 for one, as a debugger needs it), with the coverage limit when
    nothing is left out."""
    if "contract" in parts:
        with build.one_at_a_time():
            build.build(settings)
    command = [*(f"tests/{part}" for part in parts), "--numprocesses", str(processors()), "--dist", "worksteal"]
    command += ["--cov", "--cov-report=term"] if set(COVERED) <= set(parts) else []
    return _pytest([*command, *arguments], dict(os.environ), settings)


def processors() -> int:
    """Those that this process may use: in a container or under taskset, fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _pytest(arguments: list[str], env: dict[str, str], settings: Settings) -> int:
    settings.run_dir.mkdir(parents=True, exist_ok=True)
    env |= {"RUN_DIR": str(settings.run_dir), "COVERAGE_FILE": str(settings.run_dir / "coverage")}
    return subprocess.run([sys.executable, "-m", "pytest", *arguments], cwd=ROOT, env=env, check=False).returncode


@contextmanager
def _platform(settings: Settings, *, built: bool) -> Iterator[Settings]:
    """A deployed platform that runs the code as it is now, or as it was `built` a moment ago."""
    if target.running(settings):
        say(f"the platform at {settings.endpoint or settings.region} is up: the tests use it, with the current code")
        if settings.emulated:
            target.start(settings)  # LocalStack comes without a cache; make down stops it
        deploy.deploy(settings, built=built)
        yield settings
        return
    if settings.target is not Target.EMBEDDED:
        target.start(settings)  # says how to start it
        raise Failure("The platform is not up.")
    own = _own(settings)
    target.stop(own, quiet=True)  # what a run left behind that was killed
    shutil.rmtree(own.run_dir, ignore_errors=True)
    try:
        target.start(own)
        deploy.deploy(own, built=built)
        yield own
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)  # make passes on a signal that the terminal has sent already
        target.stop(own)


def _own(settings: Settings) -> Settings:
    """A platform beside the developer's: other ports, other folder, nothing in it."""
    return replace(
        settings,
        stage="test",
        endpoint=f"http://127.0.0.1:{free_port()}",
        cache_url=f"redis://127.0.0.1:{free_port()}/0",
        run_dir=settings.run_dir / "test",
    )


def _terminated(_number: int, _frame: FrameType | None) -> None:
    """SIGTERM ends the run as Ctrl-C does: what was started is stopped."""
    raise KeyboardInterrupt
