"""Routes of bills. What the cache knows is answered without a look at the table, nor the imports that it takes."""

import msgspec

from functions.bill_aggregation_service import bootstrap, schemas
from functions.bill_aggregation_service.model import UserId
from functions.common.cache import Entry
from functions.common.errors import InvalidInput
from functions.common.http.app import Answer, ServiceApp

app = ServiceApp("bill-aggregation-service")


def kept_answer() -> Entry | None:
    """Where the answer to this query is kept; None for a live read, and for what is refused by the handler."""
    try:
        query = app.read_query(schemas.BillsQuery)
    except InvalidInput:
        return None
    return None if query.refresh else Entry(app.principal.user_id, bootstrap.CACHE_SPACE, query.name)


@app.route(
    "/bills",
    methods=["GET"],
    cached=kept_answer,
    query=schemas.BillsQuery,
    returns=schemas.BillsReply,
    summary="Bills of all linked accounts, and how fresh each source is",
)
def list_bills() -> object:
    if app.cached.value is not None:
        return Answer(app.cached.value.decode())
    query = app.read_query(schemas.BillsQuery)
    page = bootstrap.service().list_bills(UserId(app.principal.user_id), query.criteria(), refresh=query.refresh)
    answer = msgspec.json.encode(schemas.bills_reply(page))
    if entry := kept_answer():
        app.cache.fill(entry, app.cached.version, answer, page.good_for_seconds)
    return Answer(answer.decode())
