"""Bills that are due soon or overdue are told of once, as far as their user can see, and not once they are paid."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import pytest

from functions.mock_api_service.billing import monthly
from functions.mock_api_service.model import AccountNumber
from functions.mock_api_service.utilities import UTILITIES
from infra.client import Client, Json, example_params
from tests.integration.household import POWER, WATER, Household
from tests.integration.patience import await_value
from tests.integration.platform import SCHEDULED, Platform

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


@pytest.fixture
def a_while_ago(operator: Client) -> Iterator[date]:
    """The sandbox's date, until the test is over: bills that were open then are overdue on the platform's own clock."""
    then = datetime.now(UTC).date() - timedelta(40)
    operator.move_clock(date=then.isoformat())
    yield then
    operator.move_clock(reset=True)


@pytest.fixture
def as_of_today(operator: Client) -> None:
    """Other tests leave the sandbox months ahead, where no bill is due within the days that a user may choose."""
    operator.move_clock(reset=True)


def link_billed_lately(user: Household, provider_id: str) -> str:
    """An account whose latest bill is due in a week or more: the day of the month depends on the account's number."""
    utility = next(utility for utility in UTILITIES.values() if utility.provider_id == provider_id)
    today = datetime.now(UTC).date()
    while True:
        params = example_params(user.providers[provider_id])
        due = monthly(utility, AccountNumber(params["account_number"]), today)[0].due_date
        if due and due >= today + timedelta(7):
            return str(user.link_with(provider_id, "good", params)["link_id"])


def all_bills(user: Household) -> list[Json]:
    return [bill for page in user.client.pages("/bills") for bill in page["items"]]


def await_all_told(user: Household, platform: Platform, wanted: set[tuple[str, str]]) -> None:
    """And that none is told of again, whatever is swept and refreshed."""
    platform.invoke("Sweep", SCHEDULED)
    await_value(lambda: told(user).keys() >= wanted, SECONDS, "what is to be said of the bills")
    for _ in range(2):
        platform.invoke("Sweep", SCHEDULED)
        user.refresh()
    platform.await_empty("AuditQueue")
    assert told(user) == Counter(dict.fromkeys(wanted, 1))


@pytest.mark.usefixtures("as_of_today")
def test_bills_that_are_due_soon_are_told_of_once_and_paid_ones_never(household: Household, platform: Platform) -> None:
    household.client.call("PATCH", "/users/me", {"time_zone": "UTC", "reminder_days": 0})
    paid, unpaid = link_billed_lately(household, POWER), link_billed_lately(household, WATER)
    household.settle()
    household.refresh()
    today = datetime.now(UTC).date()
    wanted = expected(all_bills(household), today)
    of_the_link = {str(bill["bill_id"]) for bill in household.client.bills().of(paid)}
    of_the_paid = {(kind, bill_id) for kind, bill_id in wanted if bill_id in of_the_link}
    assert {kind for kind, _ in wanted} == {SOON}
    assert of_the_paid < wanted
    assert of_the_paid

    for _, bill_id in of_the_paid:
        household.client.call("PATCH", f"/bills/{bill_id}", {"paid_at": today.isoformat()})
    household.client.call("PATCH", "/users/me", {"reminder_days": DAYS})
    for bill in household.client.bills().of(unpaid):  # a note has it looked at again, by the new settings
        household.client.call("PATCH", f"/bills/{bill['bill_id']}", {"note": "later"})

    await_all_told(household, platform, wanted - of_the_paid)


def test_bills_that_are_overdue_are_told_of_once(household: Household, platform: Platform, a_while_ago: date) -> None:
    household.client.call("PATCH", "/users/me", {"time_zone": "UTC"})
    household.link(WATER)
    household.settle()
    household.refresh()
    wanted = expected(all_bills(household), datetime.now(UTC).date())
    assert {kind for kind, _ in wanted} == {OVERDUE}, f"what was open on {a_while_ago} and never paid since"

    await_all_told(household, platform, wanted)


def test_the_user_chooses_how_often(household: Household) -> None:
    chosen = {"reminder_days": 5, "reminder_repeat_days": 2}

    assert household.client.call("PATCH", "/users/me", chosen).items() >= chosen.items()
    assert household.client.call("GET", "/users/me").items() >= chosen.items()
    assert household.client.call("PATCH", "/users/me", {"reminder_repeat_days": None})["reminder_repeat_days"] is None
