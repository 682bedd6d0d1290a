"""How events read in the audit."""

import json
from dataclasses import asdict
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from functions.common.worker import UnknownEventError
from functions.contracts.events.accounts import AccountLinkedV1, AccountStateChangedV1
from functions.contracts.events.bills import BillCreatedV1, BillPaidV1, BillsRefreshRequestedV1
from functions.contracts.events.catalogue import CATALOGUE
from functions.contracts.events.envelope import CloudEvent, EventData, wrap
from functions.contracts.events.security import Action, SecurityActionRecordedV1
from functions.contracts.events.users import UserDeletedV1
from functions.listener_service.entries import entry_of
from functions.listener_service.model import PLATFORM, Entry
from tests.support.fakes import FakeClock

USER, LINK, GAS = "usr_1", "lnk_1", "prv_gas"
NOW = FakeClock().now()
KEPT = timedelta(days=400)
BILL: dict[str, Any] = {
    "user_id": USER, "link_id": LINK, "bill_id": "bil_1", "provider_id": GAS, "service_type": "gas", "version": 1,
    "amount_minor": 4210, "currency": "EUR",
}  # fmt: skip


def entry(data: EventData) -> Entry:
    return entry_of(wrap(data, NOW), KEPT)


def other(data: object, **changes: str) -> CloudEvent:
    """An event of a type that nobody here knows."""
    event = wrap(UserDeletedV1(user_id=USER), NOW)
    raw = msgspec.Raw(msgspec.json.encode(data))
    return msgspec.structs.replace(event, **{"type": "meter.read.v3", "data": raw, **changes})


def linked() -> AccountLinkedV1:
    return AccountLinkedV1(user_id=USER, link_id=LINK, provider_id=GAS, state="PENDING", version=1)


def test_an_entry_holds_the_whole_event() -> None:
    event = wrap(linked(), NOW)

    kept = entry_of(event, KEPT)

    assert asdict(kept) == {
        "user_id": USER, "at": NOW, "event_id": event.id, "type": "account.linked.v1", "subject": LINK,
        "summary": "Account linked: PENDING", "actor": USER, "address": "", "correlation_id": event.correlationid,
        "data": bytes(event.data).decode(), "expires_at": NOW + KEPT,
    }  # fmt: skip
    assert kept.key == f"2026-03-15T12:00:00.000Z#{event.id}"
    assert json.loads(kept.data)["provider_id"] == GAS


@pytest.mark.parametrize(
    ("data", "summary", "actor"),
    [
        (linked(), "Account linked: PENDING", USER),
        (
            AccountStateChangedV1(
                user_id=USER, link_id=LINK, provider_id=GAS, state="STALE", version=2, previous_state="ACTIVE"
            ),
            "Account state changed: STALE",
            "account-linking",
        ),
        (
            BillsRefreshRequestedV1(user_id=USER, link_id=LINK, reason="user"),
            "Bills refresh requested: user",
            USER,
        ),
        (
            BillsRefreshRequestedV1(user_id=USER, link_id=LINK, reason="sweep"),
            "Bills refresh requested: sweep",
            "sweep",
        ),
        (BillCreatedV1(**BILL, due_date="2026-04-01"), "Bill created: 2026-04-01", "bill-aggregation"),
        (BillPaidV1(**BILL, said_by="user"), "Bill paid", USER),
        (BillPaidV1(**BILL, said_by="provider"), "Bill paid", "provider"),
        (UserDeletedV1(user_id=USER), "User deleted", USER),
        (
            SecurityActionRecordedV1(user_id=USER, action=Action.LOGIN_FAILED, actor="unknown"),
            "Login failed",
            "unknown",
        ),
        (
            SecurityActionRecordedV1(
                user_id=USER, action=Action.ADMIN_REQUEST, actor=USER, target="POST /providers", status=201
            ),
            "Admin request: POST /providers → 201",
            USER,
        ),
    ],
)
def test_it_says_in_a_few_words_what_happened_and_who_did_it(data: EventData, summary: str, actor: str) -> None:
    assert (entry(data).summary, entry(data).actor) == (summary, actor)


def test_the_address_is_that_of_the_action() -> None:
    data = SecurityActionRecordedV1(user_id=USER, action=Action.LOGIN_SUCCEEDED, actor=USER, address="192.0.2.7")

    assert entry(data).address == "192.0.2.7"


def test_what_concerns_no_user_is_the_platform_s() -> None:
    assert entry(SecurityActionRecordedV1(user_id="", action=Action.LOGIN_FAILED)).user_id == PLATFORM
    assert entry_of(other({"meter": 7}), KEPT).user_id == PLATFORM
    assert entry_of(other({"user_id": 7}), KEPT).user_id == PLATFORM


def test_an_event_of_a_type_that_nobody_knows_is_kept_too() -> None:
    kept = entry_of(other({"user_id": USER, "state": "odd"}), KEPT)

    assert (kept.user_id, kept.summary, kept.actor) == (USER, "Meter read: odd", "user")


def test_data_that_are_no_object_or_an_event_at_no_time_are_refused() -> None:
    with pytest.raises(msgspec.MsgspecError):
        entry_of(other([1]), KEPT)
    for time in ("yesterday", "2026-03-15T12:00:00"):
        with pytest.raises(UnknownEventError):
            entry_of(other({}, time=time), KEPT)


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_type_reads_as_a_sentence(name: str) -> None:
    event = other({"user_id": USER, "action": "login_failed"}, type=name)

    summary = entry_of(event, KEPT).summary

    assert summary[0].isupper()
    assert "_" not in summary
    assert "." not in summary
