"""Background processes that outlive the command: started, found again, and stopped politely.

A process file holds the process id and the time at which that process was created. Process ids are used again by the
system, so a file counts only if a process with both still runs: a stale file is the same as none.
"""

import contextlib
import json
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from infra.console import Failure

TAIL = 20  # lines of the log shown when a process does not come up


@dataclass(frozen=True)
class Daemon:
    name: str
    run_dir: Path

    @property
    def file(self) -> Path:
        return self.run_dir / f"{self.name}.pid"

    @property
    def log(self) -> Path:
        return self.run_dir / "log" / f"{self.name}.log"

    def process(self) -> psutil.Process | None:
        """The running process, or None: never started, ended, or its id now belongs to another process."""
        try:
            known = json.loads(self.file.read_text())
            process = psutil.Process(known["pid"])
            if process.create_time() == known["created"] and process.status() != psutil.STATUS_ZOMBIE:
                return process
        except (OSError, ValueError, KeyError, TypeError, psutil.Error):
            pass
        return None

    def start(self, command: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> None:
        """Starts the program in a session of its own, so that neither Ctrl-C nor a closed terminal ends it."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        cwd.mkdir(parents=True, exist_ok=True)
        with self.log.open("w") as log:
            child = subprocess.Popen(
                command,
                cwd=cwd,
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        created = psutil.Process(child.pid).create_time()
        child.returncode = 0  # it is meant to outlive this command: no warning about a child not waited for
        self.file.write_text(json.dumps({"pid": child.pid, "created": created}))

    def await_ready(self, ready: Callable[[], bool], timeout: float) -> None:
        """Waits until `ready()`. Raises Failure, with the log's end, when the process dies or is not ready in time."""
        until = time.monotonic() + timeout
        while not ready():
            if self.process() is None:
                raise Failure(f"{self.name} ended right after its start.\n{self.tail()}", f"Its whole log: {self.log}")
            if time.monotonic() > until:
                raise Failure(
                    f"{self.name} runs but did not answer within {timeout:.0f} s.\n{self.tail()}",
                    f"Its whole log: {self.log}. Stop it with: make down",
                )
            time.sleep(0.05)

    def tail(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join(f"  | {line}" for line in lines[-TAIL:])

    def stop(self, timeout: float) -> bool:
        """SIGTERM, then waits: the engine writes its state on the way out. True if there was something to stop."""
        process = self.process()
        if process is not None:
            children = process.children(recursive=True)
            process.terminate()
            self._await_end(process.pid, timeout)
            with contextlib.suppress(psutil.Error):
                process.wait(0)  # where it is this process's own child, so that nothing of it stays behind
            for child in children:  # the engine's function workers, where it left any
                with contextlib.suppress(psutil.Error):
                    child.kill()
        self.file.unlink(missing_ok=True)
        return process is not None

    def _await_end(self, pid: int, timeout: float) -> None:
        """Ended also means: ended, but not yet waited for by the process that has started it, which may be busy."""
        until = time.monotonic() + timeout
        while self.process() is not None:
            if time.monotonic() > until:
                raise Failure(
                    f"{self.name} (process {pid}) did not end within {timeout:.0f} s",
                    f"Its log: {self.log}. To end it without saving its state: kill -9 {pid}",
                )
            time.sleep(0.05)


def port_open(port: int, host: str = "127.0.0.1") -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, port)) == 0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def require_free(port: int, purpose: str, other: str) -> None:
    """Raises Failure when something listens on `port`; `other` is the command line that chooses another one."""
    if port_open(port):
        raise Failure(
            f"Port {port}, where {purpose} should listen, is taken{_holder(port)}.",
            f"Stop that process, or choose another port: {other}",
        )


def _holder(port: int) -> str:
    """ " by process 123 (nginx)", as far as the system tells."""
    for process in psutil.process_iter(["pid", "name"]):
        try:
            listening = [c for c in process.net_connections("tcp") if c.status == psutil.CONN_LISTEN]
        except psutil.Error:
            continue
        if any(c.laddr.port == port for c in listening):
            return f" by process {process.info['pid']} ({process.info['name']})"
    return ""
