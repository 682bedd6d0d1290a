"""A link through its life, on the running platform: named, repaired, linked twice, too many; and what nobody may read.

The end states of the sandbox's scenarios stand in test_scenarios.py.
"""

import json
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest
import requests

from functions.account_linking_service.states import TRANSITIONS, LinkEvent, LinkState
from functions.common.rpc.envelope import Call, Reply
from functions.contracts.rpc.accounts_pb2 import (
    EnsureManualLinkRequest,
    FindLinksReply,
    FindLinksRequest,
    LinkedAccount,
)
from infra import template
from infra.client import Client, Json, example_params
from tests.integration.household import INTERNET, POWER, WATER, Household, register
from tests.integration.patience import await_value
from tests.integration.platform import Platform
from tests.integration.problems import refused

STATE_SECONDS = 60.0
MAX_LINKS = 50
NOBODY_S = "lnk_01JD3N8Z6W3V9K4T7Q2M5XBRPC"
ACCOUNTS = "billing.accounts.v1.Accounts"


def await_state(user: Household, link_id: str, state: str) -> Json:
    def reached() -> Json | None:
        link = user.client.call("GET", f"/accounts/{link_id}")
        return link if link["state"] == state else None

    return await_value(reached, STATE_SECONDS, f"{state} of {link_id}")


def moves(link: Json) -> list[tuple[str, str, str]]:
    """Oldest first."""
    return [(entry["previous_state"], entry["event"], entry["state"]) for entry in reversed(link["history"])]


def new_login(user: Household) -> Json:
    password = secrets.token_urlsafe(15)
    user.secret.append(password)
    return {"username": "good", "password": password}


# names and entity tags


def test_a_link_gets_a_name_and_loses_it(household: Household) -> None:
    path = f"/accounts/{household.link(INTERNET, 'empty')}"

    named = household.client.call("PATCH", path, {"nickname": "Ferienhaus – Küche 🏡"})

    assert named["nickname"] == household.client.call("GET", path)["nickname"] == "Ferienhaus – Küche 🏡"
    assert household.client.call("PATCH", path, {})["nickname"] == "Ferienhaus – Küche 🏡"
    assert household.client.call("PATCH", path, {"nickname": None})["nickname"] is None
    refused(household.client.send("PATCH", path, json={"nickname": "x" * 61}), 422, "nickname")
    refused(household.client.send("PATCH", path, json={"state": "ACTIVE"}), 422, "state")


def test_of_two_that_saw_the_same_version_one_is_told(household: Household) -> None:
    link_id = household.link(INTERNET, "empty")
    await_state(household, link_id, "ACTIVE")
    path = f"/accounts/{link_id}"
    seen = household.client.send("GET", path).headers["ETag"]

    first = household.client.send("PATCH", path, json={"nickname": "first"}, headers={"If-Match": seen})
    second = household.client.send("PATCH", path, json={"nickname": "second"}, headers={"If-Match": seen})
    third = household.client.send("PUT", f"{path}/credentials", json=new_login(household), headers={"If-Match": seen})

    assert first.status_code == 200
    refused(second, 412)
    refused(third, 412)
    newest = household.client.send("GET", path)
    assert newest.headers["ETag"] == first.headers["ETag"] == second.headers["ETag"]
    assert newest.json()["nickname"] == "first"
    assert household.client.send("GET", path, headers={"If-None-Match": first.headers["ETag"]}).status_code == 304


# repairing


def test_another_login_brings_a_refused_link_back_at_once(household: Household) -> None:
    link_id = household.link(POWER, "bad_login")
    broken = await_state(household, link_id, "ACTION_REQUIRED")
    assert (broken["status_detail"], broken["customer_action_required"]) == ("invalid_credentials", True)

    repaired = household.client.call("PUT", f"/accounts/{link_id}/credentials", new_login(household))

    assert (repaired["state"], repaired["status_detail"]) == ("CONNECTING", None)
    healthy = await_state(household, link_id, "ACTIVE")
    assert (healthy["customer_action_required"], healthy["consecutive_failures"]) == (False, 0)
    assert moves(healthy)[-2:] == [
        ("ACTION_REQUIRED", "credentials_replaced", "CONNECTING"),
        ("CONNECTING", "succeeded", "ACTIVE"),
    ]
    assert household.client.bills().of(link_id)


