from typing import Any

import pytest
from standardwebhooks import Webhook as Receiver

from functions.broker_service import bootstrap
from functions.broker_service.webhooks import EVENT_TYPES
from functions.broker_service.webhooks_app import app as webhooks
from functions.common.http.app import ServiceApp
from functions.common.ids import new_id
from tests.support.http import Result, configure, request, token
from tests.support.ssrf import REFUSED
from tests.unit.broker_service.fakes import ANNA, BERT
from tests.unit.broker_service.webhook_fakes import CREATED, MAX_WEBHOOKS, URL, WebhookWorld, bill_created


@pytest.fixture
def world() -> WebhookWorld:
    return WebhookWorld()


@pytest.fixture
def app(world: WebhookWorld, monkeypatch: pytest.MonkeyPatch) -> ServiceApp:
    monkeypatch.setattr(bootstrap, "webhooks", lambda: world.webhooks)
    return configure(webhooks)


def call(app: ServiceApp, method: str, resource: str, body: object = None, user: str = ANNA, **more: Any) -> Result:
    names: dict[str, str] = {name: more.pop(name) for name in ("webhook_id", "delivery_id") if name in more}
    return request(app, method, resource, body, path=names or None, bearer=token(user), **more)


def create(app: ServiceApp, **changes: object) -> Result:
    return call(app, "POST", "/webhooks", {"url": URL, "event_types": [CREATED], **changes})


def test_a_webhook_is_registered_and_its_secret_shown_once(app: ServiceApp) -> None:
    made = create(app, description="mine", event_types=["bill.paid.v1", CREATED, CREATED])

    webhook: dict[str, Any] = made.json
    secret = webhook.pop("secret")
    assert made.status == 201
    assert made.headers["Location"] == f"webhooks/{webhook['webhook_id']}"
    assert webhook == {
        "webhook_id": webhook["webhook_id"], "url": URL, "event_types": [CREATED, "bill.paid.v1"],
        "description": "mine", "state": "active", "disabled_reason": None, "failing_since": None,
        "created_at": "2026-03-15T12:00:00.000Z",
    }  # fmt: skip
    assert secret.startswith("whsec_")
    Receiver(secret)  # one that the library takes
    assert call(app, "GET", "/webhooks/{webhook_id}", webhook_id=webhook["webhook_id"]).json == webhook
    assert call(app, "GET", "/webhooks").json == {"items": [webhook], "next_cursor": None}
    assert call(app, "GET", "/webhooks", user=BERT).json["items"] == []
    assert call(app, "GET", "/webhooks", query={"limit": "0"}).status == 422


def test_every_type_of_accounts_and_bills_can_be_had_and_no_other(app: ServiceApp) -> None:
    assert create(app, event_types=list(EVENT_TYPES)).status == 201

    refused = create(app, event_types=[CREATED, "user.deleted.v1", "bills.refresh_requested.v1"])

    assert (refused.status, refused.fields) == (422, {"event_types[1]", "event_types[2]"})


def test_webhooks_are_listed_by_the_page(app: ServiceApp) -> None:
    made = sorted(create(app).json["webhook_id"] for _ in range(3))

    first = call(app, "GET", "/webhooks", query={"limit": "2"}).json
    second = call(app, "GET", "/webhooks", query={"limit": "2", "cursor": first["next_cursor"]}).json

    assert [webhook["webhook_id"] for webhook in first["items"] + second["items"]] == made
    assert second["next_cursor"] is None
    assert call(app, "GET", "/webhooks", query={"cursor": "none"}).status == 422


@pytest.mark.parametrize("body", [{}, {"url": URL}, {"url": URL, "event_types": []}, {"url": 7, "event_types": ["x"]}])
def test_a_body_that_does_not_validate_is_refused(app: ServiceApp, body: object) -> None:
    assert call(app, "POST", "/webhooks", body).status == 422


