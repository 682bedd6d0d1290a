"""Where the platform may connect to when somebody else chose the URL."""

import ipaddress
import socket
import threading
import time
from collections.abc import Sequence

import pytest

from functions.common import egress
from functions.common.egress import (
    Address,
    Refused,
    Target,
    Unresolved,
    check_url,
    checked_addresses,
    is_public,
    parsed,
)
from tests.support.ssrf import REFUSED

PUBLIC_V4, PUBLIC_V6 = "93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"
SANDBOX = "http://localhost:4566"


def answers(*addresses: str) -> egress.Resolve:
    return lambda host: addresses


def never(host: str) -> Sequence[str]:
    raise AssertionError(f"{host} was resolved")


@pytest.mark.parametrize(("url", "code"), REFUSED.items())
def test_what_leads_elsewhere_is_refused_by_its_text_alone(url: str, code: str) -> None:
    with pytest.raises(Refused) as refused:
        check_url(url, resolve=never)
    assert refused.value.code == code
    assert refused.value.message.endswith(".")


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://example.com", Target("https", "example.com", 443)),
        ("HTTPS://API.Example.com:8443/v1/bills", Target("https", "api.example.com", 8443)),
        ("https://example.com:443/", Target("https", "example.com", 443)),
        ("https://example.com:1024/hook?key=a%20b&x=@y", Target("https", "example.com", 1024)),
        ("https://xn--bcher-kva.example/~feed;v=1", Target("https", "xn--bcher-kva.example", 443)),
        ("https://8.8.8.8/x", Target("https", "8.8.8.8", 443)),
        ("https://[2606:4700:4700::1111]:8443/", Target("https", "2606:4700:4700::1111", 8443)),
        ("https://3com.com/user@example.com", Target("https", "3com.com", 443)),
    ],
)
def test_public_https_passes(url: str, target: Target) -> None:
    assert check_url(url, resolve=answers(PUBLIC_V4)) == target


@pytest.mark.parametrize(
    "addresses",
    [
        ("127.0.0.1",),
        ("169.254.169.254",),
        ("::1",),
        ("::ffff:10.0.0.1",),
        ("64:ff9b::a00:1",),
        ("fe80::1%eth0",),
        (PUBLIC_V4, "10.0.0.1"),
        ("10.0.0.1", PUBLIC_V4),
        (PUBLIC_V4, PUBLIC_V6, "::1"),
    ],
)
def test_a_name_that_leads_inside_is_refused(addresses: tuple[str, ...]) -> None:
    """One private address among public ones suffices, wherever it stands."""
    with pytest.raises(Refused) as refused:
        check_url("https://rebind.example.com/", resolve=answers(*addresses))
    assert refused.value.code == "not_public"
    with pytest.raises(Refused):
        checked_addresses("rebind.example.com", 443, answers(*addresses))


def test_a_name_that_does_not_resolve_passes_now_and_is_told(caplog: pytest.LogCaptureFixture) -> None:
    assert check_url("https://new.example.com/x", resolve=answers()).host == "new.example.com"
    assert [(record.message, vars(record)["fields"]) for record in caplog.records] == [
        ("egress_unresolved", {"host": "new.example.com"})
    ]
    with pytest.raises(Unresolved):
        checked_addresses("new.example.com", 443, answers())


def test_the_connection_goes_to_the_addresses_that_were_checked() -> None:
    assert checked_addresses("example.com", 8443, answers(PUBLIC_V6, PUBLIC_V4)) == [
        Address(socket.AF_INET6, (PUBLIC_V6, 8443, 0, 0)),
        Address(socket.AF_INET, (PUBLIC_V4, 8443)),
    ]


def test_a_literal_is_checked_without_a_resolver() -> None:
    assert checked_addresses("8.8.8.8", 443, never) == [Address(socket.AF_INET, ("8.8.8.8", 443))]
    for literal in ("127.0.0.1", "::1", "fe80::1%eth0"):
        with pytest.raises(Refused):
            checked_addresses(literal, 443, never)


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f.1", "localhost", "db.internal", "example.com."])
def test_connecting_is_as_strict_with_names_as_entering_is(host: str) -> None:
    with pytest.raises(Refused):
        checked_addresses(host, 443, never)


def test_the_sandbox_passes_by_its_exact_origin() -> None:
    target = Target("http", "localhost", 4566, sandbox=True)
    for url in (SANDBOX, f"{SANDBOX}/", f"{SANDBOX}/restapis/x/v1/_user_request_/mock/gas", f"{SANDBOX}?a=1"):
        assert check_url(url, SANDBOX, never) == target
    assert check_url(SANDBOX, f"{SANDBOX}/", never) == target
    assert parsed("http://sandbox", "http://sandbox").port == 80


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:45660/x", "http://localhost/x", "https://localhost:4566/x", "http://localhost:4566.x/",
        "http://localhost:4566@evil.example.com/", "http://LOCALHOST:4566/", "http://127.0.0.1:4566/",
        "http://localhost:4566/\\x", "http://localhost:4566/#x", "http://x@localhost:4566/",
    ],
)  # fmt: skip
def test_what_is_near_the_sandbox_does_not_pass(url: str) -> None:
    with pytest.raises(Refused):
        check_url(url, SANDBOX, never)
    with pytest.raises(Refused):
        check_url(SANDBOX, resolve=never)


def test_no_message_repeats_the_url() -> None:
    with pytest.raises(Refused) as refused:
        check_url("https://user:hunter2@example.com/hunter2")
    assert "hunter2" not in refused.value.message + str(refused.value)


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True), ("9.255.255.255", True), ("11.0.0.0", True), ("172.15.255.255", True), ("172.32.0.0", True),
        ("192.0.1.0", True), ("223.255.255.255", True), ("224.0.0.0", False), ("239.1.2.3", False),
        ("240.0.0.1", False), ("192.88.99.1", False), ("100.127.255.255", False), ("100.128.0.0", True),
        ("2a00:1450::1", True), ("2001:200::1", True), ("2001:1ff::1", False), ("2001:db8::1", False),
        ("3fff::1", False), ("4000::1", False), ("fec0::1", False), ("100::1", False),
        ("64:ff9b::8.8.8.8", True), ("64:ff9b::192.168.0.1", False), ("64:ff9b::1:8.8.8.8", False),
        ("2606:4700::1%eth0", False),
    ],
)  # fmt: skip
def test_public_addresses(address: str, public: bool) -> None:
    assert is_public(ipaddress.ip_address(address)) is public


def test_the_system_answers_each_address_once(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [
        (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (PUBLIC_V6, 0, 0, 0)),
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", (PUBLIC_V4, 0)),
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", (PUBLIC_V4, 0)),
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: found)
    assert egress.system_resolve("example.com") == (PUBLIC_V6, PUBLIC_V4)


@pytest.mark.parametrize("error", [socket.gaierror(-2, "Name or service not known"), UnicodeError("label too long")])
def test_a_resolver_that_fails_answers_nothing(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise error

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    assert egress.system_resolve("example.com") == ()


def test_a_resolver_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()

    def hang(*args: object, **kwargs: object) -> list[object]:
        over.wait(10)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    started = time.monotonic()
    assert egress.system_resolve("example.com", seconds=0.02) == ()
    assert time.monotonic() - started < 5
    over.set()
