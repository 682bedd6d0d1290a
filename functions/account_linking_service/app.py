"""HTTP routes of linked accounts."""

from functions.account_linking_service import bootstrap
from functions.account_linking_service.model import Link, ProviderId, UserId
from functions.account_linking_service.schemas import (
    ChangeAccount,
    LinkAccount,
    LinkDetails,
    LinkedAccount,
    LinkedAccounts,
    ListAccounts,
    LoginCredentials,
    SubmitMfa,
    provider_id_of,
    read_change,
    read_link_account,
)
from functions.common.http.app import Answer, ServiceApp

app = ServiceApp("account-linking-service")


@app.route(
    "/accounts",
    methods=["POST"],
    body=LinkAccount,
    returns=LinkDetails,
    status=201,
    errors=[404, 409],
    idempotent=True,
    etag=True,
    summary="Link a utility account",
)
def link_account() -> Answer:
    raw = app.json_object()
    provider_id = provider_id_of(raw)
    wanted = bootstrap.linking().customer_params(provider_id)  # an unknown provider is a 404 whatever the rest says
    asked = read_link_account(raw, wanted)
    link = bootstrap.linking().link_account(_user(), ProviderId(provider_id), wanted, asked.secrets, asked.nickname)
    return _answer(link, status=201)


@app.route("/accounts", methods=["GET"], query=ListAccounts, returns=LinkedAccounts, summary="List linked accounts")
def list_accounts() -> LinkedAccounts:
    query = app.read_query(ListAccounts)
    links, next_cursor = bootstrap.linking().list_accounts(_user(), query.limit, query.cursor)
    return LinkedAccounts(items=[LinkedAccount.of(link) for link in links], next_cursor=next_cursor)


@app.route("/accounts/{link_id}", methods=["GET"], returns=LinkDetails, etag=True, summary="One linked account")
def get_account(link_id: str) -> Answer:
    return _answer(bootstrap.linking().get_account(_user(), link_id))


@app.route(
    "/accounts/{link_id}",
    methods=["PATCH"],
    body=ChangeAccount,
    returns=LinkDetails,
    errors=[412],
    etag=True,
    summary="Name a linked account",
)
def rename_account(link_id: str) -> Answer:
    present = bootstrap.linking().get_account(_user(), link_id)  # an unknown link is a 404 whatever the body says
    nickname = read_change(app.json_object()).nickname_after(present.nickname)
    return _answer(bootstrap.linking().rename_account(_user(), link_id, nickname, _check_if_match))


@app.route(
    "/accounts/{link_id}/credentials",
    methods=["PUT"],
    body=LoginCredentials,
    returns=LinkDetails,
    errors=[409, 412],
    etag=True,
    summary="Replace what the utility is logged in to with",
)
def replace_credentials(link_id: str) -> Answer:
    """The account is read with it at once."""
    bootstrap.linking().get_account(_user(), link_id)
    login = app.read(LoginCredentials).login
    return _answer(bootstrap.repair().replace_credentials(_user(), link_id, login, _check_if_match))


@app.route(
    "/accounts/{link_id}/mfa",
    methods=["POST"],
    body=SubmitMfa,
    returns=LinkDetails,
    status=202,
    errors=[409],
    idempotent=True,
    etag=True,
    summary="Give the code that the utility waits for",
)
def submit_mfa(link_id: str) -> Answer:
    """The account is read with it at once."""
    bootstrap.linking().get_account(_user(), link_id)
    code = app.read(SubmitMfa).as_sent
    return _answer(bootstrap.repair().submit_mfa(_user(), link_id, code), status=202)


@app.route("/accounts/{link_id}", methods=["DELETE"], status=204, summary="Unlink an account")
def unlink_account(link_id: str) -> Answer:
    bootstrap.linking().unlink_account(_user(), link_id)
    return Answer(status=204)


def _answer(link: Link, status: int = 200) -> Answer:
    """The version is its tag; a lease of the sweep, which moves `next_refresh_at` alone, is no change."""
    return Answer(LinkDetails.of(link), status, etag=str(link.version))


def _check_if_match(link: Link) -> None:
    app.check_if_match(str(link.version))


def _user() -> UserId:
    return UserId(app.principal.user_id)
