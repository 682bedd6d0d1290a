"""Where the platform may connect to when somebody else chose the URL (CWE-918, server-side request forgery).

Twice: when a URL is entered (`check_url`), to tell whoever enters it, and when it is called (`checked_addresses`),
because a name may lead elsewhere by then. The caller connects to the addresses that were checked and does not resolve
the name again, so that a name with changing answers (DNS rebinding) is no way around; it follows no redirect and uses
no proxy.

Only https, by a name of the public internet or a public address in its ordinary spelling, at port 443 or from 1024 on:
what lies between belongs to mail, SSH and the like. Host names are ASCII; international ones stand in their xn-- form,
because libraries differ in what they make of other characters. The sandbox's utilities pass by their exact origin.
"""

import ipaddress
import logging
import re
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from functions.common.logs import fields

log = logging.getLogger(__name__)

RESOLVE_SECONDS = 2.0
HTTPS_PORT, FIRST_FREE_PORT, LAST_PORT = 443, 1024, 65_535
MAX_HOST_CHARS = 253

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
# RFC 3986: no user, no fragment, no character that one library would read otherwise than another.
_URL = re.compile(
    r"(?P<scheme>[A-Za-z]+)://(?P<host>\[[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*\]|[A-Za-z0-9.-]+)(:(?P<port>[0-9]{1,5}))?"
    r"(/([A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*)?(\?([A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*)?"
)
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_IPV4 = re.compile(r"(0|[1-9][0-9]{0,2})(\.(0|[1-9][0-9]{0,2})){3}")
# Top-level names that lead inside: RFC 6761, RFC 6762, RFC 8375, ICANN's .internal and what it never delegates.
_PRIVATE_DOMAINS = frozenset(
    {"arpa", "corp", "home", "internal", "intranet", "lan", "local", "localdomain", "localhost", "onion", "private"}
)

# IANA's special-purpose registries, written out: what Python calls global has changed, and includes multicast.
_CLOSED_V4 = [
    ipaddress.IPv4Network(network)
    for network in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
        "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
        "224.0.0.0/3",
        "168.63.129.16/32",  # in each virtual machine of Azure: its host
    )
]  # fmt: skip
_GLOBAL_V6 = ipaddress.IPv6Network("2000::/3")
_CLOSED_V6 = [
    ipaddress.IPv6Network(network)
    # protocol assignments with Teredo, documentation, 6to4, documentation
    for network in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")
]
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")

Resolve = Callable[[str], Sequence[str]]
"""The addresses of a host name as text; none when it has none or nobody can say."""


class Refused(Exception):
    """The platform does not connect there. `code` is for programs, the message says why, without the URL."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Unresolved(OSError):
    """The name has no address at the moment."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a URL leads. `host` is in lower case, an IPv6 address without brackets."""

    scheme: str
    host: str
    port: int
    sandbox: bool = False
    """It is the sandbox: no further check holds for it."""


@dataclass(frozen=True, slots=True)
class Address:
    """What `socket.connect` takes. Literally an address: nothing is resolved any more."""

    family: socket.AddressFamily
    sockaddr: tuple[str, int] | tuple[str, int, int, int]


def check_url(url: str, sandbox_origin: str = "", resolve: Resolve | None = None) -> Target:
    """Raises Refused when the platform would never call `url`. `sandbox_origin`: scheme, host and port; empty: none.

    A name that does not resolve passes with a line in the log: DNS may be down here and now, and it is checked again
    when it is called.
    """
    target = parsed(url, sandbox_origin)
    if not target.sandbox:
        try:
            checked_addresses(target.host, target.port, resolve)
        except Unresolved:
            log.warning("egress_unresolved", extra=fields(host=target.host))
    return target


def checked_addresses(host: str, port: int, resolve: Resolve | None = None) -> list[Address]:
    """Where to connect to for `host`, a name or an address without brackets, in the resolver's order.

    Raises Refused when any of its addresses is not public, Unresolved when it has none. The one host that is exempt,
    the sandbox's, is not to be asked for here.
    """
    _check_host(host)
    literal = _literal(host)
    found = [str(literal)] if literal else (resolve or system_resolve)(host)
    if not found:
        raise Unresolved("The name has no address.")
    addresses = [ipaddress.ip_address(text) for text in found]
    # One private answer spoils all: a name that mixes them is asked again until the private one comes first.
    if not all(is_public(address) for address in addresses):
        raise _not_public()
    return [_address(address, port) for address in addresses]


