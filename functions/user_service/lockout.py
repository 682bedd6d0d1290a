"""Slows down whoever guesses passwords (NIST SP 800-63B section 3.2.2, OWASP ASVS 6.3.1).

Three counts, of hashes only, each with an end of its own:

- of an account from addresses that it has never been used from: after some failures nobody gets a try from such an
  address for a second, then two, four and so on;
- of an account from one address that it is known to be used from: apart from the others, so that whoever guesses from
  elsewhere, for however long, does not lock the household out of its own home. From a new place, a password reset lets
  the household in: it makes that address a known one;
- of an address, whatever account: for lists of stolen passwords. Forgotten after a while, and not by a success, which
  anybody with an account has at will.

Accounts that do not exist are counted like those that do. A try of an account is counted before the password is looked
at, in a conditional write, so that a thousand tries at once are not more than one after the other. What is tried while
locked is not looked at and makes the lock no longer.
"""

import hashlib
import ipaddress
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import NewType, Protocol

from functions.common.clock import Clock
from functions.common.errors import RateLimited
from functions.common.logs import fields

log = logging.getLogger(__name__)

AccountKey = NewType("AccountKey", str)
AddressKey = NewType("AddressKey", str)
IPV6_HOUSEHOLD_BITS = 64
TRIES_TO_COUNT = 5
MOST_DOUBLINGS = 30
KNOWN_FOR = timedelta(days=90)
"""An address where the user has not logged in for that long is a strange one again."""


@dataclass(frozen=True, slots=True)
class Count:
    """Failures since the last success, or since there was anything to count. `known`: made for a known address."""

    failures: int = 0
    locked_until: datetime | None = None
    expires_at: datetime | None = None
    known: bool = False


@dataclass(frozen=True, slots=True)
class Pace:
    """`failures` are free; each further one locks for twice as long as the one before, from `first` to `longest`."""

    failures: int
    first: timedelta
    longest: timedelta
    window: timedelta
    """How long a failure is remembered; longer than the longest lock."""

    def lock(self, failures: int, now: datetime) -> datetime | None:
        if failures < self.failures:
            return None
        doublings = min(failures - self.failures, MOST_DOUBLINGS)
        return now + min(self.first * (1 << doublings), self.longest)


@dataclass(frozen=True, slots=True)
class Place:
    """What is counted: an account as seen from an address, an account as seen from all strange ones, or an address."""

    account: AccountKey | None
    address: AddressKey | None


class CountStore(Protocol):
    def read(self, places: Sequence[Place]) -> Sequence[Count]:
        """In the order of `places`, all at once; an empty count where there is none."""
        ...

    def write(self, place: Place, seen: Count, count: Count) -> bool:
        """False, and nothing is written, when the count is no longer as `seen`."""
        ...

    def add_failure(self, place: Place, expires_at: datetime) -> int:
        """One more; answers how many there are."""
        ...

    def lock(self, place: Place, until: datetime) -> None: ...
    def delete(self, place: Place) -> None: ...
    def delete_account(self, account: AccountKey) -> int:
        """Everything counted of it; answers how many items that were."""
        ...


@dataclass(frozen=True, slots=True)
class Attempt:
    """A try that may go on; it counts as failed until it has succeeded."""

    account: AccountKey
    address: AddressKey
    here: Count
    """What is counted of the account at this address."""
    strange: bool
    """Whether the try was counted among those from strange addresses."""
    locks: bool
    """Whether the account has to wait after it, should it fail."""


@dataclass(frozen=True, slots=True)
class Lockout:
    store: CountStore
    clock: Clock
    account_pace: Pace
    address_pace: Pace

    def admit(self, email: str, address: str) -> Attempt:
        """Lets a try go on and counts it. Raises RateLimited, with Retry-After, when it may not be made now.

        The same for an e-mail that nobody has, or that is none.
        """
        account, origin = account_key(email), address_key(address)
        places = (Place(account, origin), Place(account, None), Place(None, origin))
        for _ in range(TRIES_TO_COUNT):
            now = self.clock.now()
            stored = self.store.read(places)
            here, strangers, whole_address = (_alive(count, now) for count in stored)
            place, seen, count = (places[0], stored[0], here) if here.known else (places[1], stored[1], strangers)
            until = max((c.locked_until for c in (count, whole_address) if c.locked_until), default=now)
            if until > now:
                log.info("login_locked", extra=fields(known_address=here.known))
                raise _locked(until - now)
            counted = self._one_more(count, now)
            if self.store.write(place, seen, counted):
                kept, locks = counted if here.known else stored[0], counted.locked_until is not None
                return Attempt(account, origin, kept, strange=not here.known, locks=locks)
        raise _locked(timedelta(seconds=1))  # so many at once are no household

    def failed(self, attempt: Attempt) -> None:
        """Counts it for the address too; for the account that is done."""
        now = self.clock.now()
        place = Place(None, attempt.address)
        failures = self.store.add_failure(place, now + self.address_pace.window)
        until = self.address_pace.lock(failures, now)
        if until:
            self.store.lock(place, until)

    def succeeded(self, attempt: Attempt) -> None:
        """Forgets the account's failures, and makes the address one that the account is known at."""
        if attempt.strange:
            self.store.delete(Place(attempt.account, None))
        self._make_known(Place(attempt.account, attempt.address), attempt.here)

    def reset(self, email: str, address: str) -> None:
        """After a password reset: no lock is left, and the user is known here."""
        account = account_key(email)
        self.store.delete_account(account)
        self._make_known(Place(account, address_key(address)), Count())

    def _make_known(self, place: Place, seen: Count) -> None:
        known = Count(expires_at=self.clock.now() + KNOWN_FOR, known=True)
        self.store.write(place, seen, known)  # unless there was another try meanwhile, which then has the last word

    def _one_more(self, count: Count, now: datetime) -> Count:
        failures = count.failures + 1
        remembered = KNOWN_FOR if count.known else self.account_pace.window
        return replace(
            count,
            failures=failures,
            locked_until=self.account_pace.lock(failures, now),
            expires_at=now + remembered,
        )


def account_key(email: str) -> AccountKey:
    return AccountKey(_digest(email))


def address_key(address: str) -> AddressKey:
    """Of an IPv6 address, the part that a household or a server has: it can choose the rest anew for every try."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return AddressKey(_digest(address))
    if parsed.version == 6:
        return AddressKey(_digest(str(ipaddress.ip_network((parsed, IPV6_HOUSEHOLD_BITS), strict=False))))
    return AddressKey(_digest(str(parsed)))


def _alive(count: Count, now: datetime) -> Count:
    """Time-to-live deletes late: what has ended counts nothing."""
    return count if count.expires_at and count.expires_at > now else Count()


def _locked(wait: timedelta) -> RateLimited:
    seconds = max(1, -int(-wait.total_seconds() // 1))
    return RateLimited("Too many failed tries; see Retry-After.", code="locked", retry_after=seconds)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:40]
