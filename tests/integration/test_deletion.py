"""A user's own data: all of it can be seen, and all of it goes, whatever is down meanwhile."""

import json
import re
from collections.abc import Iterable
from datetime import UTC, datetime

import pytest

from functions.contracts.events.accounts import AccountStateChangedV1
from functions.contracts.events.bills import BillsRefreshRequestedV1
from functions.contracts.events.envelope import EventData, wrap
from functions.contracts.events.users import UserDeletedV1
from infra.client import Client, Json, example_params
from tests.integration.household import GAS, INTERNET, POWER, Household, register
from tests.integration.patience import await_value
from tests.integration.platform import Platform, sqs_event
from tests.integration.problems import refused

PURGE_SECONDS = 90.0
SCHEDULE = {
    "id": "1", "version": "0", "detail-type": "Scheduled Event", "source": "aws.events", "account": "000000000000",
    "time": "2026-01-01T00:00:00Z", "region": "us-east-1", "resources": [], "detail": {},
}  # fmt: skip
MARK = {"user_id", "link_id", "sk", "expires_at"}
SHARED = ("ProvidersTable", "MockTable", "MigrationsTable")
"""Tables that hold nothing of any user."""


def test_an_export_has_everything_and_no_secret(nobody: Client, secret: list[str]) -> None:
    user = register(nobody, secret)
    params = example_params(user.providers[POWER])
    before = len(secret)
    power = str(user.link_with(POWER, "good", params)["link_id"])
    given = secret[before:]
    unlinked = user.link(INTERNET)
    user.settle()
    user.client.unlink(unlinked)
    job = user.refresh(power)
    bills = user.client.bills().of(power)

    exported = user.client.call("GET", "/users/me/export")

    assert exported["user"]["user_id"] == user.user_id
    assert exported["user"]["email"] == user.email
    assert len(exported["sessions"]) == 1
    links = {link["link_id"]: link for link in exported["accounts"]["links"]}
    assert links[power]["account_identifier"].endswith(params["account_number"][-4:])
    assert links[unlinked]["state"] == "REVOKED"
    assert {bill["bill_id"]: facts(bill) for bill in exported["bills"]["bills"]} == {
        bill["bill_id"]: facts(bill) for bill in bills
    }
    assert power in {link["link_id"] for link in exported["bills"]["links"]}
    assert exported["next_cursor"] is None
    assert job["job_id"] in {found["job_id"] for found in exported["jobs"]["items"]}
    await_value(lambda: "User registered" in told(user.client), PURGE_SECONDS, "what was told of the registration")
    text = json.dumps(exported)
    assert [value for value in (*given, user.password, user.client.token) if value in text] == []
    assert not re.search(r"password|ciphertext|wrapped_key|_hash|token", text)
    delete(user.client)


def told(client: Client) -> set[str]:
    """Summaries of what the export has of the audit."""
    return {entry["summary"] for entry in client.call("GET", "/users/me/export")["activity"]["items"]}


def facts(bill: Json) -> tuple[object, ...]:
    return tuple(bill[name] for name in ("version", "amount_minor", "currency", "due_date", "line_items", "link_id"))


def test_a_deleted_user_is_gone_everywhere_and_may_come_again(
    nobody: Client, secret: list[str], platform: Platform
) -> None:
    user = settled(nobody, secret)
    link_ids = [account["link_id"] for account in user.client.accounts()]
    user.refresh()

    for _ in range(2):
        delete(user.client)

    assert user.client.send("GET", "/users/me").status_code in {401, 404}
    refused(nobody.send("POST", "/auth/login", json={"email": user.email, "password": user.password}), 401)
    await_gone(platform, user, link_ids)
    assert user.client.send("GET", "/users/me").status_code in {401, 404}
    assert user.client.bills().items == []
    again = nobody.register(user.email, user.password, "The Same Again")
    assert again["user_id"] != user.user_id
    anew = nobody.login(user.email, user.password)
    secret.append(anew.token)
    assert anew.accounts() == []
    delete(anew)


