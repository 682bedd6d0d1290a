"""Routes of webhooks: endpoints that users have told of what happens to their accounts and bills."""

from functions.broker_service import bootstrap
from functions.broker_service.model import UserId
from functions.broker_service.webhook_schemas import (
    CreatedWebhookView,
    CreateWebhook,
    DeliveriesQuery,
    DeliveriesView,
    DeliveryView,
    ListWebhooks,
    SecretView,
    WebhooksView,
    WebhookView,
)
from functions.common.clock import rfc3339
from functions.common.http.app import Answer, ServiceApp

app = ServiceApp("webhooks")


@app.route(
    "/webhooks",
    methods=["POST"],
    body=CreateWebhook,
    returns=CreatedWebhookView,
    status=201,
    headers=["Location"],
    errors=[409],
    summary="Have an endpoint of yours told of events",
)
def create_webhook() -> object:
    """The secret is shown this once; deliveries are signed with it as Standard Webhooks says."""
    wanted = app.read(CreateWebhook)
    made = bootstrap.webhooks().create_webhook(_user_id(), wanted.url, wanted.event_types, wanted.description)
    return Answer(CreatedWebhookView.with_secret(*made), 201, {"Location": f"webhooks/{made[0].webhook_id}"})


@app.route("/webhooks", methods=["GET"], query=ListWebhooks, returns=WebhooksView, summary="Your webhooks")
def list_webhooks() -> object:
    query = app.read_query(ListWebhooks)
    found, following = bootstrap.webhooks().list_webhooks(_user_id(), query.limit, query.cursor)
    return WebhooksView(items=[WebhookView.of(each) for each in found], next_cursor=following)


@app.route("/webhooks/{webhook_id}", methods=["GET"], returns=WebhookView, summary="One webhook")
def get_webhook(webhook_id: str) -> object:
    return WebhookView.of(bootstrap.webhooks().get_webhook(_user_id(), webhook_id))


@app.route("/webhooks/{webhook_id}", methods=["DELETE"], status=204, summary="Delete a webhook and its deliveries")
def delete_webhook(webhook_id: str) -> object:
    bootstrap.webhooks().delete_webhook(_user_id(), webhook_id)
    return Answer(status=204)


@app.route(
    "/webhooks/{webhook_id}/secret",
    methods=["POST"],
    returns=SecretView,
    status=201,
    errors=[409],
    summary="Get a new secret; for a day both sign",
)
def rotate_webhook_secret(webhook_id: str) -> object:
    secret, ends_at = bootstrap.webhooks().rotate_secret(_user_id(), webhook_id)
    return Answer(SecretView(secret=secret, previous_ends_at=rfc3339(ends_at)), 201)


@app.route(
    "/webhooks/{webhook_id}/test",
    methods=["POST"],
    returns=DeliveryView,
    status=202,
    summary="Send a test; when it gets through, a disabled webhook is active again",
)
def test_webhook(webhook_id: str) -> object:
    return Answer(DeliveryView.of(bootstrap.webhooks().test_webhook(_user_id(), webhook_id)), 202)


@app.route(
    "/webhooks/{webhook_id}/deliveries",
    methods=["GET"],
    query=DeliveriesQuery,
    returns=DeliveriesView,
    summary="What was sent in the last 30 days, newest first",
)
def list_webhook_deliveries(webhook_id: str) -> object:
    bootstrap.webhooks().get_webhook(_user_id(), webhook_id)  # an unknown one is a 404 whatever the query says
    query = app.read_query(DeliveriesQuery)
    found, following = bootstrap.webhooks().list_deliveries(_user_id(), webhook_id, query.limit, query.cursor)
    return DeliveriesView(items=[DeliveryView.of(each) for each in found], next_cursor=following)


@app.route(
    "/webhooks/{webhook_id}/deliveries/{delivery_id}/resend",
    methods=["POST"],
    returns=DeliveryView,
    status=202,
    errors=[409],
    summary="Send a delivery that is done once more",
)
def resend_webhook_delivery(webhook_id: str, delivery_id: str) -> object:
    return Answer(DeliveryView.of(bootstrap.webhooks().resend_delivery(_user_id(), webhook_id, delivery_id)), 202)


def _user_id() -> UserId:
    return UserId(app.principal.user_id)
