"""Routes of the sandbox: four utilities, each with its own way of asking who you are, and the operator's controls."""

import functools
from collections.abc import Callable

from functions.common.errors import NotFound
from functions.common.http.app import Answer, ServiceApp
from functions.mock_api_service import credentials
from functions.mock_api_service.bootstrap import sandbox
from functions.mock_api_service.formats import bbps, csv_statement, green_button, oauth_json
from functions.mock_api_service.model import AccountNumber, BillNumber, Refusal, UtilityName
from functions.mock_api_service.refusals import refuse
from functions.mock_api_service.schemas import AdjustBill, AdjustedBill, ClockReply, MoveClock, Outage
from functions.mock_api_service.utilities import GREENLINE_GAS

app = ServiceApp("mock-api-service")
FORM = "application/x-www-form-urlencoded"
ADMIN = "admin"


def speaks_as(utility: UtilityName) -> Callable[[Callable[..., object]], Callable[..., object]]:
    """The handler's refusals are told in this utility's own words."""

    def wrap(handler: Callable[..., object]) -> Callable[..., object]:
        @functools.wraps(handler)
        def speaking(**path_params: str) -> object:
            try:
                return handler(**path_params)
            except Refusal as refusal:
                return refuse(utility, refusal)

        return speaking

    return wrap


@app.route("/mock/electricity/oauth/token", methods=["POST"], public=True, content_types=[FORM])
@speaks_as(UtilityName.ELECTRICITY)
def issue_token() -> object:
    token = sandbox().issue_token(*credentials.token_request(app.header("authorization"), app.raw_body))
    return oauth_json.token_reply(token, sandbox().token_lifetime)


@app.route("/mock/electricity/v1/accounts/{account_number}/bills", methods=["GET"], public=True)
@speaks_as(UtilityName.ELECTRICITY)
def list_bills(account_number: str) -> object:
    token, limit = credentials.bearer(app.header("authorization")), oauth_json.read_limit(app.query.get("limit", ""))
    return oauth_json.bills_page(sandbox().list_bills(token, account_number, app.query.get("cursor", ""), limit))


@app.route("/mock/gas/greenbutton/{account_number}", methods=["GET"], public=True)
@speaks_as(UtilityName.GAS)
def download_green_button(account_number: str) -> object:
    bills = sandbox().download(UtilityName.GAS, *credentials.basic(app.header("authorization")), account_number)
    feed = green_button.feed(GREENLINE_GAS, AccountNumber(account_number), bills)
    return Answer(feed, headers={"Content-Type": green_button.MEDIA_TYPE})


@app.route("/mock/water/bills/fetch", methods=["POST"], public=True)
@speaks_as(UtilityName.WATER)
def request_bill() -> object:
    ref_id = sandbox().request_bill(*_biller_login(), bbps.read_fetch_request(app.raw_body))
    return Answer(bbps.FetchAccepted(ref_id=ref_id), status=202)


@app.route("/mock/water/bills/fetch/{ref_id}", methods=["GET"], public=True)
@speaks_as(UtilityName.WATER)
def fetch_bill(ref_id: str) -> object:
    return bbps.fetch_reply(ref_id, sandbox().fetch_bill(*_biller_login(), ref_id))


@app.route("/mock/internet/statements.csv", methods=["GET"], public=True)
@speaks_as(UtilityName.INTERNET)
def download_statements() -> object:
    account = app.query.get("account", "")
    bills = sandbox().download(UtilityName.INTERNET, *credentials.basic(app.header("authorization")), account)
    statements = csv_statement.statements_csv(AccountNumber(account), bills)
    return Answer(statements, headers={"Content-Type": csv_statement.MEDIA_TYPE})


@app.route("/mock/clock", methods=["GET"], role=ADMIN, returns=ClockReply, summary="The sandbox's virtual date")
def virtual_date() -> object:
    return ClockReply(date=sandbox().virtual_date())


@app.route(
    "/mock/clock", methods=["POST"], role=ADMIN, body=MoveClock, returns=ClockReply, summary="Move the virtual date"
)
def move_clock() -> object:
    move = app.read(MoveClock).checked()
    return ClockReply(
        date=sandbox().move_clock(
            to=move.date, months=move.advance_months or 0, days=move.advance_days or 0, reset=bool(move.reset)
        )
    )


@app.route(
    "/mock/outages", methods=["POST"], role=ADMIN, body=Outage, returns=Outage, summary="Take a utility down, or up"
)
def set_outage() -> object:
    outage = app.read(Outage)
    sandbox().set_outage(outage.utility, down=outage.down)
    return outage


@app.route(
    "/mock/bills/{utility}/{account_number}/{bill_number}",
    methods=["PATCH"],
    role=ADMIN,
    body=AdjustBill,
    returns=AdjustedBill,
    summary="Change the amount of a bill",
)
def adjust_bill(utility: str, account_number: str, bill_number: str) -> object:
    name, account, number = _utility(utility), AccountNumber(account_number), BillNumber(bill_number)
    sandbox().shown_bill(name, account, number)  # an unknown bill is a 404 whatever the body says
    bill = sandbox().adjust_bill(name, account, number, app.read(AdjustBill).amount_minor)
    return AdjustedBill(
        utility=name,
        account_number=account_number,
        bill_number=bill.number,
        amount_minor=bill.amount_minor,
        currency=bill.currency,
        revision=bill.revision,
    )


def _biller_login() -> tuple[str, str]:
    return app.header("x-biller-user") or "", app.header("x-biller-password") or ""


def _utility(name: str) -> UtilityName:
    try:
        return UtilityName(name)
    except ValueError as error:
        raise NotFound("There is no such utility.") from error
