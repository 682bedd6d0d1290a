"""Routes of the registry of utilities. Administrators see what users do not: where a utility is reached, and the ones
that are out of service."""

from functions.common.http.app import Answer, ServiceApp
from functions.utility_provider_service import bootstrap
from functions.utility_provider_service.model import Provider
from functions.utility_provider_service.schemas import (
    CreateProvider,
    ListQuery,
    ProviderReply,
    ProvidersReply,
    UpdateProvider,
    WebhookSecretReply,
)

app = ServiceApp("utility-provider-service")
ADMIN = "admin"


@app.route("/providers", methods=["GET"], query=ListQuery, returns=ProvidersReply, etag=True, summary="List utilities")
def list_providers() -> object:
    query, admin = app.read_query(ListQuery), _is_admin()
    page = bootstrap.registry().list_providers(query.search(deactivated=admin), query.limit, query.cursor)
    return ProvidersReply.of(page, full=admin)


@app.route("/providers/{provider_id}", methods=["GET"], returns=ProviderReply, etag=True, summary="One utility")
def get_provider(provider_id: str) -> object:
    return _answer(bootstrap.registry().get_provider(provider_id, deactivated=_is_admin()))


@app.route(
    "/providers",
    methods=["POST"],
    role=ADMIN,
    body=CreateProvider,
    returns=ProviderReply,
    status=201,
    errors=[409],
    idempotent=True,
    etag=True,
    summary="Enter a utility into the registry",
)
def create_provider() -> object:
    return _answer(bootstrap.registry().create_provider(app.read(CreateProvider).facts()), status=201)


@app.route(
    "/providers/{provider_id}",
    methods=["PATCH"],
    role=ADMIN,
    body=UpdateProvider,
    returns=ProviderReply,
    errors=[412],
    etag=True,
    summary="Change a utility",
)
def update_provider(provider_id: str) -> object:
    bootstrap.registry().get_provider(provider_id)  # an unknown one is a 404 whatever the body says
    changes = app.read(UpdateProvider).changes()
    return _answer(bootstrap.registry().update_provider(provider_id, changes, app.check_if_match))


@app.route(
    "/providers/{provider_id}",
    methods=["DELETE"],
    role=ADMIN,
    status=204,
    errors=[412],
    summary="Take a utility out of service",
)
def deactivate_provider(provider_id: str) -> object:
    """Users no longer see it, nobody links there, and links that are there are not read until it is `active` again."""
    bootstrap.registry().deactivate_provider(provider_id, app.check_if_match)
    return Answer(status=204)


@app.route(
    "/providers/{provider_id}/webhook-secret",
    methods=["POST"],
    role=ADMIN,
    returns=WebhookSecretReply,
    status=201,
    errors=[409],
    summary="Make the secret that a utility signs its webhooks with",
)
def create_webhook_secret(provider_id: str) -> object:
    """Shown this once. The one before stays good for a day, those before that are not good any more: made twice in a
    row, they end one that was lost. docs/webhooks-in.md says what the utility does with it."""
    return Answer(WebhookSecretReply.of(*bootstrap.secret_making().create_webhook_secret(provider_id)), status=201)


def _answer(provider: Provider, status: int = 200) -> Answer:
    return Answer(ProviderReply.of(provider, full=_is_admin()), status, etag=str(provider.version))


def _is_admin() -> bool:
    return ADMIN in app.principal.roles
