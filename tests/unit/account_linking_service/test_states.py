"""The life cycle, every state and every event, against the table as it was agreed on."""

from itertools import product

import pytest

from functions.account_linking_service.states import (
    CUSTOMER_ACTS,
    MEANING,
    TRANSITIONS,
    USER_EVENTS,
    LinkEvent,
    LinkState,
    NoTransition,
    next_state,
)

# Spelt by event here, by state in the code: a slip of the pen in one table shows.
LIVE = {"PENDING", "CONNECTING", "MFA_REQUIRED", "ACTIVE", "STALE", "ACTION_REQUIRED"}
STAYS = "stays"
AGREED: dict[str, dict[str, str]] = {
    "started": dict.fromkeys(LIVE, STAYS) | {"PENDING": "CONNECTING"},
    "succeeded": dict.fromkeys(LIVE, "ACTIVE"),
    "refused": dict.fromkeys(LIVE, "ACTION_REQUIRED"),
    "failed": dict.fromkeys(LIVE, STAYS) | {"ACTIVE": "STALE"},
    "mfa_requested": dict.fromkeys(LIVE, "MFA_REQUIRED"),
    "mfa_submitted": {"MFA_REQUIRED": "CONNECTING"},
    "credentials_replaced": dict.fromkeys(LIVE, "CONNECTING"),
    "unlinked": dict.fromkeys(LIVE, "REVOKED"),
}


@pytest.mark.parametrize(("state", "event"), list(product(LinkState, LinkEvent)))
def test_every_pair_of_state_and_event(state: LinkState, event: LinkEvent) -> None:
    agreed = AGREED[event].get(state)
    if agreed is None:
        with pytest.raises(NoTransition):
            next_state(state, event)
    else:
        assert next_state(state, event) == (state if agreed == STAYS else agreed)


def test_the_table_has_every_pair_and_no_other() -> None:
    assert set(TRANSITIONS) == set(product(LinkState, LinkEvent))
    assert {state for state, _ in TRANSITIONS} - {LinkState.REVOKED} == LIVE


def test_nothing_moves_what_was_unlinked() -> None:
    assert {TRANSITIONS[LinkState.REVOKED, event] for event in LinkEvent} == {None}


def test_every_state_is_reached_from_the_first_and_can_be_left() -> None:
    reached, waiting = set[LinkState](), {LinkState.PENDING}
    while waiting:
        state = waiting.pop()
        reached.add(state)
        waiting |= {after for (before, _), after in TRANSITIONS.items() if before is state and after} - reached
    assert reached == set(LinkState)
    for name in LIVE:
        live = LinkState(name)
        assert {TRANSITIONS[live, event] for event in LinkEvent} - {live, None}


def test_what_only_the_user_ends_is_ended_by_what_users_do() -> None:
    for state in CUSTOMER_ACTS:
        assert {TRANSITIONS[state, event] for event in USER_EVENTS} - {None} == {LinkState.CONNECTING}


def test_every_state_and_event_says_what_it_means() -> None:
    assert set(MEANING) == {*LinkState, *LinkEvent}
    assert all(meaning.endswith(".") for meaning in MEANING.values())
