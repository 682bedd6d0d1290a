"""A utility on this machine that answers what a test tells it to, byte by byte."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

Answer = bytes | Callable[[socket.socket], object]
"""What goes back for one request: bytes, or something that writes to the connection itself."""


class Utility:
    def __init__(self, answers: list[Answer], context: ssl.SSLContext | None) -> None:
        self.answers = answers
        self.requests: list[bytes] = []
        self.connections = 0
        self.names: list[str | None] = []
        """Whom each TLS client asked for (SNI)."""
        self._context = context
        if context:
            context.sni_callback = lambda _, name, __: self.names.append(name)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                self.connections += 1
                with suppress(OSError), connection:
                    self._talk(connection)

    def _talk(self, connection: socket.socket) -> None:
        if self._context:
            connection = self._context.wrap_socket(connection, server_side=True)
        with connection:
            while self.answers and (request := _request(connection)):
                self.requests.append(request)
                answer = self.answers.pop(0)
                if callable(answer):
                    answer(connection)
                    return
                connection.sendall(answer)
                if b"connection: close" in answer.lower():
                    return

    def stop(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()


def _request(connection: socket.socket) -> bytes:
    received = b""
    while b"\r\n\r\n" not in received:
        part = connection.recv(65_536)
        if not part:
            return b""
        received += part
    head, _, body = received.partition(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0)
    while len(body) < length:
        body += connection.recv(65_536)
    return head + b"\r\n\r\n" + body


def ok(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@contextmanager
def utility(*answers: Answer, context: ssl.SSLContext | None = None) -> Iterator[Utility]:
    served = Utility(list(answers), context)
    thread = threading.Thread(target=served.serve, daemon=True)
    thread.start()
    try:
        yield served
    finally:
        served.stop()
        thread.join(5)
