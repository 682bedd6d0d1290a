"""A real Redis-protocol server on a unix socket: unit tests may open those, and no port can be taken."""

import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra import cache_server


@contextmanager
def redis_server() -> Iterator[str]:
    """The URL of a server of one's own, for as long as the block runs."""
    # a folder of its own and not tmp_path: a socket's path may have 107 bytes
    with tempfile.TemporaryDirectory(prefix="redis") as folder:
        socket = Path(folder, "s")
        options = ["--port", "0", "--unixsocket", str(socket), "--save", "", "--appendonly", "no", "--dir", folder]
        with subprocess.Popen([cache_server._program(), *options], stdout=subprocess.DEVNULL) as process:
            try:
                _await(socket, process)
                yield f"unix://{socket}"
            finally:
                process.kill()


def _await(socket: Path, process: "subprocess.Popen[bytes]") -> None:
    give_up = time.monotonic() + 10
    while not socket.exists():
        if process.poll() is not None or time.monotonic() > give_up:
            raise RuntimeError(f"redis-server did not start: exit code {process.poll()}")
        time.sleep(0.01)
