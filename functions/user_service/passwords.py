"""Passwords: which may be chosen (NIST SP 800-63B section 3.1.1.2), and argon2id (RFC 9106) to keep them.

A password is what its characters are in NFKC, whatever the keyboard sent: so it is counted, compared with the list
and hashed. argon2-cffi and the list are imported on first use.
"""

import unicodedata
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING

from functions.common.errors import FieldError

if TYPE_CHECKING:
    from argon2 import PasswordHasher

SALT_BYTES, HASH_BYTES = 16, 32
MIN_LENGTH, MAX_LENGTH = 8, 128


def password_errors(password: str, *, field: str, email: str, name: str = "") -> Iterator[FieldError]:
    """Why nobody with this e-mail and name may choose this password, if so. Any characters will do, spaces too."""
    prepared = _prepared(password)
    if not MIN_LENGTH <= len(prepared) <= MAX_LENGTH:
        yield FieldError(field, "length", f"A password has {MIN_LENGTH} to {MAX_LENGTH} characters.")
        return
    simple = prepared.casefold()
    own = {_prepared(part).casefold() for part in (email, email.partition("@")[0], name)}
    if simple in own:
        yield FieldError(field, "personal", "This is your e-mail or your name: choose another password.")
    elif simple in _common():
        yield FieldError(
            field, "common", "Many people have this password, and those who guess know it: choose another."
        )


@cache
def _common() -> frozenset[str]:
    from zxcvbn.frequency_lists import FREQUENCY_LISTS

    return frozenset(FREQUENCY_LISTS["passwords"])


@dataclass(frozen=True)
class Argon2id:
    """`memory_kib` in KiB."""

    time_cost: int
    memory_kib: int
    parallelism: int

    def hash(self, password: str) -> str:
        """In the PHC string format, parameters and salt included."""
        return self._hasher.hash(_prepared(password))

    def verify(self, password_hash: str | None, password: str) -> bool:
        """Whether they belong together. None stands for "no such user" and takes as long as a wrong password."""
        from argon2.exceptions import VerificationError

        try:
            return self._hasher.verify(password_hash or self._nobodys, _prepared(password))
        except VerificationError:
            return False

    def outdated(self, password_hash: str) -> bool:
        """Whether it was made with other parameters than the present ones."""
        return self._hasher.check_needs_rehash(password_hash)

    @cached_property
    def _hasher(self) -> "PasswordHasher":
        from argon2 import PasswordHasher

        return PasswordHasher(
            time_cost=self.time_cost,
            memory_cost=self.memory_kib,
            parallelism=self.parallelism,
            hash_len=HASH_BYTES,
            salt_len=SALT_BYTES,
        )

    @property
    def _nobodys(self) -> str:
        """A hash of no password, costing what the others cost: written down, not computed."""
        salt, digest = (b64encode(bytes(size)).decode().rstrip("=") for size in (SALT_BYTES, HASH_BYTES))
        return f"$argon2id$v=19$m={self.memory_kib},t={self.time_cost},p={self.parallelism}${salt}${digest}"


def _prepared(password: str) -> str:
    """The same characters typed on another keyboard are the same password."""
    return unicodedata.normalize("NFKC", password)
