"""`Idempotency-Key` on every route that creates: once, whatever the network did to the first answer."""

import secrets
from concurrent.futures import ThreadPoolExecutor
from typing import Any  # JSON

import pytest

from infra.client import Client, example_params
from tests.integration.household import POWER, Household
from tests.integration.platform import Platform
from tests.integration.problems import refused

KEY, REPLAYED = "Idempotency-Key", "Idempotency-Replayed"


@pytest.fixture
def key() -> dict[str, str]:
    return {KEY: f"it-{secrets.token_hex(8)}"}


def linking(user: Household) -> dict[str, Any]:
    password = secrets.token_urlsafe(15)
    params = example_params(user.providers[POWER])
    user.secret += [password, *params.values()]
    return {"provider_id": POWER, "params": params, "credentials": {"username": "good", "password": password}}


def registration(secret: list[str]) -> dict[str, str]:
    password = secrets.token_urlsafe(18)
    secret.append(password)
    return {"email": f"it-{secrets.token_hex(8)}@example.com", "password": password, "name": "Integration Test"}


def test_registering_again_with_the_same_key_is_no_409(nobody: Client, secret: list[str], key: dict[str, str]) -> None:
    body = registration(secret)

    first = nobody.send("POST", "/users", json=body, headers=key)
    again = nobody.send("POST", "/users", json=body, headers=key)

    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    assert (first.headers.get(REPLAYED), again.headers.get(REPLAYED)) == (None, "true")
    refused(nobody.send("POST", "/users", json=body), 409)


def test_linking_again_with_the_same_key_links_once(household: Household, key: dict[str, str]) -> None:
    body = linking(household)

    first = household.client.send("POST", "/accounts", json=body, headers=key)
    again = household.client.send("POST", "/accounts", json=body, headers=key)

    assert first.status_code == 201, first.text
    assert again.json() == first.json()
    assert [account["link_id"] for account in household.client.accounts()] == [first.json()["link_id"]]


def test_asking_for_a_refresh_again_with_the_same_key_names_the_same_job(
    settled: Household, key: dict[str, str]
) -> None:
    first = settled.client.send("POST", "/refreshes", headers=key)
    settled.await_job(first.json()["job_id"])  # without the key, another job would begin now
    again = settled.client.send("POST", "/refreshes", headers=key)

    assert (first.status_code, again.status_code) == (202, 202)
    assert again.json()["job_id"] == first.json()["job_id"]
    assert again.headers["Location"] == first.headers["Location"]


def test_a_provider_is_entered_once(operator: Client, settled: Household, key: dict[str, str]) -> None:
    known = operator.call("GET", f"/providers/{POWER}")
    fields = ("service_types", "country", "currency", "time_zone", "adapter", "base_url", "auth_type")
    name = secrets.token_hex(4)
    body = {field: known[field] for field in fields} | {"name": f"Idempotent {name}", "customer_params": []}

    first = operator.send("POST", "/providers", json=body, headers=key)
    again = operator.send("POST", "/providers", json=body, headers=key)

    assert (first.status_code, again.status_code) == (201, 201), first.text
    assert again.json() == first.json()
    refused(operator.send("POST", "/providers", json=body), 409)
    # a key is its user's own: for others it stands for nothing
    refused(settled.client.send("POST", "/providers", json=body, headers=key), 403)


def test_the_same_key_with_another_body_or_on_another_route_is_422(household: Household, key: dict[str, str]) -> None:
    body = linking(household)
    household.client.send("POST", "/accounts", json=body, headers=key)

    other = household.client.send("POST", "/accounts", json=body | {"nickname": "Other"}, headers=key)
    elsewhere = household.client.send("POST", "/refreshes", headers=key)

    for answer in (other, elsewhere):
        assert refused(answer, 422, KEY)["code"] == "idempotency_key_reused"
    assert len(household.client.accounts()) == 1


def test_of_ten_at_once_one_creates(nobody: Client, secret: list[str], key: dict[str, str]) -> None:
    body = registration(secret)
    clients = [Client(nobody.base_url) for _ in range(10)]

    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda each: each.send("POST", "/users", json=body, headers=key), clients))
    for client in clients:
        client.close()

    created = [answer for answer in answers if answer.status_code == 201]
    assert len({answer.json()["user_id"] for answer in created}) == 1
    assert len([answer for answer in created if REPLAYED not in answer.headers]) == 1
    for answer in answers:  # whoever could not wait so long is told to come again
        if answer.status_code != 201:
            assert refused(answer, 409)["code"] == "idempotency_in_progress"
            assert int(answer.headers["Retry-After"]) >= 1


@pytest.mark.parametrize("bad", ["a b", "x" * 256])
def test_a_key_that_is_none_is_400(nobody: Client, bad: str) -> None:
    refused(nobody.send("POST", "/users", json={}, headers={KEY: bad}), 400, KEY)


def test_a_record_holds_neither_the_key_nor_the_request(
    platform: Platform, nobody: Client, secret: list[str], key: dict[str, str]
) -> None:
    body = registration(secret)
    nobody.send("POST", "/users", json=body, headers=key)

    kept = [str(item) for table, item in platform.items() if table == "IdempotencyTable"]

    assert [item for item in kept if body["email"] in item]  # the answer
    assert not [item for item in kept if key[KEY] in item or body["password"] in item]