def test_another_login_may_be_given_to_a_link_that_works(household: Household) -> None:
    """And again and again, also at once: the last one that was taken counts, and the link comes to rest."""
    link_id = household.link(INTERNET)
    await_state(household, link_id, "ACTIVE")
    path = f"/accounts/{link_id}/credentials"
    logins = [new_login(household) for _ in range(6)]

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda login: household.client.send("PUT", path, json=login), logins))

    assert {answer.status_code for answer in answers} <= {200, 503}
    assert 200 in {answer.status_code for answer in answers}
    assert await_state(household, link_id, "ACTIVE")["status_detail"] is None
    assert household.refresh(link_id)["state"] == "succeeded"


def test_the_history_is_a_walk_through_the_table_of_states(household: Household) -> None:
    link_id = household.link(POWER, "bad_login")
    await_state(household, link_id, "ACTION_REQUIRED")
    household.client.call("PUT", f"/accounts/{link_id}/credentials", new_login(household))
    walked = await_state(household, link_id, "ACTIVE")

    at = LinkState.PENDING
    for before, event, after in moves(walked):
        assert LinkState(before) is at
        assert TRANSITIONS[at, LinkEvent(event)] == after
        at = LinkState(after)
    assert at == walked["state"]
    times = [datetime.fromisoformat(entry["at"]) for entry in walked["history"]]
    assert times == sorted(times, reverse=True)
    assert "history" not in household.client.accounts()[0]


def test_a_code_that_nobody_waits_for(household: Household) -> None:
    link_id = household.link(INTERNET, "empty")

    problem = refused(household.client.send("POST", f"/accounts/{link_id}/mfa", json={"code": "135791"}), 409)

    assert problem["code"] == "mfa_not_required"
    refused(household.client.send("POST", f"/accounts/{link_id}/mfa", json={"code": "not; a code"}), 422, "code")


@pytest.mark.parametrize(
    ("method", "path"),
    [("PATCH", "/accounts/{}"), ("PUT", "/accounts/{}/credentials"), ("POST", "/accounts/{}/mfa")],
)
def test_an_unknown_link_is_404_whatever_the_body_says(
    household: Household, stranger: Household, method: str, path: str
) -> None:
    link_id = household.link(INTERNET, "empty")
    for client, unknown in ((household.client, NOBODY_S), (household.client, "x"), (stranger.client, link_id)):
        refused(client.send(method, path.format(unknown), json={"what": "ever"}), 404)


# several accounts


def test_several_accounts_at_one_provider(household: Household) -> None:
    """Each with its own login, state and bills."""
    good, bad, other = (household.link(POWER, scenario) for scenario in ("good", "bad_login", "good"))
    household.settle()

    states = {account["link_id"]: account["state"] for account in household.client.accounts()}
    assert states == {good: "ACTIVE", bad: "ACTION_REQUIRED", other: "ACTIVE"}
    found = household.client.bills()
    assert found.of(good)
    assert found.of(other)
    assert not found.of(bad)


def test_the_same_account_twice_names_the_link_that_is_there(household: Household) -> None:
    params = example_params(household.providers[WATER])
    link_id = str(household.link_with(WATER, "good", params)["link_id"])

    spaced = {name: f" {value.lower()} " if name == "account_number" else value for name, value in params.items()}
    for again in (params, spaced):
        answer = link(household, WATER, again)
        if answer.status_code != 422:  # where the provider's own rule does not take it, spelt so
            assert link_id in refused(answer, 409)["detail"]


@pytest.mark.usefixtures("atomic")
def test_the_same_account_at_the_same_time_is_linked_once(household: Household) -> None:
    params = example_params(household.providers[INTERNET])
    household.secret.extend(params.values())

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: link(household, INTERNET, params), range(8)))

    assert sorted(answer.status_code for answer in answers) == [201, *[409] * 7]
    [account] = household.client.accounts()
    for answer in answers:
        if answer.status_code == 409:
            assert account["link_id"] in answer.json()["detail"]


def test_a_user_has_so_many_links_and_no_more(household: Household) -> None:
    for _ in range(MAX_LINKS):
        household.link(INTERNET, "empty")

    problem = refused(link(household, INTERNET, example_params(household.providers[INTERNET])), 409)

    assert problem["code"] == "too_many_links"
    assert len(household.client.accounts()) == MAX_LINKS
    household.client.unlink(household.client.accounts()[0]["link_id"])
    household.link(INTERNET, "empty")


def link(user: Household, provider_id: str, params: Json) -> requests.Response:
    body = {"provider_id": provider_id, "params": params, "credentials": new_login(user)}
    return user.client.send("POST", "/accounts", json=body)


# what other services ask


