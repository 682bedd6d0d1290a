"""Bills on paper: fetched from the utility for their owner, byte for byte, and never by a link of the utility's own."""

from collections.abc import Iterator

import pytest
import requests

from infra.client import Client, Json, example_params
from tests.integration.household import GAS, INTERNET, POWER, WATER, Household
from tests.integration.patience import await_value
from tests.integration.problems import refused

PDF = {"Accept": "application/pdf"}
NAMES = {POWER: "electricity", INTERNET: "internet"}
OWN_PATHS = ("/v1/accounts/", "/statements/")
"""How the sandbox's utilities begin their references."""
STEP_SECONDS = 60.0


def bills_of(user: Household, provider_id: str) -> list[Json]:
    return [bill for bill in user.client.bills().items if bill["provider_id"] == provider_id]


def document(client: Client, bill: Json, method: str = "GET") -> requests.Response:
    return client.send(method, f"/bills/{bill['bill_id']}/document", headers=PDF)


@pytest.fixture(params=[POWER, INTERNET], ids=["electricity", "internet"])
def treated(request: pytest.FixtureRequest, household: Household, operator: Client) -> Iterator["Treated"]:
    """An account whose bills are read, and which the utility then treats otherwise."""
    provider_id = request.param
    params = example_params(household.providers[provider_id])
    link_id = household.link_with(provider_id, "good", params)["link_id"]
    household.settle()
    made = Treated(household, operator, NAMES[provider_id], params["account_number"], link_id)
    yield made
    made.as_("good")
    made.take(down=False)


class Treated:
    def __init__(self, user: Household, operator: Client, utility: str, account: str, link_id: str) -> None:
        self.user, self._operator = user, operator
        self._utility, self._account, self._link_id = utility, account, link_id
        self.bill = user.client.bills().of(link_id)[0]

    def as_(self, scenario: str) -> None:
        body = {"utility": self._utility, "account_number": self._account, "scenario": scenario}
        self._operator.call("POST", "/mock/scenarios", body)

    def take(self, *, down: bool) -> None:
        self._operator.call("POST", "/mock/outages", {"utility": self._utility, "down": down})

    def document(self) -> requests.Response:
        return document(self.user.client, self.bill)

    def link(self) -> Json:
        return self.user.client.call("GET", f"/accounts/{self._link_id}")

    def await_state(self, state: str) -> Json:
        def look() -> Json | None:
            link = self.link()
            return link if link["state"] == state else None

        return await_value(look, STEP_SECONDS, f"an account that is {state}")

    def answer(self, code: str) -> None:
        self.user.client.call("POST", f"/accounts/{self._link_id}/mfa", {"code": code})


@pytest.mark.parametrize("provider_id", [POWER, INTERNET])
def test_a_bill_on_paper(settled: Household, provider_id: str) -> None:
    for bill in bills_of(settled, provider_id)[:2]:
        assert bill["document_url"] == f"/bills/{bill['bill_id']}/document"

        answer = settled.client.send("GET", bill["document_url"], headers=PDF)

        assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/pdf")
        assert answer.content.startswith(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")
        assert answer.content.endswith(b"%%EOF\n")
        assert bill["external_bill_id"].encode() in answer.content
        assert answer.headers["Content-Disposition"] == f'attachment; filename="{bill["bill_id"]}.pdf"'
        assert answer.headers["Cache-Control"] == "private, no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_head_has_no_bytes(settled: Household) -> None:
    answer = document(settled.client, bills_of(settled, POWER)[0], "HEAD")

    assert (answer.status_code, answer.content) == (200, b"")
    assert "attachment" in answer.headers["Content-Disposition"]


@pytest.mark.parametrize("provider_id", [GAS, WATER])
def test_a_utility_without_documents(settled: Household, provider_id: str) -> None:
    bill = bills_of(settled, provider_id)[0]

    assert bill["document_url"] is None
    assert refused(document(settled.client, bill), 404)["code"] == "no_document"


def test_only_its_owner_gets_it(settled: Household, stranger: Household, nobody: Client) -> None:
    bill = bills_of(settled, POWER)[0]

    assert refused(document(stranger.client, bill), 404)["code"] == "bill_not_found"
    assert refused(document(settled.client, {"bill_id": f"bil_{'0' * 26}"}), 404)["code"] == "bill_not_found"
    assert refused(document(settled.client, {"bill_id": "x"}), 404)["code"] == "bill_not_found"
    refused(document(nobody, bill), 401)


def test_the_utilitys_own_reference_shows_nowhere(settled: Household) -> None:
    bill = bills_of(settled, POWER)[0]
    paths = ["/bills?limit=200", f"/bills/{bill['bill_id']}", "/users/me/export"]
    paths += [f"/bills/export?format={each}" for each in ("json", "csv", "green-button")]

    for path in paths:
        answer = settled.client.send("GET", path)
        assert answer.status_code == 200, path
        assert [own for own in OWN_PATHS if own in answer.text] == [], path


def test_a_locked_account(treated: Treated) -> None:
    """The account says what the utility wants, and the utility is left alone from then on."""
    treated.as_("locked")

    assert refused(treated.document(), 409)["code"] == "action_required"

    link = treated.await_state("ACTION_REQUIRED")
    assert (link["status_detail"], link["customer_action_required"]) == ("locked", True)
    assert refused(treated.document(), 409)["code"] == "action_required"


def test_a_code_that_the_utility_asks_for(treated: Treated) -> None:
    treated.as_("mfa")
    assert refused(treated.document(), 409)["code"] == "action_required"
    link = treated.await_state("MFA_REQUIRED")
    assert link["mfa"]["methods"] == ["sms", "email"]

    treated.answer("246810")

    treated.await_state("ACTIVE")
    answer = await_value(lambda: found if (found := treated.document()).ok else None, STEP_SECONDS, "the document")
    assert answer.content.startswith(b"%PDF-1.4\n")


def test_a_utility_that_is_down(treated: Treated) -> None:
    treated.take(down=True)

    answer = treated.document()

    assert refused(answer, 503)["code"] == "provider_unavailable"
    assert int(answer.headers["Retry-After"]) >= 1
    assert treated.link()["state"] == "ACTIVE", "a document says nothing of how reading bills goes"
    treated.take(down=False)
    assert treated.document().status_code == 200
