"""Connections to where somebody else chose the URL: only where `common.egress` lets them, and over in time, to the last
byte of a header.

The name is resolved once, its addresses are checked, and the connection goes to one of those: what the name leads to a
moment later is of no interest. TLS is verified by the name all the same.
"""

import http.client
import io
import socket
import ssl
from collections.abc import Callable
from functools import cache, partial
from typing import Any, cast

from functions.common.egress import Address, Resolve, Target, checked_addresses

Left = Callable[[], float]
"""Seconds until a call must be over. Raises TimeoutError when none are left."""


class CheckedConnection(http.client.HTTPConnection):
    """HTTP/1.1 with one host, over TLS unless the target is the sandbox's. `connect` raises egress.Refused when the
    name leads to where the platform does not connect, OSError when nobody answers."""

    def __init__(self, target: Target, left: Left, resolve: Resolve | None = None) -> None:
        super().__init__(target.host, target.port)
        self._target = target
        self._left = left
        self._resolve = resolve
        # http.client makes the answer of the bare socket: this way each read of it has what time is left.
        self.response_class = cast("type[http.client.HTTPResponse]", partial(_answer, left=left))
        if target.scheme == "https":
            self.default_port = http.client.HTTPS_PORT

    def connect(self) -> None:
        connected = self._connected()
        try:
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._target.scheme == "https":
                connected.settimeout(self._left())
                connected = tls().wrap_socket(connected, server_hostname=self._target.host)
        except OSError:
            connected.close()
            raise
        self.sock = connected

    def send(self, data: object) -> None:
        if self.sock is None:
            self.connect()
        self.sock.settimeout(self._left())
        super().send(data)  # type: ignore[arg-type]  # as the base class takes it

    def _connected(self) -> socket.socket:
        """To the first address that answers."""
        if self._target.sandbox:
            return socket.create_connection((self._target.host, self._target.port), self._left())
        failure: OSError | None = None
        for address in checked_addresses(self._target.host, self._target.port, self._resolve):
            try:
                return _socket_to(address, self._left())
            except OSError as error:
                failure = error
        raise failure or OSError("no address")


def _socket_to(address: Address, seconds: float) -> socket.socket:
    opened = socket.socket(address.family, socket.SOCK_STREAM)
    opened.settimeout(seconds)
    try:
        opened.connect(address.sockaddr)
    except OSError:
        opened.close()
        raise
    return opened


@cache
def tls() -> ssl.SSLContext:
    """Trusts whom the system trusts: Lambda's runtime brings a list of authorities, as every system does."""
    return ssl.create_default_context()


class _Reads(io.RawIOBase):
    """Reads of a socket, each of which may take what time is left: whoever drips does not get more."""

    def __init__(self, sock: socket.socket, left: Left) -> None:
        self._sock = sock
        self._raw = sock.makefile("rb", buffering=0)
        self._left = left

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int | None:
        self._sock.settimeout(self._left())
        return self._raw.readinto(buffer)  # type: ignore[arg-type]  # a buffer, as the base class gets it

    def close(self) -> None:
        self._raw.close()
        super().close()


class _TimedSocket:
    """As much of a socket as HTTPResponse asks for."""

    def __init__(self, sock: socket.socket, left: Left) -> None:
        self._sock = sock
        self._left = left

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Reads(self._sock, self._left))


def _answer(sock: socket.socket, *, left: Left, **options: Any) -> http.client.HTTPResponse:  # Any: HTTPResponse's own
    return http.client.HTTPResponse(cast("socket.socket", _TimedSocket(sock, left)), **options)