def test_nothing_that_comes_late_brings_anything_back(nobody: Client, secret: list[str], platform: Platform) -> None:
    """Through the bus, straight to a worker, and by a token that still lives."""
    user = settled(nobody, secret)
    (gas,) = [account["link_id"] for account in user.client.accounts() if account["provider_id"] == GAS]
    delete(user.client)
    await_gone(platform, user, [gas])
    late: tuple[tuple[str, EventData], ...] = (
        ("RefreshWorker", BillsRefreshRequestedV1(user_id=user.user_id, link_id=gas, reason="provider")),
        (
            "ProjectionWorker",
            AccountStateChangedV1(
                user_id=user.user_id, link_id=gas, provider_id=GAS, state="ACTIVE", version=99, previous_state="STALE"
            ),
        ),
        ("PurgeWorker", UserDeletedV1(user_id=user.user_id)),
        ("AuditWorker", UserDeletedV1(user_id=user.user_id)),
    )

    for worker, data in late:
        event = wrap(data, datetime.now(UTC))
        platform.publish(event)
        assert platform.invoke(worker, sqs_event(event.to_json())) == {"batchItemFailures": []}
    linking = {
        "provider_id": GAS,
        "params": example_params(user.providers[GAS]),
        "credentials": {"username": "good", "password": "whatever"},
    }
    assert user.client.send("POST", "/accounts", json=linking).status_code == 401
    assert user.client.send("POST", "/refreshes").status_code in {401, 409}
    for queue in ("RefreshQueue", "ProjectionQueue", "PurgeQueue", "AuditQueue"):
        platform.await_empty(queue)

    assert traces(platform, user, [gas]) == []


@pytest.mark.parametrize("down", ["AccountRpc", "BillRpc", "ActivityRpc", "UserRpc"])
def test_a_deletion_ends_although_a_service_was_down(
    nobody: Client, secret: list[str], platform: Platform, down: str
) -> None:
    user = settled(nobody, secret)
    link_ids = [account["link_id"] for account in user.client.accounts()]

    with platform.impatient("PurgeQueue"):
        with platform.stopped(down):
            delete(user.client)
            await_value(lambda: deferred(platform, user), PURGE_SECONDS, "a try that met the service that is down")
            assert traces(platform, user, link_ids)
            refused(
                nobody.send("POST", "/users", json={"email": user.email, "password": user.password, "name": "X"}), 409
            )
        await_gone(platform, user, link_ids)
    nobody.register(user.email, user.password, "The Same Again")
    delete(nobody.login(user.email, user.password))


def test_a_deletion_ends_although_the_broker_was_down(nobody: Client, secret: list[str], platform: Platform) -> None:
    """Its event waits in the user's item, and the sweep sends it."""
    user = settled(nobody, secret)
    link_ids = [account["link_id"] for account in user.client.accounts()]
    with platform.stopped("BrokerRpc"):
        delete(user.client)
    assert traces(platform, user, link_ids)

    def swept() -> bool:
        platform.invoke("Sweep", SCHEDULE)
        return not traces(platform, user, link_ids)

    await_value(swept, PURGE_SECONDS, "the end of a deletion whose event was left behind")


def delete(client: Client) -> None:
    answer = client.send("DELETE", "/users/me")
    assert answer.status_code == 202, answer.text


def settled(nobody: Client, secret: list[str]) -> Household:
    user = register(nobody, secret)
    user.link(GAS)
    user.settle()
    return user


def deferred(platform: Platform, user: Household) -> bool:
    """Whether a worker could not finish the user's deletion."""
    return any("purge_part_failed" in line and user.user_id in line for line in platform.log_lines("PurgeWorker"))


def await_gone(platform: Platform, user: Household, link_ids: Iterable[str]) -> None:
    ids = list(link_ids)
    await_value(lambda: not traces(platform, user, ids), PURGE_SECONDS, f"the end of what is held on {user.user_id}")


def traces(platform: Platform, user: Household, link_ids: Iterable[str]) -> list[str]:
    """Items that have anything to do with the user, beside the marks that keep late writes out."""
    about = (user.user_id, user.email, *link_ids)
    found = []
    for table, item in platform.items(*SHARED):
        text = json.dumps(item, default=repr)
        is_mark = item.keys() <= MARK and "user#gone" in text
        if not is_mark and any(one in text for one in about):
            found.append(f"{table} {text[:200]}")
    return found
