"""Identifiers: a prefix that says what it names, then a ULID (48 bits of milliseconds, 80 bits of randomness).

They sort by time of creation as plain text and stay within `[A-Za-z0-9_]`, so that they are safe in a path on every
engine. Alphabet and layout: https://github.com/ulid/spec
"""

import secrets
import time

CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = [first + second for first in CROCKFORD for second in CROCKFORD]
TIME_CHARS, RANDOM_CHARS = 10, 16


def new_id(prefix: str) -> str:
    """A new identifier, e.g. `new_id("usr")` → `usr_01JD3N8Z6W3V9K4T7Q2M5XBRPC`."""
    return f"{prefix}_{time_part(int(time.time() * 1000))}{random_part(secrets.token_bytes(10))}"


def time_part(milliseconds: int) -> str:
    return _encode(milliseconds, TIME_CHARS)


def random_part(ten_bytes: bytes) -> str:
    """80 bits as 16 characters; the aggregator puts the hash of a bill's natural key here."""
    return _encode(int.from_bytes(ten_bytes[:10], "big"), RANDOM_CHARS)


def is_id(prefix: str, text: str) -> bool:
    """Whether `text` has the form of such an identifier; saves a look-up for what cannot exist."""
    head, _, tail = text.partition("_")
    return head == prefix and len(tail) == TIME_CHARS + RANDOM_CHARS and all(c in CROCKFORD for c in tail)


def _encode(number: int, width: int) -> str:
    """`width` is even."""
    return "".join([_PAIRS[(number >> shift) & 1023] for shift in range(5 * width - 10, -1, -10)])
