"""Each scenario of docs/sandbox.md, linked at each utility, comes to its right end; what a user can do then helps."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import pytest

from infra.client import Aggregation, Client, Json, example_params
from tests.integration.household import GAS, INTERNET, POWER, UTILITIES, WATER, Household, register
from tests.integration.patience import await_value
from tests.integration.problems import refused

CODE, CODE_METHODS = "246810", {POWER: ["sms", "email"], GAS: ["sms"], WATER: ["app"], INTERNET: ["sms", "email"]}
UTILITY_NAMES = {POWER: "electricity", GAS: "gas", WATER: "water", INTERNET: "internet"}
FIRST_READ_SECONDS = 150.0
"""Ten links at once, of which one is slow and one brings six hundred bills."""
STEP_SECONDS = 60.0


@dataclass(frozen=True)
class End:
    state: str
    status_detail: str | None = None
    bills: int = 0
    customer_action_required: bool = False


ENDS = {
    "good": End("ACTIVE", bills=12),
    "bad_login": End("ACTION_REQUIRED", "invalid_credentials", customer_action_required=True),
    "locked": End("ACTION_REQUIRED", "locked", customer_action_required=True),
    "mfa": End("MFA_REQUIRED", "mfa_required", customer_action_required=True),
    "slow": End("ACTIVE", bills=12),
    "down": End("CONNECTING", "provider_unavailable"),
    "flaky": End("ACTIVE", bills=12),
    "malformed": End("CONNECTING", "provider_malformed"),
    "rate_limited": End("CONNECTING", "provider_throttled"),
    "adjusted": End("ACTIVE", bills=12),
    "duplicate": End("ACTIVE", bills=12),
    "empty": End("ACTIVE"),
    "huge": End("ACTIVE", bills=600),
}


@dataclass(frozen=True)
class Landed:
    """A household that linked one account per scenario at one utility, and what came of it."""

    links: dict[str, Json]
    found: Aggregation

    def link(self, scenario: str) -> Json:
        return self.links[scenario]

    def bills(self, scenario: str) -> list[Json]:
        return self.found.of(self.links[scenario]["link_id"])

    def source(self, scenario: str) -> Json:
        return self.found.source(self.links[scenario]["link_id"])


@pytest.fixture(scope="module", params=UTILITIES, ids=list(UTILITY_NAMES.values()))
def landed(request: pytest.FixtureRequest, nobody: Client, operator: Client, secret: list[str]) -> Iterator[Landed]:
    user = register(nobody, secret)
    failing = [scenario for scenario, end in ENDS.items() if end.state == "CONNECTING"]
    # Those at which a utility fails come last: all at once they could be the greater part of what was read so far, and
    # the circuit breaker would keep the others from it.
    made = read_first_time(user, request.param, [scenario for scenario in ENDS if scenario not in failing])
    made |= read_first_time(user, request.param, failing)
    accounts = {account["link_id"]: account for account in user.client.accounts()}
    yield Landed({scenario: accounts[link_id] for scenario, link_id in made.items()}, user.client.bills())
    for link_id in made.values():
        user.client.unlink(link_id)


def read_first_time(user: Household, provider_id: str, scenarios: Sequence[str]) -> dict[str, str]:
    """Links an account for each scenario. Answers their link_ids once every one has been tried."""
    made = {scenario: user.link(provider_id, scenario) for scenario in scenarios}

    def tried() -> bool:
        return all(account["last_attempt_at"] for account in user.client.accounts())

    await_value(tried, FIRST_READ_SECONDS, "the first refresh of every link")
    return made


@pytest.mark.parametrize("scenario", ENDS)
def test_a_scenario_comes_to_its_end(landed: Landed, scenario: str) -> None:
    link, end = landed.link(scenario), ENDS[scenario]

    assert (link["state"], link["status_detail"] or None) == (end.state, end.status_detail)
    assert link["customer_action_required"] is end.customer_action_required
    assert (link["bill_count"], len(landed.bills(scenario))) == (end.bills, end.bills)
    assert bool(link["last_success_at"]) == (end.state == "ACTIVE")
    assert (link["mfa"] is not None) == (end.state == "MFA_REQUIRED")


def test_what_failed_says_so_among_the_sources(landed: Landed) -> None:
    told = {scenario: (landed.source(scenario).get("error") or {}).get("code") for scenario in ENDS}

    assert told == {scenario: end.status_detail for scenario, end in ENDS.items()}
    asked = {scenario for scenario in ENDS if landed.source(scenario)["outcome"] == "action_required"}
    assert asked == {scenario for scenario, end in ENDS.items() if end.customer_action_required}


def test_every_bill_stands_there_once_and_in_one_version(landed: Landed) -> None:
    for scenario in ENDS:
        bills = landed.bills(scenario)
        assert len({bill["external_bill_id"] for bill in bills}) == len(bills), scenario
        assert {bill["version"] for bill in bills} <= {1}, scenario
        assert all(bill["amount_minor"] == sum(i["amount_minor"] for i in bill["line_items"]) for bill in bills)


def test_a_flaky_utility_is_asked_again_within_the_same_fetch(landed: Landed) -> None:
    assert landed.link("flaky")["consecutive_failures"] == 0


def test_who_asks_for_patience_gets_it(landed: Landed) -> None:
    assert seconds_until_due(landed.link("rate_limited")) >= 120


@pytest.mark.parametrize("scenario", ["bad_login", "locked", "mfa"])
def test_nobody_knocks_again_before_a_day_where_only_the_user_can_help(landed: Landed, scenario: str) -> None:
    assert seconds_until_due(landed.link(scenario)) >= timedelta(days=1).total_seconds() - 60


def test_a_refresh_of_what_comes_twice_changes_nothing(household: Household) -> None:
    for provider_id in UTILITIES:
        household.link(provider_id, "duplicate")
    household.settle()
    before = household.client.bills().items

    job = household.refresh()

    assert job["state"] == "succeeded"
    assert [(result["created"], result["updated"]) for result in job["results"]] == [(0, 0)] * 4
    assert household.client.bills().items == before


@pytest.mark.parametrize("provider_id", UTILITIES, ids=UTILITY_NAMES.values())
class TestCodes:
    def test_the_right_code_opens_the_account_and_is_not_asked_for_again(
        self, household: Household, provider_id: str
    ) -> None:
        link_id = household.link(provider_id, "mfa")
        asked = await_state(household, link_id, "MFA_REQUIRED")
        assert asked["mfa"]["methods"] == CODE_METHODS[provider_id]
        assert 0 < (instant(asked["mfa"]["expires_at"]) - instant(asked["last_attempt_at"])).total_seconds() <= 310

        answer = household.client.send("POST", f"/accounts/{link_id}/mfa", json={"code": CODE})

        assert (answer.status_code, answer.json()["state"]) == (202, "CONNECTING")
        opened = await_state(household, link_id, "ACTIVE")
        assert (opened["mfa"], opened["bill_count"]) == (None, 12)
        assert [step["state"] for step in opened["history"]][:3] == ["ACTIVE", "CONNECTING", "MFA_REQUIRED"]
        assert household.refresh(link_id)["state"] == "succeeded"
        refused(household.client.send("POST", f"/accounts/{link_id}/mfa", json={"code": CODE}), 409)

    def test_after_a_wrong_code_there_is_a_fresh_challenge(self, household: Household, provider_id: str) -> None:
        link_id = household.link(provider_id, "mfa")
        first = await_state(household, link_id, "MFA_REQUIRED")

        household.client.call("POST", f"/accounts/{link_id}/mfa", {"code": "135791"})

        again = await_link(household, link_id, lambda link: link["status_detail"] == "mfa_code_invalid")
        assert (again["state"], again["bill_count"]) == ("MFA_REQUIRED", 0)
        assert instant(again["mfa"]["expires_at"]) > instant(first["mfa"]["expires_at"])
        household.client.call("POST", f"/accounts/{link_id}/mfa", {"code": CODE})
        assert await_state(household, link_id, "ACTIVE")["bill_count"] == 12


@pytest.mark.parametrize("provider_id", UTILITIES, ids=UTILITY_NAMES.values())
def test_other_credentials_repair_a_refused_login(household: Household, provider_id: str) -> None:
    link_id = household.link(provider_id, "bad_login")
    await_state(household, link_id, "ACTION_REQUIRED")
    credentials = {"username": "good", "password": "a-new-password-of-the-household"}
    household.secret.append(credentials["password"])

    answer = household.client.send("PUT", f"/accounts/{link_id}/credentials", json=credentials)

    assert (answer.status_code, answer.json()["state"]) == (200, "CONNECTING")
    repaired = await_state(household, link_id, "ACTIVE")
    assert (repaired["status_detail"] or None, repaired["bill_count"]) == (None, 12)
    assert not repaired["customer_action_required"]


@pytest.mark.parametrize("provider_id", UTILITIES, ids=UTILITY_NAMES.values())
@pytest.mark.parametrize("scenario", ["malformed", "locked"])
def test_a_scenario_of_the_account_wins_over_the_user_name_until_it_ends(
    household: Household, operator: Client, provider_id: str, scenario: str
) -> None:
    params = example_params(household.providers[provider_id])
    place = {"utility": UTILITY_NAMES[provider_id], "account_number": params["account_number"]}
    operator.call("POST", "/mock/scenarios", {**place, "scenario": scenario})
    try:
        link_id = str(household.link_with(provider_id, "good", params)["link_id"])
        household.settle()
        end = ENDS[scenario]
        link = household.client.call("GET", f"/accounts/{link_id}")
        assert (link["state"], link["status_detail"], link["bill_count"]) == (end.state, end.status_detail, 0)
    finally:
        operator.call("POST", "/mock/scenarios", {**place, "scenario": None})

    await_value(lambda: household.refresh(link_id)["state"] == "succeeded", 60, "a refresh that is let through")
    assert await_state(household, link_id, "ACTIVE")["bill_count"] == 12


@pytest.mark.parametrize("provider_id", UTILITIES, ids=UTILITY_NAMES.values())
def test_a_corrected_bill_comes_as_a_new_version_on_its_seventh_day(
    household: Household, operator: Client, provider_id: str
) -> None:
    link_id = household.link(provider_id, "adjusted")
    household.settle()
    latest = max(bill["statement_date"] for bill in household.client.bills().of(link_id))
    try:
        operator.move_clock(date=str(date.fromisoformat(latest) + timedelta(days=31)))
        assert household.refresh(link_id)["results"][0]["created"] == 1
        before = newest(household, link_id)

        operator.move_clock(date=str(date.fromisoformat(before["statement_date"]) + timedelta(days=7)))
        assert household.refresh(link_id)["results"][0]["updated"] >= 1
    finally:
        operator.move_clock(reset=True)

    after = newest(household, link_id)
    assert (after["bill_id"], before["version"], after["version"]) == (before["bill_id"], 1, 2)
    assert after["amount_minor"] != before["amount_minor"]
    assert after["line_items"][-1]["name"] == "Billing adjustment"


def test_a_scenario_of_nothing_known_is_refused_by_field(operator: Client) -> None:
    body = {"utility": "gas", "account_number": "NP-10024817", "scenario": "locked"}

    refused(operator.send("POST", "/mock/scenarios", json=body), 422, "account_number")
    refused(operator.send("POST", "/mock/scenarios", json={**body, "utility": "telegraph"}), 422, "utility")


def test_a_utility_gives_its_bills_as_pdf_byte_for_byte(nobody: Client) -> None:
    page = "/mock/electricity/v1/accounts/NP-10024817/bills"
    form = "grant_type=client_credentials&client_id=good&client_secret=pw"
    asked = nobody.send(
        "POST",
        "/mock/electricity/oauth/token",
        data=form,
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    bearer = {"Authorization": f"Bearer {asked.json()['access_token']}"}
    bill = nobody.send("GET", page, headers=bearer).json()["bills"][0]

    answer = nobody.send(
        "GET", f"/mock/electricity{bill['documentUrl']}", headers={**bearer, "Accept": "application/pdf"}
    )

    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/pdf")
    assert answer.content.startswith(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")
    assert answer.content.endswith(b"%%EOF\n")
    assert bill["billId"].encode() in answer.content


def await_link(household: Household, link_id: str, holds: Callable[[Json], bool]) -> Json:
    """The link once this holds of it."""

    def look() -> Json | None:
        link = household.client.call("GET", f"/accounts/{link_id}")
        return link if holds(link) else None

    return await_value(look, STEP_SECONDS, f"the awaited state of {link_id}")


def await_state(household: Household, link_id: str, state: str) -> Json:
    return await_link(household, link_id, lambda link: link["state"] == state)


def newest(household: Household, link_id: str) -> Json:
    return max(household.client.bills().of(link_id), key=lambda bill: str(bill["statement_date"]))


def seconds_until_due(link: Json) -> float:
    """Between the latest attempt and the next one."""
    return (instant(link["next_refresh_at"]) - instant(link["last_attempt_at"])).total_seconds()


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text)
