"""Bills that are due soon or overdue are told of once, as far as their user can see, and not once they are paid."""

import json
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from infra.client import Json, await_value
from tests.integration.household import POWER, WATER, Household
from tests.integration.platform import Platform

SCHEDULED = json.loads((Path(__file__).parent.parent / "events" / "schedule.json").read_text())
SOON, OVERDUE = "bill.due_soon.v1", "bill.overdue.v1"
DAYS = 60
SECONDS = 90.0


def told(user: Household) -> Counter[tuple[str, str]]:
    """How often the user's activity tells of each bill, by type and bill."""
    return Counter(
        (kind, str(item["subject"]))
        for kind in (SOON, OVERDUE)
        for page in user.client.pages("/users/me/activity", type=kind)
        for item in page["items"]
    )


def expected(bills: list[Json], today: date) -> set[tuple[str, str]]:
    """Of a user in UTC who wants to hear of bills sixty days before."""
    span, found = timedelta(DAYS), set()
    for bill in bills:
        due = date.fromisoformat(bill["due_date"])
        if bill["status"] != "paid" and today - span <= due <= today + span:
            found.add((SOON if due >= today else OVERDUE, str(bill["bill_id"])))
    return found


def all_bills(user: Household) -> list[Json]:
    return [bill for page in user.client.pages("/bills") for bill in page["items"]]


def test_each_due_date_is_told_of_once(household: Household, platform: Platform) -> None:
    household.client.call("PATCH", "/users/me", {"time_zone": "UTC", "reminder_days": DAYS})
    household.link(POWER)
    household.link(WATER)
    household.settle()
    household.refresh()
    wanted = expected(all_bills(household), datetime.now(UTC).date())
    assert {kind for kind, _ in wanted} == {SOON, OVERDUE}, "utilities whose bills are due, and were"

    platform.invoke("Sweep", SCHEDULED)
    await_value(lambda: told(household).keys() >= wanted, SECONDS, "what is to be said of the bills")
    for _ in range(3):
        platform.invoke("Sweep", SCHEDULED)
        household.refresh()
    platform.await_empty("AuditQueue")

    assert told(household) == Counter(dict.fromkeys(wanted, 1))


def test_what_is_paid_is_not_told_of(household: Household, platform: Platform) -> None:
    household.client.call("PATCH", "/users/me", {"time_zone": "UTC", "reminder_days": 0})
    household.link(WATER)
    household.settle()
    household.refresh()
    today = datetime.now(UTC).date()
    open_bills = [bill for bill in all_bills(household) if date.fromisoformat(bill["due_date"]) > today]
    assert open_bills
    for bill in open_bills:
        household.client.call("PATCH", f"/bills/{bill['bill_id']}", {"paid_at": today.isoformat()})
    household.client.call("PATCH", "/users/me", {"reminder_days": DAYS})

    platform.invoke("Sweep", SCHEDULED)
    wanted = {entry for entry in expected(all_bills(household), today) if entry[0] == OVERDUE}
    await_value(lambda: told(household).keys() >= wanted, SECONDS, "what is to be said of the other bills")

    assert {kind for kind, _ in told(household)} == {OVERDUE}


def test_the_user_chooses_how_often(household: Household) -> None:
    chosen = {"reminder_days": 5, "reminder_repeat_days": 2}

    assert household.client.call("PATCH", "/users/me", chosen).items() >= chosen.items()
    assert household.client.call("GET", "/users/me").items() >= chosen.items()
    assert household.client.call("PATCH", "/users/me", {"reminder_repeat_days": None})["reminder_repeat_days"] is None
