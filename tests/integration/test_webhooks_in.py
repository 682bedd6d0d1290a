"""Webhooks of utilities on the running platform: who signed is heeded, by every household that linked the account."""

import json
import secrets
import time
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
import requests
from standardwebhooks import Webhook

from infra.client import Client, Json, example_params
from tests.integration.household import JOB_SECONDS, POWER, Household, register
from tests.integration.patience import await_value
from tests.integration.problems import refused


@dataclass(frozen=True)
class Utility:
    """A utility with a webhook secret of its own."""

    nobody: Client
    provider_id: str
    secret: str

    def sign(
        self, announced: Mapping[str, object], *, age: float = 0, secret: str = "", webhook_id: str = ""
    ) -> tuple[dict[str, str], str]:
        webhook_id = webhook_id or f"msg_{secrets.token_hex(8)}"
        at, body = datetime.now(UTC) - timedelta(seconds=age), json.dumps(announced)
        return {
            "content-type": "application/json",
            "webhook-id": webhook_id,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": Webhook(secret or self.secret).sign(webhook_id, at, body),
        }, body

    def send(self, headers: Mapping[str, str], body: str, provider_id: str = "") -> requests.Response:
        path = f"/webhooks/providers/{provider_id or self.provider_id}"
        return self.nobody.send("POST", path, headers=headers, data=body)


@pytest.fixture
def utility(operator: Client, nobody: Client, secret: list[str]) -> Utility:
    made = operator.call("POST", f"/providers/{POWER}/webhook-secret")
    secret.append(made["secret"])
    return Utility(nobody, POWER, made["secret"])


@pytest.fixture
def account(household: Household) -> dict[str, str]:
    """An account that nobody else has."""
    params = example_params(household.providers[POWER])
    return {**params, "account_number": f"NP-{secrets.randbelow(10**8):08}"}


def read_at(household: Household, link_id: str) -> str:
    return str(household.client.call("GET", f"/accounts/{link_id}")["last_attempt_at"])


def bill_available(account: Mapping[str, str]) -> Json:
    return {"type": "bill.available", "account_number": account["account_number"]}


@pytest.fixture
def linked(
    household: Household, nobody: Client, secret: list[str], account: dict[str, str]
) -> Iterator[list[tuple[Household, str]]]:
    """Two households with the same account, each read once."""
    households = [household, register(nobody, secret)]
    found = [(each, str(each.link_with(POWER, "good", account)["link_id"])) for each in households]
    for each in households:
        each.settle()
    yield found
    for each, link_id in found:
        each.client.unlink(link_id)


def times(linked: list[tuple[Household, str]]) -> list[str]:
    return [read_at(household, link_id) for household, link_id in linked]


def test_an_announced_bill_is_read_for_every_household_and_a_replay_does_nothing(
    utility: Utility, linked: list[tuple[Household, str]], account: dict[str, str]
) -> None:
    before = times(linked)
    announcement = utility.sign(bill_available(account))

    answer = utility.send(*announcement)

    assert (answer.status_code, answer.json()) == (202, {})
    await_value(
        lambda: all(new > old for new, old in zip(times(linked), before, strict=True)), JOB_SECONDS, "both to be read"
    )

    after = times(linked)
    replayed = utility.send(*announcement)
    assert (replayed.status_code, replayed.json()) == (202, {})
    # what comes later is read, the replay is not: had it been heeded, its event would have come first
    [(household, link_id), (other, other_id)] = linked
    household.refresh(link_id)
    assert read_at(household, link_id) > after[0]
    time.sleep(2)
    assert read_at(other, other_id) == after[1]


def test_what_is_forged_old_or_for_nobody_is_refused_alike(utility: Utility, account: dict[str, str]) -> None:
    good = utility.sign(bill_available(account))
    other_secret = "whsec_" + b64encode(secrets.token_bytes(32)).decode()
    forged = [
        utility.send(*utility.sign(bill_available(account), secret=other_secret)),
        utility.send(*utility.sign(bill_available(account), age=360)),
        utility.send(*utility.sign(bill_available(account), age=-360)),
        utility.send(good[0], good[1].replace("bill", "Bill", 1)),
        utility.send({**good[0], "webhook-id": "msg_other"}, good[1]),
        utility.send({"content-type": "application/json"}, good[1]),
        utility.send(*good, provider_id="prv_greenline_gas"),
        utility.send(*good, provider_id="prv_nobody"),
        utility.send(*good, provider_id="x"),
    ]

    told = [{**refused(answer, 401), "instance": "", "correlation_id": ""} for answer in forged]
    assert all(each == told[0] for each in told)
    assert utility.send(*good).status_code == 202  # signed as it should be, and nobody has linked the account


def test_what_is_signed_and_wrong_is_told_so(utility: Utility, account: dict[str, str]) -> None:
    refused(utility.send(*utility.sign({"type": "bill.available"})), 422, "account_number")
    refused(utility.send(*utility.sign({**bill_available(account), "amount": 1})), 422, "amount")
    refused(utility.send(*utility.sign({**bill_available(account), "timestamp": "x" * 70_000})), 413)
    assert utility.send(*utility.sign({"type": "tariff.changed"})).status_code == 202


def test_the_secret_before_stays_good_and_the_one_before_that_does_not(
    utility: Utility, operator: Client, account: dict[str, str]
) -> None:
    made = [operator.call("POST", f"/providers/{POWER}/webhook-secret") for _ in range(2)]
    signed = [utility.sign(bill_available(account), secret=each["secret"]) for each in made]

    assert [utility.send(*each).status_code for each in signed] == [202, 202]
    refused(utility.send(*utility.sign(bill_available(account))), 401)
    assert made[1]["previous_ends_at"] > made[1]["valid_from"]


def test_only_an_admin_makes_a_secret(household: Household, operator: Client) -> None:
    refused(household.client.send("POST", f"/providers/{POWER}/webhook-secret"), 403)
    refused(operator.send("POST", "/providers/prv_nobody/webhook-secret"), 404)
    refused(operator.send("POST", "/providers/prv_green_button/webhook-secret"), 409)