@pytest.mark.parametrize("url", [url for url in REFUSED if url])
def test_no_webhook_leads_inside(app: ServiceApp, url: str) -> None:
    refused = create(app, url=url)

    assert (refused.status, refused.fields) == (422, {"url"})
    assert refused.json["errors"][0]["code"] == REFUSED[url]


def test_a_name_that_leads_inside_is_refused(app: ServiceApp, world: WebhookWorld) -> None:
    from functions.broker_service.webhooks import Reach

    world.webhooks._reach = Reach(resolve=lambda _: ["10.0.0.8"])

    assert create(app).fields == {"url"}


def test_there_is_a_limit_per_user(app: ServiceApp) -> None:
    for _ in range(MAX_WEBHOOKS):
        assert create(app).status == 201

    refused = create(app)

    assert (refused.status, refused.json["code"]) == (409, "too_many_webhooks")
    assert call(app, "POST", "/webhooks", {"url": URL, "event_types": [CREATED]}, user=BERT).status == 201


@pytest.mark.parametrize(
    ("method", "resource"),
    [
        ("GET", "/webhooks/{webhook_id}"),
        ("DELETE", "/webhooks/{webhook_id}"),
        ("POST", "/webhooks/{webhook_id}/secret"),
        ("POST", "/webhooks/{webhook_id}/test"),
        ("GET", "/webhooks/{webhook_id}/deliveries"),
        ("POST", "/webhooks/{webhook_id}/deliveries/{delivery_id}/resend"),
    ],
)
def test_somebody_elses_webhook_is_404(app: ServiceApp, world: WebhookWorld, method: str, resource: str) -> None:
    others = world.register(BERT).webhook_id
    names = {"delivery_id": new_id("evt")} if "delivery_id" in resource else {}

    for webhook_id in (others, new_id("whk"), "nonsense"):
        answer = call(app, method, resource, webhook_id=webhook_id, **names)
        assert (answer.status, answer.json["code"]) == (404, "webhook_not_found")


def test_a_deleted_webhook_is_gone_and_not_told(app: ServiceApp, world: WebhookWorld) -> None:
    webhook_id = create(app).json["webhook_id"]

    assert call(app, "DELETE", "/webhooks/{webhook_id}", webhook_id=webhook_id).status == 204
    assert call(app, "DELETE", "/webhooks/{webhook_id}", webhook_id=webhook_id).status == 404
    assert world.sending.notify(bill_created()) == 0


def test_of_two_that_delete_one_does(app: ServiceApp, world: WebhookWorld) -> None:
    webhook_id = create(app).json["webhook_id"]
    world.table.losing_races = 1

    assert call(app, "DELETE", "/webhooks/{webhook_id}", webhook_id=webhook_id).status == 404


def test_a_new_secret_and_until_when_the_old_one_signs(app: ServiceApp) -> None:
    made = create(app).json

    rotated = call(app, "POST", "/webhooks/{webhook_id}/secret", webhook_id=made["webhook_id"])

    assert rotated.status == 201
    assert rotated.json["secret"] != made["secret"]
    assert rotated.json["previous_ends_at"] == "2026-03-16T12:00:00.000Z"


def test_of_two_that_rotate_one_does(app: ServiceApp, world: WebhookWorld) -> None:
    webhook_id = create(app).json["webhook_id"]
    world.table.losing_races = 1

    refused = call(app, "POST", "/webhooks/{webhook_id}/secret", webhook_id=webhook_id)

    assert (refused.status, refused.json["code"]) == (409, "webhook_changed")


def test_a_test_is_sent_and_stands_in_the_log(app: ServiceApp) -> None:
    webhook_id = create(app).json["webhook_id"]

    accepted = call(app, "POST", "/webhooks/{webhook_id}/test", webhook_id=webhook_id)

    assert (accepted.status, accepted.json["state"], accepted.json["test"]) == (202, "pending", True)
    listed = call(app, "GET", "/webhooks/{webhook_id}/deliveries", webhook_id=webhook_id).json
    assert listed == {
        "items": [
            {
                "delivery_id": accepted.json["delivery_id"], "event_type": "webhook.test", "test": True,
                "state": "delivered", "next_attempt_at": None, "created_at": "2026-03-15T12:00:00.000Z",
                "attempts": [
                    {"at": "2026-03-15T12:00:00.000Z", "status": 204, "failure": None, "milliseconds": 3}
                ],
            }
        ],
        "next_cursor": None,
    }  # fmt: skip


