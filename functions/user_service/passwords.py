"""Passwords at rest: argon2id (RFC 9106) through argon2-cffi, which is imported on first use."""

import unicodedata
from base64 import b64encode
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from argon2 import PasswordHasher

SALT_BYTES, HASH_BYTES = 16, 32


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
    """NIST SP 800-63B section 5.1.1.2: the same characters typed on another keyboard are the same password."""
    return unicodedata.normalize("NFKC", password)
