"""A real Redis-protocol server on a unix socket: unit tests may open those, and no port can be taken."""

import contextlib
import socket
import subprocess
import tempfile
import threading
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
        path = Path(folder, "s")
        options = ["--port", "0", "--unixsocket", str(path), "--save", "", "--appendonly", "no", "--dir", folder]
        with subprocess.Popen([cache_server._program(), *options], stdout=subprocess.DEVNULL) as process:
            try:
                _await(path, process)
                yield f"unix://{path}"
            finally:
                process.kill()


def _await(path: Path, process: "subprocess.Popen[bytes]") -> None:
    give_up = time.monotonic() + 10
    while not _listens(path):
        if process.poll() is not None or time.monotonic() > give_up:
            raise RuntimeError(f"redis-server did not start: exit code {process.poll()}")
        time.sleep(0.01)


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as tried:
        return tried.connect_ex(str(path)) == 0


class Gate:
    """Stands before a server: it may be closed, as if the server was stopped, or pass everything on with a delay."""

    def __init__(self, server: str, path: Path) -> None:
        self._server = server.removeprefix("unix://")
        self._path = path
        self._listener: socket.socket | None = None
        self._open: set[socket.socket] = set()
        self.url = f"unix://{path}"
        self.delay = 0.0
        """Seconds that each answer takes longer."""
        self.open()

    def open(self) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self._path))
        self._listener.listen(64)
        threading.Thread(target=self._accept, args=[self._listener], daemon=True).start()

    def close(self) -> None:
        """Nobody is let in, and whoever was in is thrown out."""
        if self._listener:
            self._path.unlink()
            _shut(self._listener)
            self._listener = None
        for connection in list(self._open):
            _shut(connection)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            server.connect(self._server)
            self._open |= {client, server}
            threading.Thread(target=self._pass_on, args=[client, server, False], daemon=True).start()
            threading.Thread(target=self._pass_on, args=[server, client, True], daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket, slowly: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if slowly and self.delay:
                    time.sleep(self.delay)
                target.sendall(data)
        for connection in (source, target):
            _shut(connection)
            self._open.discard(connection)


@contextmanager
def gate(server: str) -> Iterator[Gate]:
    with tempfile.TemporaryDirectory(prefix="gate") as folder:
        built = Gate(server, Path(folder, "s"))
        try:
            yield built
        finally:
            built.close()


def _shut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