def test_a_test_that_cannot_be_handed_over_is_left_to_the_sweep(app: ServiceApp, world: WebhookWorld) -> None:
    webhook_id = create(app).json["webhook_id"]
    world.channel.down = True

    assert call(app, "POST", "/webhooks/{webhook_id}/test", webhook_id=webhook_id).status == 202
    assert world.receiver.got == []
    assert world.sending.send_due(10)[0] == 1
    assert len(world.receiver.got) == 1


def test_a_webhook_that_goes_in_the_moment_of_its_test_is_404(
    app: ServiceApp, world: WebhookWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    webhook_id = create(app).json["webhook_id"]
    monkeypatch.setattr(world.table, "add_delivery", lambda _: False)

    assert call(app, "POST", "/webhooks/{webhook_id}/test", webhook_id=webhook_id).status == 404


def test_deliveries_come_in_pages_newest_first(app: ServiceApp, world: WebhookWorld) -> None:
    webhook_id = create(app).json["webhook_id"]
    events = [bill_created(bill_id=f"bil_{number}") for number in range(5)]
    for event in events:
        world.sending.notify(event)

    first = call(app, "GET", "/webhooks/{webhook_id}/deliveries", webhook_id=webhook_id, query={"limit": "3"}).json
    rest = call(
        app, "GET", "/webhooks/{webhook_id}/deliveries", webhook_id=webhook_id, query={"cursor": first["next_cursor"]}
    ).json

    found = [item["delivery_id"] for item in first["items"] + rest["items"]]
    assert found == sorted((event.id for event in events), reverse=True)
    assert (len(first["items"]), rest["next_cursor"]) == (3, None)


@pytest.mark.parametrize("query", [{"cursor": "no"}, {"cursor": "eyJhIjoiYiJ9"}, {"limit": "0"}, {"limit": "201"}])
def test_a_query_that_does_not_validate(app: ServiceApp, query: dict[str, str]) -> None:
    webhook_id = create(app).json["webhook_id"]

    refused = call(app, "GET", "/webhooks/{webhook_id}/deliveries", webhook_id=webhook_id, query=query)

    assert (refused.status, refused.fields) == (422, set(query))


def test_a_delivery_is_sent_once_more(app: ServiceApp, world: WebhookWorld) -> None:
    webhook_id, event = create(app).json["webhook_id"], bill_created()
    world.sending.notify(event)
    resend = "/webhooks/{webhook_id}/deliveries/{delivery_id}/resend"

    accepted = call(app, "POST", resend, webhook_id=webhook_id, delivery_id=event.id)

    assert (accepted.status, accepted.json["state"]) == (202, "pending")
    assert world.receiver.got == [(webhook_id, event.id)] * 2
    unknown = call(app, "POST", resend, webhook_id=webhook_id, delivery_id=new_id("evt"))
    assert (unknown.status, unknown.json["code"]) == (404, "delivery_not_found")
    assert call(app, "POST", resend, webhook_id=webhook_id, delivery_id="nonsense").status == 404


def test_a_delivery_under_way_is_not_sent_once_more(app: ServiceApp, world: WebhookWorld) -> None:
    webhook_id, event = create(app).json["webhook_id"], bill_created()
    world.receiver.answers = [500]
    world.sending.notify(event)

    refused = call(
        app, "POST", "/webhooks/{webhook_id}/deliveries/{delivery_id}/resend",
        webhook_id=webhook_id, delivery_id=event.id,
    )  # fmt: skip

    assert (refused.status, refused.json["code"]) == (409, "delivery_pending")
