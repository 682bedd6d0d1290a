"""Routes of bills. What the cache knows is answered without a look at the table, nor the imports that it takes."""

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from functions.bill_aggregation_service import bootstrap, schemas
from functions.bill_aggregation_service.model import UserId
from functions.bill_aggregation_service.negotiation import Kept, in_asked_form
from functions.common import logs
from functions.common.cache import Cached, Entry, Found
from functions.common.errors import AppError, InvalidInput
from functions.common.http.app import Answer, ServiceApp

if TYPE_CHECKING:
    from functions.bill_aggregation_service.answers import Question

log = logging.getLogger(__name__)

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
    return in_asked_form(_answer(query, kept_page), query, app.header("accept"))


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
    answer = _answer(query, kept_summary)
    return Answer(answer.body.decode(), etag=answer.tag)


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


def _answer(question: "Question", place: Callable[[], Entry | None]) -> Kept:
    """As the cache keeps it, or made of the table and then kept at this place."""
    cached = app.cached
    if cached.value is not None:
        if cached.found is Found.RENEW:
            _have_renewed(question, cached)
        return Kept(cached.value, cached.tag)
    made = bootstrap.answers().make(_user_id(), question)
    if entry := place():
        ends = made.lifetime
        kept = app.cache.fill(entry, cached, made.body, made.tag, ends.soft_end, ends.hard_end)
        # as new as the table; where the table is older than its sources may be, that is asked for at once
        if kept and made.outdated:
            _have_renewed(question, cached)
    return Kept(made.body, made.tag)


def _have_renewed(question: "Question", cached: Cached) -> None:
    """By somebody else: once a function has answered, it does nothing any more."""
    try:
        bootstrap.renewals().ask(_user_id(), app.request.path, msgspec.json.encode(question), cached.version)
    except AppError as error:
        # the answer stands; when the lease is over, the next reader asks
        log.warning("renewal_not_requested", extra=logs.fields(code=error.code))
