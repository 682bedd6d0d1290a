"""The life cycle of a link: one table of every state and every event. docs/link-states.md is made of it."""

from collections.abc import Mapping
from enum import StrEnum
from itertools import product
from types import MappingProxyType


class LinkState(StrEnum):
    PENDING = "PENDING"
    CONNECTING = "CONNECTING"
    MFA_REQUIRED = "MFA_REQUIRED"
    ACTIVE = "ACTIVE"
    STALE = "STALE"
    ACTION_REQUIRED = "ACTION_REQUIRED"
    REVOKED = "REVOKED"


class LinkEvent(StrEnum):
    STARTED = "started"
    SUCCEEDED = "succeeded"
    REFUSED = "refused"
    FAILED = "failed"
    MFA_REQUESTED = "mfa_requested"
    MFA_SUBMITTED = "mfa_submitted"
    CREDENTIALS_REPLACED = "credentials_replaced"
    UNLINKED = "unlinked"


MEANING: Mapping[LinkState | LinkEvent, str] = MappingProxyType(
    {
        LinkState.PENDING: "Linked; the utility has not been asked yet.",
        LinkState.CONNECTING: "The utility is being asked with what the user gave last; nothing was read with it yet.",
        LinkState.MFA_REQUIRED: "The utility waits for a code that the user has.",
        LinkState.ACTIVE: "The last read succeeded.",
        LinkState.STALE: "It was read before, but not the last time; it is tried again.",
        LinkState.ACTION_REQUIRED: "The utility refuses: the user must act (`status_detail` says why).",
        LinkState.REVOKED: "Unlinked. A tombstone, which never moves again.",
        LinkEvent.STARTED: "The utility is asked for the first time.",
        LinkEvent.SUCCEEDED: "Its bills were read.",
        LinkEvent.REFUSED: "The utility refused the login: wrong, locked, or consent has expired.",
        LinkEvent.FAILED: "The utility did not answer properly.",
        LinkEvent.MFA_REQUESTED: "The utility wants a code beside the login.",
        LinkEvent.MFA_SUBMITTED: "The user gave the code.",
        LinkEvent.CREDENTIALS_REPLACED: "The user gave another login.",
        LinkEvent.UNLINKED: "The user took the account away.",
    }
)
CUSTOMER_ACTS = frozenset({LinkState.ACTION_REQUIRED, LinkState.MFA_REQUIRED})
"""Nothing but the user brings these back."""
USER_EVENTS = frozenset({LinkEvent.MFA_SUBMITTED, LinkEvent.CREDENTIALS_REPLACED})
"""What users do for a link to be read at once."""

PEND, CONN, MFA, ACTIVE, STALE, ACT, GONE = LinkState
NEVER = None
# fmt: off
_ROWS: Mapping[LinkState, tuple[LinkState | None, ...]] = {
    # in the order of LinkEvent:
    #        started  succeeded  refused  failed  mfa_requested  mfa_submitted  credentials_replaced  unlinked
    PEND:   (CONN,    ACTIVE,    ACT,     PEND,   MFA,           NEVER,         CONN,                 GONE),
    CONN:   (CONN,    ACTIVE,    ACT,     CONN,   MFA,           NEVER,         CONN,                 GONE),
    # The utility being down says nothing new where the user must act.
    MFA:    (MFA,     ACTIVE,    ACT,     MFA,    MFA,           CONN,          CONN,                 GONE),
    ACTIVE: (ACTIVE,  ACTIVE,    ACT,     STALE,  MFA,           NEVER,         CONN,                 GONE),
    STALE:  (STALE,   ACTIVE,    ACT,     STALE,  MFA,           NEVER,         CONN,                 GONE),
    ACT:    (ACT,     ACTIVE,    ACT,     ACT,    MFA,           NEVER,         CONN,                 GONE),
    GONE:   (NEVER,   NEVER,     NEVER,   NEVER,  NEVER,         NEVER,         NEVER,                NEVER),
}
# fmt: on
TRANSITIONS: Mapping[tuple[LinkState, LinkEvent], LinkState | None] = MappingProxyType(
    {(state, event): _ROWS[state][tuple(LinkEvent).index(event)] for state, event in product(LinkState, LinkEvent)}
)
"""Every pair. None: refused, the event cannot happen to a link in this state."""


class NoTransition(Exception):
    """The table refuses the event in this state."""


def next_state(state: LinkState, event: LinkEvent) -> LinkState:
    """Raises NoTransition."""
    after = TRANSITIONS[state, event]
    if after is None:
        raise NoTransition(f"{state} refuses {event}")
    return after
