"""The state machine and what follows from it: no tables, no clock but the test's."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from functions.account_linking_service.credentials import Secrets
from functions.account_linking_service.model import (
    AccountHash,
    Link,
    LinkId,
    Outcome,
    ProviderId,
    Schedule,
    UserId,
    mask,
    normalised,
)
from functions.account_linking_service.states import LinkEvent, LinkState

NOW = datetime(2026, 3, 15, 12, 0, tzinfo=UTC)
SCHEDULE = Schedule(timedelta(hours=6), lambda: 0.5)
PENDING, CONNECTING, MFA_REQUIRED, ACTIVE, STALE, ACTION_REQUIRED, REVOKED = LinkState
STARTED, SUCCEEDED, REFUSED, FAILED, MFA_REQUESTED, MFA_SUBMITTED, CREDENTIALS_REPLACED, UNLINKED = LinkEvent


def a_link(state: LinkState = PENDING, **changes: object) -> Link:
    link = Link(
        link_id=LinkId("lnk_01JD3N8Z6W3V9K4T7Q2M5XBRPC"),
        user_id=UserId("usr_1"),
        provider_id=ProviderId("prv_northwind_power"),
        account_identifier="****5678",
        account_hash=AccountHash("h"),
        nickname=None,
        state=state,
        next_refresh_at=NOW,
        created_at=NOW,
        updated_at=NOW,
    )
    return replace(link, **changes)  # type: ignore[arg-type]  # whatever the test wants to differ


def wait(link: Link) -> timedelta:
    assert link.next_refresh_at
    return link.next_refresh_at - NOW


def test_success_clears_what_was_wrong() -> None:
    link = a_link(STALE, status_detail="provider_unavailable", consecutive_failures=4)
    after = link.after(Outcome(SUCCEEDED, NOW, bill_count=7), SCHEDULE, NOW)
    assert (after.state, after.status_detail, after.consecutive_failures, after.bill_count) == (ACTIVE, "", 0, 7)
    assert after.last_success_at == after.last_attempt_at == NOW
    assert after.version == link.version + 1
    assert after.next_refresh_at == NOW + timedelta(hours=6)


def test_a_refusal_asks_for_the_user_and_waits_a_day() -> None:
    after = a_link(ACTIVE, bill_count=3).after(Outcome(REFUSED, NOW, "invalid_credentials"), SCHEDULE, NOW)
    assert (after.state, after.status_detail, after.customer_action_required) == (
        ACTION_REQUIRED,
        "invalid_credentials",
        True,
    )
    assert wait(after) >= timedelta(hours=24)
    assert after.bill_count == 3
    assert after.last_success_at is None


def test_an_outage_does_not_hide_that_the_user_must_act_nor_hammer() -> None:
    link = a_link(ACTION_REQUIRED, status_detail="locked", consecutive_failures=1)
    after = link.after(Outcome(FAILED, NOW, "provider_unavailable"), SCHEDULE, NOW)
    assert (after.state, after.status_detail) == (ACTION_REQUIRED, "locked")
    assert wait(after) >= timedelta(hours=24)


def test_failures_back_off_exponentially_up_to_a_limit() -> None:
    link, waits = a_link(ACTIVE), []
    for _ in range(12):
        link = link.after(Outcome(FAILED, NOW, "provider_unavailable"), SCHEDULE, NOW)
        waits.append(wait(link).total_seconds())
    assert waits[:4] == [90, 180, 360, 720]  # 120, 240 … times 0.75, the middle of the jitter
    assert waits[-1] == 6 * 3600 * 0.75
    assert link.state is STALE
    assert link.consecutive_failures == 12


@pytest.mark.parametrize("jitter", [0.0, 1.0])
def test_jitter_keeps_within_bounds(jitter: float) -> None:
    schedule = Schedule(timedelta(hours=6), lambda: jitter)
    assert abs(schedule.next_refresh(ACTIVE, 0, NOW) - NOW - timedelta(hours=6)) <= timedelta(minutes=36, seconds=1)
    assert timedelta(seconds=60) <= schedule.next_refresh(STALE, 1, NOW) - NOW <= timedelta(seconds=120)
    assert schedule.next_refresh(STALE, 10_000, NOW) - NOW <= timedelta(hours=6)


def test_only_a_newer_attempt_counts() -> None:
    link = a_link(last_attempt_at=NOW)
    assert link.supersedes(Outcome(SUCCEEDED, NOW))
    assert not link.supersedes(Outcome(SUCCEEDED, NOW + timedelta(milliseconds=1)))
    assert not a_link().supersedes(Outcome(SUCCEEDED, NOW))


@pytest.mark.parametrize(
    ("identifier", "masked"), [("NW12345678", "****5678"), ("12345678", "****5678"), ("1234", "****34"), ("1", "****")]
)
def test_mask_shows_the_last_four_at_most_half(identifier: str, masked: str) -> None:
    assert mask(identifier) == masked


def test_spacing_and_case_make_no_other_account() -> None:
    assert normalised(" nw12 345678 ") == normalised("NW12345678")


def test_secrets_do_not_show() -> None:
    assert "hunter2" not in repr(Secrets({"account_number": "hunter2"}, "hunter2", "hunter2"))
