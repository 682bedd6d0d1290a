"""`sam build`, one at a time in a checkout."""

import fcntl
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from infra import run, template
from infra.console import say
from infra.settings import ROOT, Settings

BUILT = ROOT / ".aws-sam" / "build" / "template.yaml"


def sam(*arguments: str) -> list[str]:
    """SAM's command line, by module: its script has an absolute path in it that a moved checkout breaks."""
    return [sys.executable, "-m", "samcli", *arguments]


def sam_environment(settings: Settings) -> dict[str, str]:
    return settings.environment() | {
        "PY": sys.executable,
        "SAM_CLI_TELEMETRY": "0",
        "SAM_CLI_POLL_DELAY": "0.5" if settings.emulated else "5",
        "__SAM_CLI_APP_DIR": str(settings.run_dir / "sam"),
        "PYTHONUNBUFFERED": "1",
    }


def build(settings: Settings) -> None:
    """Builds every function's artefact into .aws-sam/build."""
    (settings.run_dir / "sam").mkdir(parents=True, exist_ok=True)
    title = f"building {len(template.functions())} functions for {settings.target}"
    todo = "The last lines above name the function and the reason. Once mended: make build"
    run.run(
        title, sam("build"), log=settings.run_dir / "log/build.log", cwd=ROOT, env=sam_environment(settings), todo=todo
    )


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Two builds at a time would write the same folder: the second waits."""
    (ROOT / "build").mkdir(exist_ok=True)
    with (ROOT / "build" / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say("  another build runs in this checkout: waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
