"""Lets containers on Docker's bridge reach servers that listen on this machine's loopback only.

Docker Desktop does that by itself, for the name host.docker.internal; on Linux that name means the bridge's own
address, where nothing of ours listens. For the time of a block, this does.
"""

import contextlib
import socket
import subprocess
import threading
from collections.abc import Iterator

HOST = "host.docker.internal"
CHUNK = 65536


@contextlib.contextmanager
def reachable_from_bridge(*ports: int) -> Iterator[None]:
    """While the block runs, HOST:port in a container is 127.0.0.1:port here."""
    servers = [server for port in ports if (server := _listen(_bridge_address(), port))]
    for server in servers:
        threading.Thread(target=_serve, args=(server,), daemon=True).start()
    try:
        yield
    finally:
        for server in servers:
            server.close()


def _bridge_address() -> str:
    question = ["docker", "network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Gateway}}"]
    return subprocess.run(question, capture_output=True, text=True, check=False).stdout.strip() or "172.17.0.1"


def _listen(address: str, port: int) -> socket.socket | None:
    """None where the bridge is not an interface of this machine, as with Docker Desktop."""
    try:
        return socket.create_server((address, port))
    except OSError:
        return None


def _serve(server: socket.socket) -> None:
    port = server.getsockname()[1]
    with contextlib.suppress(OSError):  # closed: the block has ended
        while True:
            near, _ = server.accept()
            try:
                far = socket.create_connection(("127.0.0.1", port))
            except OSError:
                near.close()
                continue
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=_pump, args=(source, sink), daemon=True).start()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(CHUNK):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
