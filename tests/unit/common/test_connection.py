"""Connections to where somebody else chose the URL: to the checked address, in time, by the name's certificate."""

import socket
import ssl
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from functions.common import connection
from functions.common.connection import CheckedConnection
from functions.common.egress import Address, Refused, Target, Unresolved
from tests.support.utility import Utility, ok, utility

NAME = "power.example"

pytestmark = pytest.mark.usefixtures("socket_enabled")


def within(seconds: float) -> Callable[[], float]:
    ends = time.monotonic() + seconds

    def left() -> float:
        if (remaining := ends - time.monotonic()) <= 0:
            raise TimeoutError
        return remaining

    return left


def to_sandbox(served: Utility, seconds: float = 5.0) -> CheckedConnection:
    return CheckedConnection(Target("http", "127.0.0.1", served.port, sandbox=True), within(seconds))


def test_requests_share_a_connection() -> None:
    with utility(ok(b"one"), ok(b"two")) as served, closing(to_sandbox(served)) as opened:
        for expected in (b"one", b"two"):
            opened.request("GET", "/x")
            assert opened.getresponse().read() == expected

    assert served.connections == 1


@pytest.mark.parametrize("start", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"])
def test_one_that_drips_has_no_more_time_than_one_that_is_silent(start: bytes) -> None:
    def drip(sock: socket.socket) -> None:
        sock.sendall(start)
        for _ in range(100):
            time.sleep(0.05)
            sock.sendall(b"a")

    began = time.monotonic()
    with utility(drip) as served, closing(to_sandbox(served, 0.4)) as opened:
        opened.request("GET", "/x")
        with pytest.raises(TimeoutError):
            opened.getresponse().read()

    assert time.monotonic() - began < 2


@pytest.mark.parametrize("answers", [["127.0.0.1"], ["93.184.216.34", "10.0.0.8"]])
def test_a_name_that_leads_inside_is_not_connected_to(answers: list[str]) -> None:
    with utility(ok(b"inside")) as inside:
        opened = CheckedConnection(Target("https", NAME, inside.port), within(5), lambda _: answers)
        with pytest.raises(Refused):
            opened.connect()

    assert inside.connections == 0


def test_a_name_without_an_address() -> None:
    with pytest.raises(Unresolved):
        CheckedConnection(Target("https", NAME, 443), within(5), lambda _: []).connect()


def test_the_connection_goes_to_what_was_checked_and_asks_no_resolver_again(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[Address] = []

    def nobody_there(address: Address, _: float) -> socket.socket:
        tried.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(connection, "_socket_to", nobody_there)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: pytest.fail("resolved again"))
    asked: list[str] = []

    def resolve(host: str) -> list[str]:
        asked.append(host)
        return ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946"]

    with pytest.raises(ConnectionRefusedError):
        CheckedConnection(Target("https", NAME, 8443), within(5), resolve).connect()

    assert asked == [NAME]
    assert [address.sockaddr for address in tried] == [
        ("93.184.216.34", 8443),
        ("2606:2800:220:1:248:1893:25c8:1946", 8443, 0, 0),
    ]


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """One for `name` that signs itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    cert, pem = folder / "cert.pem", folder / "key.pem"
    cert.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    pem.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return cert, pem


class TestTls:
    """The name's checked address is the loopback here; certificate and SNI go by the name."""

    @pytest.fixture(autouse=True)
    def checked(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(
            connection, "checked_addresses", lambda _, port, __: [Address(socket.AF_INET, ("127.0.0.1", port))]
        )

    def ask(
        self, monkeypatch: pytest.MonkeyPatch, folder: Path, name: str, *, trusted: bool = True
    ) -> tuple[Utility, bytes]:
        cert, key = certificate(folder, name)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        if trusted:
            trusting = ssl.create_default_context(cafile=str(cert))
            monkeypatch.setattr(connection, "tls", lambda: trusting)
        with (
            utility(ok(b"sealed"), context=context) as served,
            closing(CheckedConnection(Target("https", NAME, served.port), within(5))) as opened,
        ):
            opened.request("GET", "/x")
            return served, opened.getresponse().read()

    def test_the_name_is_asked_for_and_verified(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        served, answer = self.ask(monkeypatch, tmp_path, NAME)

        assert answer == b"sealed"
        assert served.names == [NAME]
        assert f"Host: {NAME}:{served.port}\r\n".encode() in served.requests[0]

    def test_the_certificate_of_another_is_refused(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        with pytest.raises(ssl.SSLCertVerificationError):
            self.ask(monkeypatch, tmp_path, "gas.example")

    def test_one_that_nobody_vouches_for_is_refused(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        with pytest.raises(ssl.SSLCertVerificationError):
            self.ask(monkeypatch, tmp_path, NAME, trusted=False)

    def test_whom_the_system_trusts(self) -> None:
        context = connection.tls()

        assert context.check_hostname
        assert context.verify_mode is ssl.CERT_REQUIRED
