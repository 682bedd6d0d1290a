"""Routes of bills. What the cache knows is answered without a look at the table, nor the imports that it takes."""

import msgspec

from functions.bill_aggregation_service import bootstrap, schemas
from functions.bill_aggregation_service.model import UserId
from functions.bill_aggregation_service.negotiation import in_asked_form
from functions.common.cache import Entry
from functions.common.errors import InvalidInput
from functions.common.http.app import Answer, ServiceApp

app = ServiceApp("bill-aggregation-service")
PRIVATE = "private, no-store"


def kept_page() -> Entry | None:
    """Where the answer to this query is kept; None for a live read, and for what is refused by the handler."""
    try:
        query = app.read_query(schemas.BillsQuery)
    except InvalidInput:
        return None
    return None if query.refresh else Entry(app.principal.user_id, bootstrap.CACHE_SPACE, query.name)


def kept_summary() -> Entry | None:
    try:
        query = app.read_query(schemas.SummaryQuery)
    except InvalidInput:
        return None
    return Entry(app.principal.user_id, bootstrap.CACHE_SPACE, query.name)


@app.route(
    "/bills",
    methods=["GET"],
    cached=kept_page,
    etag=True,
    query=schemas.BillsQuery,
    returns=schemas.BillsReply,
    also_produces=["text/csv"],
    headers=["Link", "Vary"],
    summary="Bills of all linked accounts, and how fresh each source is; the bills alone with Accept: text/csv",
)
def list_bills() -> object:
    query = app.read_query(schemas.BillsQuery)
    answer = app.cached.value
    if answer is None:
        page = bootstrap.service().list_bills(_user_id(), query.criteria(), refresh=query.refresh)
        answer = _keep(kept_page(), schemas.bills_reply(page), page.good_for_seconds)
    return in_asked_form(answer, query, app.header("accept"))


@app.route(
    "/bills/summary",
    methods=["GET"],
    cached=kept_summary,
    etag=True,
    query=schemas.SummaryQuery,
    returns=schemas.SummaryReply,
    summary="Sums by month, provider or service type, each currency by itself",
)
def summarise_bills() -> object:
    query = app.read_query(schemas.SummaryQuery)
    answer = app.cached.value
    if answer is None:
        summary = bootstrap.service().summarise(_user_id(), query.by, *query.days())
        answer = _keep(kept_summary(), schemas.summary_reply(summary, query.by), summary.good_for_seconds)
    return Answer(answer.decode())


@app.route(
    "/bills/{bill_id}",
    methods=["GET"],
    etag=True,
    returns=schemas.BillDetailReply,
    summary="One bill with its versions and what each changed",
)
def get_bill(bill_id: str) -> object:
    detail = bootstrap.service().get_bill(_user_id(), bill_id)
    return Answer(schemas.detail_reply(detail), etag=detail.listed.tag)


@app.route(
    "/bills/{bill_id}/document",
    methods=["GET"],
    produces="application/pdf",
    headers=["Content-Disposition"],
    errors=[409],
    summary="The bill as its utility gives it on paper",
)
def fetch_document(bill_id: str) -> object:
    """A PDF, read at the utility for each answer and kept nowhere. Ask for it with `Accept: application/pdf`: with
    another one, API Gateway hands the bytes out in base64."""
    document = bootstrap.live_reads().fetch_document(_user_id(), bill_id)
    disposition = f'attachment; filename="{bill_id}.pdf"'
    headers = {"Content-Type": document.content_type, "Content-Disposition": disposition, "Cache-Control": PRIVATE}
    return Answer(document.content, headers=headers)


@app.route(
    "/bills/{bill_id}",
    methods=["PATCH"],
    body=schemas.MarkBill,
    returns=schemas.BillDetailReply,
    headers=["ETag"],
    errors=[412],
    summary="Mark a bill as paid, partly paid or not paid, or note something",
)
def mark_bill(bill_id: str) -> object:
    bills = bootstrap.service()
    detail = bills.mark_bill(_user_id(), bill_id, lambda: app.read(schemas.MarkBill).said(), app.check_if_match)
    return Answer(schemas.detail_reply(detail), etag=detail.listed.tag)


def _user_id() -> UserId:
    return UserId(app.principal.user_id)


def _keep(entry: Entry | None, reply: msgspec.Struct, seconds: int) -> bytes:
    """The reply as JSON, which the cache keeps for so long."""
    answer = msgspec.json.encode(reply)
    if entry:
        app.cache.fill(entry, app.cached.version, answer, seconds)
    return answer
