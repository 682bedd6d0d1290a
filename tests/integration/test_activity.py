"""The audit: what happened to a user, once each, for them alone, and gone with them."""

import json
import secrets
from collections import Counter
from collections.abc import Callable, Iterable

from functions.contracts.events.security import SecurityActionRecordedV1
from infra.client import Client, Json
from tests.integration.household import GAS, Household, register
from tests.integration.patience import await_value
from tests.integration.platform import Platform, sqs_event
from tests.integration.problems import refused

SECONDS = 60.0
ROUTE = "/users/me/activity"
ACTION = SecurityActionRecordedV1.TYPE


def activity(client: Client, **query: str | int) -> list[Json]:
    return [item for page in client.pages(ROUTE, **query) for item in page["items"]]


def await_told(client: Client, wanted: Iterable[str]) -> Counter[str]:
    """How often each summary stands there, when all of these do."""

    def told() -> Counter[str] | None:
        found = Counter(str(item["summary"]) for item in activity(client))
        return found if all(any(one.startswith(each) for one in found) for each in wanted) else None

    return await_value(told, SECONDS, f"an activity with {', '.join(wanted)}")


def counted(found: Counter[str], start: str) -> int:
    return sum(count for summary, count in found.items() if summary.startswith(start))


def test_what_happened_shows_once_each_though_delivered_twice(
    nobody: Client, secret: list[str], platform: Platform
) -> None:
    with platform.overheard() as heard:
        user = register(nobody, secret)
        refused(nobody.send("POST", "/auth/login", json={"email": user.email, "password": "another one"}), 401)
        user.link(GAS)
        user.settle()
        user.refresh()
        change_password(user)
        wanted = {
            "User registered": 1, "Login succeeded": 1, "Login failed": 1, "Account linked": 1,
            "Bills refresh requested: user": 1, "Password changed": 1,
        }  # fmt: skip
        await_told(user.client, wanted)
        platform.await_empty("AuditQueue")
        mine = [event for event in heard() if user.user_id in event]

    for event in mine:
        assert platform.invoke("AuditWorker", sqs_event(event, event)) == {"batchItemFailures": []}

    items = activity(user.client)
    found = Counter(str(item["summary"]) for item in items)
    assert {start: counted(found, start) for start in wanted} == wanted
    assert {item["event_id"] for item in items} >= {json.loads(event)["id"] for event in mine}
    assert len({item["event_id"] for item in items}) == len(items)
    assert [item["at"] for item in items] == sorted((item["at"] for item in items), reverse=True)
    assert {item["actor"] for item in items if item["summary"].startswith("Login failed")} == {"unknown"}
    assert all(item["address"] for item in items if item["type"] == ACTION)
    text = json.dumps(items) + "".join(mine)
    assert [value for value in (*user.secret, user.email) if value in text] == []
    assert user.client.send("DELETE", "/users/me").status_code == 202


def change_password(user: Household) -> None:
    chosen = secrets.token_urlsafe(18)
    user.secret.append(chosen)
    body = {"current_password": user.password, "new_password": chosen}
    answer = user.client.send("POST", "/users/me/password", json=body)
    assert answer.status_code == 204, answer.text


def test_nobody_reads_anothers(settled: Household, stranger: Household) -> None:
    await_told(settled.client, ["Account linked"])
    await_told(stranger.client, ["Login succeeded"])

    theirs = activity(stranger.client)
    assert not {item["event_id"] for item in activity(settled.client)} & {item["event_id"] for item in theirs}
    assert settled.user_id not in json.dumps(theirs)
    answer = stranger.client.send("GET", ROUTE, query={"user_id": settled.user_id})
    assert answer.status_code == 422
    assert stranger.client.with_token("").send("GET", ROUTE).status_code == 401


def test_types_pages_and_known_copies(settled: Household) -> None:
    await_told(settled.client, ["User registered", "Login succeeded", "Account linked"])

    actions = activity(settled.client, type=ACTION, limit=1)
    assert {item["type"] for item in actions} == {ACTION}
    assert {"User registered"} < {str(item["summary"]).partition(":")[0] for item in actions}
    first = settled.client.send("GET", ROUTE, query={"type": "account.linked.v1"})
    again = settled.client.send(
        "GET", ROUTE, query={"type": "account.linked.v1"}, headers={"If-None-Match": first.headers["ETag"]}
    )
    assert (first.status_code, again.status_code) == (200, 304)


def test_what_admins_do_shows_and_what_others_try(operator: Client, stranger: Household) -> None:
    assert operator.send("GET", "/mock/clock").status_code == 200
    assert operator.send("PATCH", f"/providers/{GAS}", json={"unknown": 1}).status_code == 422
    assert stranger.client.send("GET", "/mock/clock").status_code == 403

    done = [
        "Role granted: admin",
        "Admin request: GET /mock/clock → 200",
        f"Admin request: PATCH /providers/{GAS} → 422",
    ]
    await_told(operator, done)
    await_told(stranger.client, ["Admin request: GET /mock/clock → 403"])
    granted = [item for item in activity(operator) if str(item["summary"]).startswith("Role granted")]
    assert [item["actor"] for item in granted] == ["operator"]


def test_a_login_with_an_e_mail_that_nobody_has_is_kept_without_it(nobody: Client, platform: Platform) -> None:
    email = f"nobody-{secrets.token_hex(8)}@example.com"
    with platform.overheard() as heard:
        refused(nobody.send("POST", "/auth/login", json={"email": email, "password": "a long enough one"}), 401)
        [event] = await_value(told_of_nobody(heard), SECONDS, "a failed login of nobody")

    def kept() -> Json | None:
        key = {"user_id": {"S": "platform"}, "sk": {"S": f"{event['time']}#{event['id']}"}}
        found = platform.dynamodb.get_item(TableName=platform.ids["AuditTable"], Key=key)
        return found.get("Item")

    item = json.dumps(await_value(kept, SECONDS, "its entry"))
    assert "Login failed" in item
    assert email not in item
    assert "127.0.0.1" not in item


def told_of_nobody(heard: Callable[[], list[str]]) -> Callable[[], list[Json] | None]:
    def look() -> list[Json] | None:
        events = [json.loads(text) for text in heard()]
        return [event for event in events if event["type"] == ACTION and event["data"]["user_id"] == ""][-1:] or None

    return look


def test_a_deletion_empties_it(nobody: Client, secret: list[str], platform: Platform) -> None:
    user = register(nobody, secret)
    await_told(user.client, ["User registered", "Login succeeded"])
    assert user.client.send("DELETE", "/users/me").status_code == 202

    def held() -> list[str]:
        pages = platform.dynamodb.get_paginator("query").paginate(
            TableName=platform.ids["AuditTable"],
            KeyConditionExpression="user_id = :user",
            ExpressionAttributeValues={":user": {"S": user.user_id}},
        )
        return [item["sk"]["S"] for page in pages for item in page["Items"]]

    await_value(lambda: held() == ["user#gone"], SECONDS, "an empty audit of who left")
    platform.await_empty("AuditQueue")
    assert held() == ["user#gone"]
    assert activity(user.client) == []
