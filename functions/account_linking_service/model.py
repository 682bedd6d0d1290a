"""What a linked account is, what moves it from state to state, and when it is due again."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import NewType

UserId = NewType("UserId", str)
LinkId = NewType("LinkId", str)
ProviderId = NewType("ProviderId", str)
AccountHash = NewType("AccountHash", str)

PROVIDER_ID = re.compile(r"prv_[a-z0-9_]{1,60}")
CLEAR_CHARS = 4
FIRST_REFRESH_GRACE = timedelta(minutes=2)
"""The first refresh is asked for by `account.linked.v1`; if that gets lost, the sweep finds the link after this."""
TOMBSTONE_LIFETIME = timedelta(days=90)
ACTION_REQUIRED_INTERVAL = timedelta(hours=24)
"""Trying a refused login again soon would lock the household out of its account."""
BACK_OFF_BASE = timedelta(seconds=60)
BACK_OFF_LIMIT = timedelta(hours=6)


class LinkState(StrEnum):
    PENDING = "PENDING"
    CONNECTING = "CONNECTING"
    ACTIVE = "ACTIVE"
    STALE = "STALE"
    ACTION_REQUIRED = "ACTION_REQUIRED"
    REVOKED = "REVOKED"


class LinkEvent(StrEnum):
    """What may happen to a link; the first three are how an attempt to read its bills ended."""

    SUCCEEDED = "succeeded"
    REFUSED = "refused"
    FAILED = "failed"
    UNLINKED = "unlinked"


_S, _E = LinkState, LinkEvent
TRANSITIONS: Mapping[tuple[LinkState, LinkEvent], LinkState] = MappingProxyType(
    {
        (_S.PENDING, _E.SUCCEEDED): _S.ACTIVE,
        (_S.PENDING, _E.REFUSED): _S.ACTION_REQUIRED,
        (_S.PENDING, _E.FAILED): _S.PENDING,
        (_S.PENDING, _E.UNLINKED): _S.REVOKED,
        (_S.CONNECTING, _E.SUCCEEDED): _S.ACTIVE,
        (_S.CONNECTING, _E.REFUSED): _S.ACTION_REQUIRED,
        (_S.CONNECTING, _E.FAILED): _S.CONNECTING,
        (_S.CONNECTING, _E.UNLINKED): _S.REVOKED,
        (_S.ACTIVE, _E.SUCCEEDED): _S.ACTIVE,
        (_S.ACTIVE, _E.REFUSED): _S.ACTION_REQUIRED,
        (_S.ACTIVE, _E.FAILED): _S.STALE,
        (_S.ACTIVE, _E.UNLINKED): _S.REVOKED,
        (_S.STALE, _E.SUCCEEDED): _S.ACTIVE,
        (_S.STALE, _E.REFUSED): _S.ACTION_REQUIRED,
        (_S.STALE, _E.FAILED): _S.STALE,
        (_S.STALE, _E.UNLINKED): _S.REVOKED,
        (_S.ACTION_REQUIRED, _E.SUCCEEDED): _S.ACTIVE,
        (_S.ACTION_REQUIRED, _E.REFUSED): _S.ACTION_REQUIRED,
        # The utility being down says nothing new: the user still has to act.
        (_S.ACTION_REQUIRED, _E.FAILED): _S.ACTION_REQUIRED,
        (_S.ACTION_REQUIRED, _E.UNLINKED): _S.REVOKED,
    }
)


class NoTransition(Exception):
    """The state machine knows no such move; a revoked link never moves again."""


class LinkChanged(Exception):
    """Somebody else wrote the link since it was read."""


class AlreadyLinked(Exception):
    """The user has linked this very account before."""

    def __init__(self, link_id: LinkId) -> None:
        super().__init__(link_id)
        self.link_id = link_id


class UserGone(Exception):
    """The user was deleted: nothing of theirs is written any more."""


class Unreadable(Exception):
    """The key or the cipher text is not what was once sealed for this link."""


def next_state(state: LinkState, event: LinkEvent) -> LinkState:
    try:
        return TRANSITIONS[state, event]
    except KeyError as error:
        raise NoTransition(f"{state} does not know {event}") from error


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt to read a link's bills ended. `attempted_at`: when the fetch began; orders a link's outcomes."""

    event: LinkEvent
    attempted_at: datetime
    code: str = ""
    bill_count: int = 0


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a link is due again. Jitter spreads links that were linked, or failed, in the same moment."""

    interval: timedelta
    random: Callable[[], float]
    """A number from 0 to 1."""

    def next_refresh(self, state: LinkState, failures: int, now: datetime) -> datetime:
        if state is LinkState.ACTION_REQUIRED:
            return now + ACTION_REQUIRED_INTERVAL * (1 + 0.1 * self.random())
        if failures == 0:
            return now + self.interval * (0.9 + 0.2 * self.random())
        back_off = min(BACK_OFF_BASE * (1 << min(failures, 16)), BACK_OFF_LIMIT)
        return now + back_off * (0.5 + 0.5 * self.random())


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A user's account at a utility, without its secrets. `version` grows with each change and orders copies."""

    link_id: LinkId
    user_id: UserId
    provider_id: ProviderId
    account_identifier: str
    """Masked."""
    account_hash: AccountHash
    nickname: str | None
    state: LinkState = LinkState.PENDING
    status_detail: str = ""
    last_success_at: datetime | None = None
    last_attempt_at: datetime | None = None
    next_refresh_at: datetime
    consecutive_failures: int = 0
    bill_count: int = 0
    created_at: datetime
    updated_at: datetime
    version: int = 1

    @property
    def customer_action_required(self) -> bool:
        return self.state is LinkState.ACTION_REQUIRED

    def supersedes(self, outcome: Outcome) -> bool:
        """Whether an attempt that began at the same time or later is known already."""
        return self.last_attempt_at is not None and outcome.attempted_at <= self.last_attempt_at

    def after(self, outcome: Outcome, schedule: Schedule, now: datetime) -> "Link":
        state = next_state(self.state, outcome.event)
        succeeded = outcome.event is LinkEvent.SUCCEEDED
        keeps_detail = outcome.event is LinkEvent.FAILED and state is LinkState.ACTION_REQUIRED
        failures = 0 if succeeded else self.consecutive_failures + 1
        return replace(
            self,
            state=state,
            status_detail="" if succeeded else self.status_detail if keeps_detail else outcome.code,
            last_success_at=outcome.attempted_at if succeeded else self.last_success_at,
            last_attempt_at=outcome.attempted_at,
            next_refresh_at=schedule.next_refresh(state, failures, now),
            consecutive_failures=failures,
            bill_count=outcome.bill_count if succeeded else self.bill_count,
            updated_at=now,
            version=self.version + 1,
        )

    def revoked(self, now: datetime) -> "Link":
        state = next_state(self.state, LinkEvent.UNLINKED)
        return replace(self, state=state, status_detail="", updated_at=now, version=self.version + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldLink:
    """What is kept of a link, for its user to see; of an unlinked one little is left. Instants as RFC 3339 text."""

    link_id: LinkId
    provider_id: ProviderId
    account_identifier: str | None
    """Masked."""
    nickname: str | None
    state: str
    status_detail: str | None
    last_success_at: str | None
    last_attempt_at: str | None
    next_refresh_at: str | None
    consecutive_failures: int
    bill_count: int
    created_at: str
    updated_at: str
    version: int


@dataclass(frozen=True, slots=True)
class Secrets:
    """What the user gave to link an account. Never shown, not even in a traceback."""

    params: Mapping[str, str] = field(repr=False)
    username: str = field(repr=False)
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Sealed:
    """Secrets under envelope encryption: the data key, wrapped, and what it encrypts."""

    wrapped_key: bytes
    ciphertext: bytes


@dataclass(frozen=True, slots=True)
class SealedLink:
    link_id: LinkId
    provider_id: ProviderId
    sealed: Sealed


@dataclass(frozen=True, slots=True)
class OpenedLink:
    link_id: LinkId
    provider_id: ProviderId
    secrets: Secrets


def mask(identifier: str) -> str:
    """The last characters clear, at most four and at most half; the mask does not tell the length."""
    clear = min(CLEAR_CHARS, len(identifier) // 2)
    return "****" + identifier[len(identifier) - clear :]


def normalised(identifier: str) -> str:
    """The same account however it was spaced."""
    return "".join(identifier.split()).upper()
