"""Every refusal that a caller can run into, through real HTTP; problem+json each time."""

import base64
import json
from typing import Any  # JSON

import pytest

from functions.common.ids import new_id
from infra.client import Client, example_params
from tests.integration.household import POWER, Household
from tests.integration.problems import refused


def good_link(user: Household) -> dict[str, Any]:
    return {
        "provider_id": POWER,
        "params": example_params(user.providers[POWER]),
        "credentials": {"username": "good", "password": "not-used"},
    }


# Who is asking


@pytest.mark.parametrize("header", [{}, {"Authorization": "Basic YTpi"}, {"Authorization": "Bearer "}])
def test_no_token_is_401(nobody: Client, header: dict[str, str]) -> None:
    refused(nobody.send("GET", "/users/me", headers=header), 401)


def test_a_tampered_token_is_401(settled: Household, nobody: Client) -> None:
    head, body, signature = settled.client.token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    changed = base64.urlsafe_b64encode(json.dumps({**claims, "roles": ["admin"]}).encode()).decode().rstrip("=")
    no_algorithm = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').decode().rstrip("=")

    for token in (f"{head}.{changed}.{signature}", f"{head}.{body}.{signature[::-1]}", f"{no_algorithm}.{body}."):
        refused(nobody.with_token(token).send("GET", "/bills"), 401)


def test_a_wrong_password_is_401_and_so_is_an_unknown_user(settled: Household, nobody: Client) -> None:
    wrong = {"email": settled.email, "password": "not the password"}
    unknown = {"email": "nobody@example.com", "password": "not the password"}

    first = refused(nobody.send("POST", "/auth/login", json=wrong), 401)
    second = refused(nobody.send("POST", "/auth/login", json=unknown), 401)

    assert (first["code"], first["detail"]) == (second["code"], second["detail"])


def test_the_operators_controls_need_the_role(settled: Household) -> None:
    refused(settled.client.send("POST", "/mock/clock", json={"advance_months": 1}), 403)
    refused(settled.client.send("POST", "/providers", json={}), 403)


# What is not there, or not theirs


def test_another_users_link_is_404(settled: Household, stranger: Household) -> None:
    link_id = settled.client.accounts()[0]["link_id"]

    refused(stranger.client.send("GET", f"/accounts/{link_id}"), 404)
    refused(stranger.client.send("DELETE", f"/accounts/{link_id}"), 404)
    refused(stranger.client.send("POST", "/refreshes", json={"link_ids": [link_id]}), 404)
    assert settled.client.send("GET", f"/accounts/{link_id}").status_code == 200


def test_another_users_bill_is_404_and_in_nobody_elses_list(settled: Household, stranger: Household) -> None:
    bill_id = settled.client.bills().items[0]["bill_id"]

    refused(stranger.client.send("GET", f"/bills/{bill_id}"), 404)
    assert stranger.client.bills().items == []


def test_another_users_job_is_404(settled: Household, stranger: Household) -> None:
    job = settled.refresh()

    refused(stranger.client.send("GET", f"/jobs/{job['job_id']}"), 404)


@pytest.mark.parametrize("path", ["/accounts/{}", "/jobs/{}", "/providers/{}"])
def test_an_unknown_or_ill_formed_id_is_404(stranger: Household, path: str) -> None:
    prefix = {"/accounts/{}": "lnk", "/jobs/{}": "job", "/providers/{}": "prv"}[path]

    for name in (new_id(prefix), "nonsense", f"{prefix}_", "x" * 300):
        refused(stranger.client.send("GET", path.format(name)), 404)


def test_an_unknown_provider_is_404_before_the_rest_is_judged(stranger: Household) -> None:
    refused(stranger.client.send("POST", "/accounts", json={"provider_id": "prv_unheard_of", "params": 7}), 404)


def test_an_unknown_path_is_404(nobody: Client, stranger: Household) -> None:
    for caller in (nobody, stranger.client):
        for path in ("/", "/nowhere", "/bills/x/y/z", "/users/me/nothing"):
            refused(caller.send("GET", path), 404)


# What does not belong there


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/providers", {"GET", "POST"}),
        ("PUT", "/providers/prv_clearwater", {"GET", "PATCH", "DELETE"}),
        ("PUT", "/users", {"POST"}),
        ("POST", "/bills", {"GET"}),
        ("PATCH", "/health", {"GET"}),
        ("GET", "/auth/login", {"POST"}),
    ],
)
def test_a_wrong_method_is_405_and_says_which_are_right(
    nobody: Client, method: str, path: str, allowed: set[str]
) -> None:
    answer = nobody.send(method, path)

    refused(answer, 405)
    assert {name.strip() for name in answer.headers["Allow"].split(",")} >= allowed
    assert method not in answer.headers["Allow"].split(", ")