def test_an_account_is_found_by_its_number_whoever_linked_it(
    platform: Platform, household: Household, stranger: Household
) -> None:
    params = example_params(household.providers[POWER])
    mine, theirs = (str(user.link_with(POWER, "good", params)["link_id"]) for user in (household, stranger))
    request = FindLinksRequest(provider_id=POWER, account_number=params["account_number"])

    def found() -> set[str]:
        reply = FindLinksReply.FromString(asked(platform, "FindLinks", request.SerializeToString()))
        return {link.link_id for link in reply.items}

    await_value(lambda: found() == {mine, theirs}, 30, "both links of the account")
    stranger.client.unlink(theirs)
    await_value(lambda: found() == {mine}, 30, "the end of the unlinked one")


def test_a_user_has_one_link_that_files_feed(platform: Platform, household: Household) -> None:
    request = EnsureManualLinkRequest(user_id=household.user_id, provider_id="prv_green_button").SerializeToString()

    one, again = (LinkedAccount.FromString(asked(platform, "EnsureManualLink", request)) for _ in range(2))

    assert one == again
    [account] = household.client.accounts()
    assert (account["link_id"], account["kind"], account["state"]) == (one.link_id, "manual", "ACTIVE")
    assert account["next_refresh_at"] is None
    path = f"/accounts/{one.link_id}/credentials"
    assert refused(household.client.send("PUT", path, json=new_login(household)), 409)["code"] == "link_is_manual"


def asked(platform: Platform, method: str, message: bytes) -> bytes:
    call = Call(f"{ACCOUNTS}/{method}", message, 10_000, f"it-{method}")
    reply = Reply.from_payload(platform.invoke("AccountRpc", call.to_payload()))
    assert not reply.status, reply.detail
    return reply.message


# what nobody may read


@pytest.fixture
def discreet(nobody: Client, secret: list[str]) -> Iterator[Household]:
    """A user whose every secret is known, and was never used elsewhere."""
    user = register(nobody, [])
    secret.append(user.password)
    yield user
    secret += user.secret
    for account in user.client.accounts():
        user.client.unlink(account["link_id"])


def test_no_secret_stands_in_a_log_an_event_a_table_or_the_export(platform: Platform, discreet: Household) -> None:
    """Passwords, a code and account numbers, of a link through refusal, repair, challenge, wrong code and the end."""
    number = {"account_number": "FN" + "".join(str(secrets.randbelow(10)) for _ in range(8))}
    code = "".join(str(secrets.randbelow(10)) for _ in range(12))
    discreet.secret.append(code)
    with platform.overheard() as bus:
        link_id = str(discreet.link_with(INTERNET, "bad_login", number)["link_id"])
        await_state(discreet, link_id, "ACTION_REQUIRED")
        login = new_login(discreet) | {"username": "mfa"}
        discreet.client.call("PUT", f"/accounts/{link_id}/credentials", login)
        await_state(discreet, link_id, "MFA_REQUIRED")
        discreet.client.call("POST", f"/accounts/{link_id}/mfa", {"code": code})
        given = everything(platform)
        await_value(lambda: "mfa_code_invalid" in json.dumps(discreet.client.accounts()), STATE_SECONDS, "its refusal")
        discreet.client.call("PUT", f"/accounts/{link_id}/credentials", new_login(discreet))
        await_state(discreet, link_id, "ACTIVE")
        read = everything(platform)
        exported = json.dumps(discreet.client.call("GET", "/users/me/export"))
        discreet.client.unlink(link_id)
        await_value(lambda: "account.unlinked.v1" in "".join(bus()), 30, "the news of its end")
        told = "".join(bus())
    logged = "".join(line for function in template.functions() for line in platform.log_lines(function))

    for sign in ("account.linked.v1", "account.state_changed.v1", "bills.refresh_requested.v1", link_id):
        assert sign in told
    assert link_id in logged
    assert link_id in exported
    assert link_id in given
    where = {"log": logged, "event": told, "table": given + read + everything(platform), "export": exported}
    secret = [value for value in discreet.secret if len(value) >= 8]
    assert {code, *number.values(), login["password"]} <= set(secret)
    # the values themselves are not repeated here: this output is a log too
    assert [place for place, text in where.items() if any(value in text for value in secret)] == []


def everything(platform: Platform) -> str:
    """Every item of every table but the sandbox's, which is the utilities' own; binary values as the bytes that they
    are."""
    return "".join(f"{name} {item!r}\n" for name, item in platform.items("MockTable"))
