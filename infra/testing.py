"""Runs the tests in one pytest, and the platform that the integration tests need."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import FrameType

from infra import build, deploy, stack, target
from infra.console import Failure, say
from infra.process import free_port
from infra.settings import ROOT, Settings, Target

PARTS = ("unit", "contract", "integration")
COVERED = ("unit", "contract")  # the parts that run the functions' code in pytest's own process


def run(settings: Settings, parts: list[str], arguments: list[str]) -> int:
    """pytest's exit code. A platform that is up is given the current code and used; otherwise one is started."""
    signal.signal(signal.SIGTERM, _terminated)
    command = [sys.executable, "-m", "pytest", *(f"tests/{part}" for part in parts), *arguments]
    if set(COVERED) <= set(parts):
        command += ["--cov", "--cov-report=term"]
    if "integration" in parts:
        with _platform(settings) as platform:
            return _pytest(command, {**platform.environment(), "BASE_URL": stack.api_url(platform)}, platform)
    if "contract" in parts:
        with build.one_at_a_time():
            build.build(settings)
    return _pytest(command, dict(os.environ), settings)


def _pytest(command: list[str], env: dict[str, str], settings: Settings) -> int:
    settings.run_dir.mkdir(parents=True, exist_ok=True)
    env |= {"RUN_DIR": str(settings.run_dir), "COVERAGE_FILE": str(settings.run_dir / "coverage")}
    return subprocess.run(command, cwd=ROOT, env=env, check=False).returncode


@contextmanager
def _platform(settings: Settings) -> Iterator[Settings]:
    """A deployed platform that runs the code as it is now."""
    if target.running(settings):
        say(f"the platform at {settings.endpoint or settings.region} is up: the tests use it, with the current code")
        if settings.emulated:
            target.start(settings)  # LocalStack comes without a cache; make down stops it
        deploy.deploy(settings)
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
        deploy.deploy(own)
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
