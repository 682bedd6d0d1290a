"""HTTP routes of linked accounts."""

from functions.account_linking_service import bootstrap
from functions.account_linking_service.model import ProviderId, UserId
from functions.account_linking_service.schemas import (
    LinkAccount,
    LinkedAccount,
    LinkedAccounts,
    ListAccounts,
    provider_id_of,
    read_link_account,
)
from functions.common.http.app import Answer, ServiceApp

app = ServiceApp("account-linking-service")


@app.route(
    "/accounts",
    methods=["POST"],
    body=LinkAccount,
    returns=LinkedAccount,
    status=201,
    errors=[404, 409],
    idempotent=True,
    summary="Link a utility account",
)
def link_account() -> Answer:
    raw = app.json_object()
    provider_id = provider_id_of(raw)
    wanted = bootstrap.linking().customer_params(provider_id)  # an unknown provider is a 404 whatever the rest says
    asked = read_link_account(raw, wanted)
    link = bootstrap.linking().link_account(_user(), ProviderId(provider_id), wanted, asked.secrets, asked.nickname)
    return Answer(LinkedAccount.of(link), status=201)


@app.route("/accounts", methods=["GET"], query=ListAccounts, returns=LinkedAccounts, summary="List linked accounts")
def list_accounts() -> LinkedAccounts:
    query = app.read_query(ListAccounts)
    links, next_cursor = bootstrap.linking().list_accounts(_user(), query.limit, query.cursor)
    return LinkedAccounts(items=[LinkedAccount.of(link) for link in links], next_cursor=next_cursor)


@app.route("/accounts/{link_id}", methods=["GET"], returns=LinkedAccount, summary="One linked account")
def get_account(link_id: str) -> LinkedAccount:
    return LinkedAccount.of(bootstrap.linking().get_account(_user(), link_id))


@app.route("/accounts/{link_id}", methods=["DELETE"], status=204, summary="Unlink an account")
def unlink_account(link_id: str) -> Answer:
    bootstrap.linking().unlink_account(_user(), link_id)
    return Answer(status=204)


def _user() -> UserId:
    return UserId(app.principal.user_id)
