"""The embedded engine: MiniStack as a background process that keeps its state under the run directory."""

import os
import shutil
import sys
import urllib.error
import urllib.request
from pathlib import Path

from infra.console import step
from infra.process import Daemon, port_open, require_free
from infra.settings import ROOT, Settings

PROCESS = ROOT / "infra/engine_process.py"
START_TIMEOUT, STOP_TIMEOUT = 60.0, 60.0
# what a child may see of this environment: functions inherit the engine's, and must not find our variables there
INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "USER", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")


def daemon(settings: Settings) -> Daemon:
    return Daemon("engine", settings.run_dir)


def start(settings: Settings) -> bool:
    """Starts it unless it runs; False if it did already. Raises Failure when its port is taken."""
    engine = daemon(settings)
    if engine.process() is not None and port_open(settings.engine_port):
        return False
    require_free(settings.engine_port, "the engine", "AWS_ENDPOINT_URL=http://127.0.0.1:4567 on the make command line")
    home = settings.run_dir / "engine"
    shutil.rmtree(home / "tmp", ignore_errors=True)  # it leaves its functions' work folders behind
    (home / "tmp").mkdir(parents=True)
    with step(f"starting the engine on port {settings.engine_port}"):
        engine.start([sys.executable, "-P", str(PROCESS)], cwd=home, env=_environment(settings))
        engine.await_ready(lambda: answers(settings), START_TIMEOUT)
    return True


def stop(settings: Settings) -> bool:
    if daemon(settings).process() is None:
        return daemon(settings).stop(0)
    with step("stopping the engine (it saves its state)"):
        return daemon(settings).stop(STOP_TIMEOUT)


def answers(settings: Settings) -> bool:
    """Whether an emulator answers at the endpoint."""
    return fetch(f"{settings.endpoint}/_localstack/health") is not None


def fetch(url: str, timeout: float = 5) -> bytes | None:
    """The body, or None when nothing answers there with 200. Never through a proxy."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=timeout) as answer:
            body: bytes = answer.read()
            return body
    except (urllib.error.URLError, OSError):
        return None


def rights_notes(settings: Settings) -> Path:
    """Where the engine notes what functions were allowed and refused; who deletes it has it begin anew."""
    return settings.run_dir / "engine" / "rights.jsonl"


def _environment(settings: Settings) -> dict[str, str]:
    home = settings.run_dir / "engine"
    return {name: os.environ[name] for name in INHERITED if name in os.environ} | {
        "GATEWAY_PORT": str(settings.engine_port),
        "BIND_HOST": "127.0.0.1",
        "PERSIST_STATE": "1",
        "STATE_DIR": str(home / "state"),
        "S3_PERSIST": "1",
        "S3_DATA_DIR": str(home / "s3"),
        "TMPDIR": str(home / "tmp"),
        "MINISTACK_REGION": settings.region,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AUTH": "true",  # functions may do what their policies allow; the account's owner, "test", everything
        "RIGHTS_NOTES": str(rights_notes(settings)),
        "LAMBDA_WARM_TTL_SECONDS": "120",  # reaps the processes that a burst has started
        "DOCKER_HOST": "unix:///nonexistent",  # it would look for containers of its own to remove
        "IOT_MTLS_ENABLED": "0",  # a fixed port on every address
        "SFTP_ENABLED": "0",
        "PYTHONUNBUFFERED": "1",
    }
