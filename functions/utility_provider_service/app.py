"""Routes of the registry of utilities."""

from functions.common.http.app import Answer, ServiceApp
from functions.utility_provider_service import bootstrap
from functions.utility_provider_service.schemas import CreateProvider, ListQuery, ProviderReply, ProvidersReply

app = ServiceApp("utility-provider-service")
ADMIN = "admin"


@app.route("/providers", methods=["GET"], query=ListQuery, returns=ProvidersReply, summary="List utilities")
def list_providers() -> object:
    query = app.read_query(ListQuery)
    page = bootstrap.registry().list_providers(query.service_type, query.q, query.limit, query.cursor)
    return ProvidersReply.of(page, full=_is_admin())


@app.route("/providers/{provider_id}", methods=["GET"], returns=ProviderReply, summary="One utility")
def get_provider(provider_id: str) -> object:
    return ProviderReply.of(bootstrap.registry().get_provider(provider_id), full=_is_admin())


@app.route(
    "/providers",
    methods=["POST"],
    role=ADMIN,
    body=CreateProvider,
    returns=ProviderReply,
    status=201,
    errors=[409],
    idempotent=True,
    summary="Enter a utility into the registry",
)
def create_provider() -> object:
    provider = bootstrap.registry().create_provider(app.read(CreateProvider).facts())
    return Answer(ProviderReply.of(provider, full=True), status=201)


def _is_admin() -> bool:
    return ADMIN in app.principal.roles
