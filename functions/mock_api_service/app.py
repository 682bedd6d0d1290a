"""Routes of the sandbox: four utilities, each with its own way of asking who you are, and the operator's controls."""

import functools
from collections.abc import Callable

from functions.common.errors import NotFound
from functions.common.http.app import Answer, ServiceApp
from functions.mock_api_service import credentials
from functions.mock_api_service.bootstrap import operator, sandbox
from functions.mock_api_service.formats import bbps, csv_statement, green_button, oauth_json, pdf
from functions.mock_api_service.garbling import answer
from functions.mock_api_service.model import AccountNumber, Bill, BillNumber, Refusal, Utility, UtilityName
from functions.mock_api_service.refusals import refuse
from functions.mock_api_service.schemas import AdjustBill, AdjustedBill, ClockReply, MoveClock, Outage, SetScenario
from functions.mock_api_service.utilities import FIBERNET, GREENLINE_GAS, NORTHWIND_POWER

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
    token = sandbox().issue_token(credentials.token_request(app.header, app.raw_body))
    return oauth_json.token_reply(token, sandbox().token_lifetime)


@app.route("/mock/electricity/v1/accounts/{account_number}/bills", methods=["GET"], public=True)
@speaks_as(UtilityName.ELECTRICITY)
def list_bills(account_number: str) -> object:
    token, limit = credentials.bearer(app.header), oauth_json.read_limit(app.query.get("limit", ""))
    page = sandbox().list_bills(token, account_number, app.query.get("cursor", ""), limit)
    return answer(UtilityName.ELECTRICITY, oauth_json.bills_page(page), garbled=page.garbled)


@app.route(
    "/mock/electricity/v1/accounts/{account_number}/bills/{bill_id}/document.pdf",
    methods=["GET"],
    public=True,
    produces=pdf.MEDIA_TYPE,
)
@speaks_as(UtilityName.ELECTRICITY)
def download_bill(account_number: str, bill_id: str) -> object:
    bill = sandbox().bill_document(credentials.bearer(app.header), account_number, bill_id)
    return _on_paper(NORTHWIND_POWER, account_number, bill)


@app.route("/mock/gas/greenbutton/{account_number}", methods=["GET"], public=True)
@speaks_as(UtilityName.GAS)
def download_green_button(account_number: str) -> object:
    shown = sandbox().download(UtilityName.GAS, credentials.basic_login(app.header), account_number)
    feed = green_button.feed(GREENLINE_GAS, shown.account, shown.bills, shown.today)
    return answer(UtilityName.GAS, feed, {"Content-Type": green_button.MEDIA_TYPE}, garbled=shown.garbled)


@app.route("/mock/water/bills/fetch", methods=["POST"], public=True)
@speaks_as(UtilityName.WATER)
def request_bill() -> object:
    ref_id = sandbox().request_bill(credentials.biller_login(app.header), bbps.read_fetch_request(app.raw_body))
    return Answer(bbps.FetchAccepted(ref_id=ref_id), status=202)


@app.route("/mock/water/bills/fetch/{ref_id}", methods=["GET"], public=True)
@speaks_as(UtilityName.WATER)
def fetch_bill(ref_id: str) -> object:
    fetched = sandbox().fetch_bill(credentials.biller_login(app.header), ref_id)
    return answer(UtilityName.WATER, bbps.fetch_reply(ref_id, fetched), garbled=fetched.garbled)


@app.route("/mock/internet/statements.csv", methods=["GET"], public=True)
@speaks_as(UtilityName.INTERNET)
def download_statements() -> object:
    login, account = credentials.basic_login(app.header), app.query.get("account", "")
    shown = sandbox().download(UtilityName.INTERNET, login, account)
    statements = csv_statement.statements_csv(shown.account, shown.bills)
    return answer(UtilityName.INTERNET, statements, {"Content-Type": csv_statement.MEDIA_TYPE}, garbled=shown.garbled)


@app.route(
    "/mock/internet/statements/{account_number}/{statement_number}/document.pdf",
    methods=["GET"],
    public=True,
    produces=pdf.MEDIA_TYPE,
)
@speaks_as(UtilityName.INTERNET)
def download_statement(account_number: str, statement_number: str) -> object:
    login = credentials.basic_login(app.header)
    return _on_paper(FIBERNET, account_number, sandbox().statement_document(login, account_number, statement_number))


@app.route("/mock/clock", methods=["GET"], role=ADMIN, returns=ClockReply, summary="The sandbox's virtual date")
def virtual_date() -> object:
    return ClockReply(date=operator().virtual_date())


@app.route(
    "/mock/clock", methods=["POST"], role=ADMIN, body=MoveClock, returns=ClockReply, summary="Move the virtual date"
)
def move_clock() -> object:
    move = app.read(MoveClock).checked()
    return ClockReply(
        date=operator().move_clock(
            to=move.date, months=move.advance_months or 0, days=move.advance_days or 0, reset=bool(move.reset)
        )
    )


@app.route(
    "/mock/outages", methods=["POST"], role=ADMIN, body=Outage, returns=Outage, summary="Take a utility down, or up"
)
def set_outage() -> object:
    outage = app.read(Outage)
    operator().set_outage(outage.utility, down=outage.down)
    return outage


@app.route(
    "/mock/scenarios",
    methods=["POST"],
    role=ADMIN,
    body=SetScenario,
    returns=SetScenario,
    summary="Choose how a utility treats an account",
)
def set_scenario() -> object:
    chosen = app.read(SetScenario)
    operator().set_scenario(chosen.utility, chosen.account_number, chosen.scenario)
    return chosen


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
    operator().shown_bill(name, account, number)  # an unknown bill is a 404 whatever the body says
    bill = operator().adjust_bill(name, account, number, app.read(AdjustBill).amount_minor)
    return AdjustedBill(
        utility=name,
        account_number=account_number,
        bill_number=bill.number,
        amount_minor=bill.amount_minor,
        currency=bill.currency,
        revision=bill.revision,
    )


def _on_paper(utility: Utility, account: str, bill: Bill) -> Answer:
    headers = {"Content-Type": pdf.MEDIA_TYPE, "Content-Disposition": f'inline; filename="{bill.number}.pdf"'}
    return Answer(pdf.document(utility, AccountNumber(account), bill), headers=headers)


def _utility(name: str) -> UtilityName:
    try:
        return UtilityName(name)
    except ValueError as error:
        raise NotFound("There is no such utility.") from error