def test_a_form_is_415(nobody: Client, stranger: Household) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}

    refused(nobody.send("POST", "/auth/login", data="email=a&password=b", headers=form), 415)
    refused(stranger.client.send("POST", "/accounts", data="provider_id=x", headers=form), 415)


@pytest.mark.parametrize(
    "body", ['{"email": ', "[1, 2]", "", '{"email": NaN}', '{"email": "a", "email": "b"}', '"text"', "[" * 2000]
)
def test_malformed_json_is_400(nobody: Client, stranger: Household, body: str) -> None:
    typed = {"Content-Type": "application/json"}

    refused(nobody.send("POST", "/users", data=body, headers=typed), 400)
    refused(stranger.client.send("POST", "/accounts", data=body, headers=typed), 400)


def test_a_body_that_is_too_large_is_413(nobody: Client) -> None:
    refused(nobody.send("POST", "/users", json={"name": "x" * 300_000}), 413)


# What does not validate


def test_registration_names_every_field_that_is_wrong(nobody: Client) -> None:
    good = {"email": "it@example.com", "password": "long enough it is", "name": "It"}

    refused(nobody.send("POST", "/users", json={}), 422, "email", "password", "name")
    refused(nobody.send("POST", "/users", json=good | {"password": "short", "name": 7}), 422, "password", "name")
    refused(nobody.send("POST", "/users", json=good | {"email": "no address"}), 422, "email")
    refused(nobody.send("POST", "/users", json=good | {"roles": ["admin"]}), 422, "roles")


def test_a_missing_and_an_ill_formed_parameter_are_named(stranger: Household) -> None:
    body = good_link(stranger)
    name = next(iter(body["params"]))

    refused(stranger.client.send("POST", "/accounts", json=body | {"params": {}}), 422, f"params.{name}")
    refused(stranger.client.send("POST", "/accounts", json=body | {"params": {name: "?!"}}), 422, f"params.{name}")
    refused(
        stranger.client.send("POST", "/accounts", json=body | {"params": body["params"] | {"shoe_size": "44"}}),
        422,
        "params.shoe_size",
    )
    assert stranger.client.accounts() == []


def test_a_problem_never_repeats_a_value_that_may_be_secret(stranger: Household) -> None:
    body = good_link(stranger)
    body["params"] = dict.fromkeys(body["params"], "hunter2hunter2hunter2hunter2!")

    answer = stranger.client.send("POST", "/accounts", json=body)

    refused(answer, 422)
    assert "hunter2" not in answer.text


@pytest.mark.parametrize("query", [{"limit": "0"}, {"limit": "201"}, {"limit": "many"}, {"cursor": "nonsense"}])
def test_a_query_that_does_not_validate_is_422_and_named(settled: Household, query: dict[str, str]) -> None:
    for path in ("/bills", "/accounts", "/providers"):
        refused(settled.client.send("GET", path, query=query), 422, *query)


def test_the_same_email_twice_is_409(household: Household, nobody: Client) -> None:
    again = {"email": household.email.upper(), "password": household.password, "name": "Again"}

    refused(nobody.send("POST", "/users", json=again), 409)


def test_the_same_account_twice_is_409(household: Household) -> None:
    params = example_params(household.providers[POWER])
    household.link_with(POWER, "good", params)
    again = {"provider_id": POWER, "params": params, "credentials": {"username": "good", "password": "x"}}

    refused(household.client.send("POST", "/accounts", json=again), 409)
    assert len(household.client.accounts()) == 1


# HEAD, OPTIONS, and what every answer carries


def test_head_is_get_without_the_body(settled: Household, nobody: Client) -> None:
    for caller, path in ((nobody, "/health"), (settled.client, "/providers"), (settled.client, "/bills")):
        answer = caller.send("HEAD", path)
        assert (answer.status_code, answer.content) == (200, b"")
    missing = nobody.send("HEAD", "/nowhere")
    assert (missing.status_code, missing.content) == (404, b"")


def test_options_names_the_methods(nobody: Client) -> None:
    answer = nobody.send("OPTIONS", "/providers")

    assert answer.status_code in {200, 204}
    assert {"GET", "POST"} <= {name.strip() for name in answer.headers["Allow"].split(",")}


def test_a_correlation_id_comes_back_and_a_bad_one_is_replaced(nobody: Client) -> None:
    kept = nobody.send("GET", "/health", headers={"X-Correlation-Id": "it-correlation-1"})
    replaced = nobody.send("GET", "/health", headers={"X-Correlation-Id": "<script>"})

    assert kept.headers["X-Correlation-Id"] == "it-correlation-1"
    assert replaced.headers["X-Correlation-Id"].startswith("cor_")


def test_answers_carry_security_and_limit_headers(settled: Household) -> None:
    headers = settled.client.send("GET", "/bills").headers

    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
    assert "q=" in headers["RateLimit-Policy"]
    assert "r=" in headers["RateLimit"]