def parsed(url: str, sandbox_origin: str = "") -> Target:
    """The target of `url` as far as its text tells. Raises Refused."""
    scheme = _SCHEME.match(url)
    matched = _URL.fullmatch(url)
    if matched and sandbox_origin and _origin(url) == sandbox_origin.rstrip("/"):
        return _target(matched, sandbox=True)
    if not scheme or scheme[1].lower() != "https":
        raise Refused("not_https", "It must begin with https://.")
    if "@" in _origin(url):
        raise Refused("user_info", "It may hold no user name and no password.")
    if not matched:
        raise Refused("invalid", "It must be https://host:port/path in ASCII: no fragment, space, backslash or zone.")
    target = _target(matched)
    _check_host(target.host)
    if target.port != HTTPS_PORT and not FIRST_FREE_PORT <= target.port <= LAST_PORT:
        raise Refused("port", f"The port must be {HTTPS_PORT}, or {FIRST_FREE_PORT} to {LAST_PORT}.")
    return target


def is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Whether it is an ordinary address of the public internet. Tunnels and translated ones are none, but for NAT64's
    own prefix, which is how a network without IPv4 sees the rest: there the IPv4 address within counts."""
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in network for network in _CLOSED_V4)
    if address.scope_id:
        return False
    if address in _NAT64:
        return is_public(ipaddress.IPv4Address(address.packed[12:]))
    return address in _GLOBAL_V6 and not any(address in network for network in _CLOSED_V6)


def system_resolve(host: str, seconds: float = RESOLVE_SECONDS) -> Sequence[str]:
    """By the system's resolver, which has no limit in time of its own: after `seconds` the name has no address."""
    found: list[str] = []

    def look_up() -> None:
        try:
            answers = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            return
        found.extend(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in answers))

    waiting = threading.Thread(target=look_up, name="resolve", daemon=True)
    waiting.start()
    waiting.join(seconds)
    return tuple(found)


def _origin(url: str) -> str:
    """`url` up to its path, as it is spelt."""
    scheme, separator, rest = url.partition("://")
    return scheme + separator + re.split(r"[/?#\\]", rest, maxsplit=1)[0]


def _target(matched: re.Match[str], *, sandbox: bool = False) -> Target:
    scheme = matched["scheme"].lower()
    port = int(matched["port"]) if matched["port"] else {"http": 80}.get(scheme, HTTPS_PORT)
    return Target(scheme, matched["host"].lower().strip("[]"), port, sandbox)


def _check_host(host: str) -> None:
    """What the text of `host` tells. Raises Refused."""
    literal = _literal(host)
    if literal and not is_public(literal):
        raise _not_public()
    if literal:
        return
    labels = host.split(".")
    # No top-level domain begins with a digit: this is an address as 127.1, 0x7f.1, 0177.0.0.1 or 2130706433 are.
    if labels[-1][:1].isdigit() or (host.endswith(".") and labels[-2][:1].isdigit()):
        raise Refused("address_spelling", "An address must be four decimal numbers, or an IPv6 address in brackets.")
    if len(host) > MAX_HOST_CHARS or not all(_LABEL.fullmatch(label) for label in labels):
        raise Refused("host", "The host must be a full domain name without a dot at its end, e.g. api.example.com.")
    if len(labels) == 1 or labels[-1] in _PRIVATE_DOMAINS:
        raise _not_public()


def _literal(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address that `host` spells in the ordinary way, if it is one. Raises Refused for none that looks so."""
    try:
        if ":" in host:
            return ipaddress.IPv6Address(host)
        return ipaddress.IPv4Address(host) if _IPV4.fullmatch(host) else None
    except ValueError:
        raise Refused("address_spelling", "It holds an address that is none.") from None


def _address(address: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int) -> Address:
    if isinstance(address, ipaddress.IPv4Address):
        return Address(socket.AF_INET, (str(address), port))
    return Address(socket.AF_INET6, (str(address), port, 0, 0))


def _not_public() -> Refused:
    return Refused("not_public", "It must lead to the public internet, not to a private or internal address.")
