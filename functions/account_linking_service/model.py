"""What a linked account is, what changes it, and when it is due again. Its life cycle stands in `states.py`."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NewType

from functions.account_linking_service.states import CUSTOMER_ACTS, USER_EVENTS, LinkEvent, LinkState, next_state

UserId = NewType("UserId", str)
LinkId = NewType("LinkId", str)
ProviderId = NewType("ProviderId", str)
AccountHash = NewType("AccountHash", str)

PROVIDER_ID = re.compile(r"prv_[a-z0-9_]{1,60}")
CLEAR_CHARS = 4
FIRST_REFRESH_GRACE = timedelta(minutes=2)
"""A refresh is asked for by an event when a link is made or repaired; if that gets lost, the sweep finds the link after
this."""
TOMBSTONE_LIFETIME = timedelta(days=90)
ACTION_REQUIRED_INTERVAL = timedelta(hours=24)
"""Trying a refused login again soon would lock the household out of its account."""
BACK_OFF_BASE = timedelta(seconds=60)
BACK_OFF_LIMIT = timedelta(hours=6)
LONGEST_WISH = timedelta(hours=24)
"""A utility may ask to be left alone for so long and no longer."""
HISTORY_LENGTH = 20


class LinkKind(StrEnum):
    API = "api"
    MANUAL = "manual"
    """Fed by files: never due, without credentials."""


class LinkChanged(Exception):
    """Somebody else wrote the link since it was read."""


class AlreadyLinked(Exception):
    """The user has linked this very account before."""

    def __init__(self, link_id: LinkId) -> None:
        super().__init__(link_id)
        self.link_id = link_id


class UserGone(Exception):
    """The user was deleted: nothing of theirs is written any more."""


@dataclass(frozen=True, slots=True)
class MfaChallenge:
    """The utility waits for a code."""

    methods: tuple[str, ...] = ()
    """How the code travels: sms, email, app or voice."""
    expires_at: datetime | None = None
    """None when the utility did not say."""
    reference: str = field(default="", repr=False)
    """What the utility wants back with the code; never shown."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt to read a link's bills went. `attempted_at`: when the fetch began; orders a link's outcomes."""

    event: LinkEvent
    attempted_at: datetime
    code: str = ""
    bill_count: int = 0
    mfa: MfaChallenge | None = None
    retry_after: timedelta = timedelta()
    """The utility's own wish: not to be asked before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryEntry:
    """What happened to a link at `at`, and what it was before and after."""

    at: datetime
    event: LinkEvent
    previous_state: LinkState
    state: LinkState
    status_detail: str


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a link is due again. Jitter spreads links that were linked, or failed, in the same moment."""

    interval: timedelta
    random: Callable[[], float]
    """A number from 0 to 1."""

    def next_refresh(self, state: LinkState, failures: int, now: datetime, wish: timedelta = timedelta()) -> datetime:
        return now + max(self._wait(state, failures), min(wish, LONGEST_WISH))

    def _wait(self, state: LinkState, failures: int) -> timedelta:
        if state in CUSTOMER_ACTS:
            return ACTION_REQUIRED_INTERVAL * (1 + 0.1 * self.random())
        if failures == 0:
            return self.interval * (0.9 + 0.2 * self.random())
        back_off = min(BACK_OFF_BASE * (1 << min(failures, 16)), BACK_OFF_LIMIT)
        return back_off * (0.5 + 0.5 * self.random())


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A user's account at a utility, without its secrets. `version` grows with each change and orders copies."""

    link_id: LinkId
    user_id: UserId
    provider_id: ProviderId
    kind: LinkKind = LinkKind.API
    account_identifier: str
    """Masked."""
    account_hash: AccountHash
    nickname: str | None
    state: LinkState = LinkState.PENDING
    status_detail: str = ""
    mfa: MfaChallenge | None = None
    """Only in MFA_REQUIRED."""
    code_waits: bool = False
    """The user gave a code that no attempt has been recorded with."""
    history: tuple[HistoryEntry, ...] = ()
    """Newest first."""
    last_success_at: datetime | None = None
    last_attempt_at: datetime | None = None
    repaired_at: datetime | None = None
    """When the user last gave a login or a code. What an attempt from before came to says nothing of them."""
    next_refresh_at: datetime | None
    """None: never."""
    consecutive_failures: int = 0
    bill_count: int = 0
    created_at: datetime
    updated_at: datetime
    version: int = 1

    @property
    def customer_action_required(self) -> bool:
        return self.state in CUSTOMER_ACTS

    def supersedes(self, outcome: Outcome) -> bool:
        """Whether something newer is known already: the end of an attempt that began at the same time or later, or what
        the user did since."""
        attempted_at = outcome.attempted_at
        return (self.last_attempt_at is not None and attempted_at <= self.last_attempt_at) or (
            self.repaired_at is not None and attempted_at < self.repaired_at
        )

    def after(self, outcome: Outcome, schedule: Schedule, now: datetime) -> "Link":
        """The link itself where nothing changes. Raises NoTransition."""
        if outcome.event is LinkEvent.STARTED:
            started = next_state(self.state, outcome.event)
            return self if started is self.state else self._moved(outcome.event, self.status_detail, now)
        state = next_state(self.state, outcome.event)
        succeeded = outcome.event is LinkEvent.SUCCEEDED
        keeps = outcome.event is LinkEvent.FAILED and state in CUSTOMER_ACTS
        failures = 0 if succeeded else self.consecutive_failures + 1
        due = schedule.next_refresh(state, failures, now, outcome.retry_after)
        return replace(
            self._moved(outcome.event, "" if succeeded else self.status_detail if keeps else outcome.code, now),
            mfa=outcome.mfa or MfaChallenge()
            if outcome.event is LinkEvent.MFA_REQUESTED
            else self.mfa
            if keeps
            else None,
            code_waits=False,
            last_success_at=outcome.attempted_at if succeeded else self.last_success_at,
            last_attempt_at=outcome.attempted_at,
            next_refresh_at=None if self.kind is LinkKind.MANUAL else due,
            consecutive_failures=failures,
            bill_count=outcome.bill_count if succeeded else self.bill_count,
        )

    def repaired(self, event: LinkEvent, now: datetime) -> "Link":
        """After the user gave a login or a code (`event`): read again at once. Raises NoTransition."""
        return replace(
            self._moved(event, "", now),
            mfa=None,
            code_waits=event is LinkEvent.MFA_SUBMITTED,
            repaired_at=now,
            next_refresh_at=now + FIRST_REFRESH_GRACE,
            consecutive_failures=0,
        )

    def renamed(self, nickname: str | None, now: datetime) -> "Link":
        return replace(self, nickname=nickname, updated_at=now, version=self.version + 1)

    def revoked(self, now: datetime) -> "Link":
        """Little is left of it: what tells when and why, not what."""
        return replace(
            self._moved(LinkEvent.UNLINKED, "", now), nickname=None, mfa=None, code_waits=False, next_refresh_at=None
        )

    def _moved(self, event: LinkEvent, detail: str, now: datetime) -> "Link":
        """The history tells of moves, of another reason for the same state, and of all that the user did."""
        state = next_state(self.state, event)
        tells = state is not self.state or detail != self.status_detail or event in USER_EVENTS
        entry = HistoryEntry(at=now, event=event, previous_state=self.state, state=state, status_detail=detail)
        history = (entry, *self.history)[:HISTORY_LENGTH] if tells else self.history
        return replace(
            self, state=state, status_detail=detail, history=history, updated_at=now, version=self.version + 1
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldLink:
    """What is kept of a link, for its user to see; of an unlinked one little is left. Instants as RFC 3339 text."""

    link_id: LinkId
    provider_id: ProviderId
    kind: str
    account_identifier: str | None
    """Masked."""
    nickname: str | None
    state: str
    status_detail: str | None
    mfa_methods: tuple[str, ...]
    mfa_expires_at: str | None
    history: tuple[HistoryEntry, ...]
    last_success_at: str | None
    last_attempt_at: str | None
    next_refresh_at: str | None
    consecutive_failures: int
    bill_count: int
    created_at: str
    updated_at: str
    version: int


def mask(identifier: str) -> str:
    """The last characters clear, at most four and at most half; the mask does not tell the length."""
    clear = min(CLEAR_CHARS, len(identifier) // 2)
    return "****" + identifier[len(identifier) - clear :]


def normalised(identifier: str) -> str:
    """The same account however it was spaced."""
    return "".join(identifier.split()).upper()
