"""Route of the audit: what happened to the user's own account and data."""

from functions.common.http.app import ServiceApp
from functions.listener_service import bootstrap
from functions.listener_service.model import UserId
from functions.listener_service.schemas import ActivityQuery, ActivityReply

app = ServiceApp("activity")


@app.route(
    "/users/me/activity",
    methods=["GET"],
    query=ActivityQuery,
    returns=ActivityReply,
    etag=True,
    summary="What happened to the user's account, bills and sessions, newest first",
)
def list_activity() -> object:
    query = app.read_query(ActivityQuery)
    user_id = UserId(app.principal.user_id)
    return ActivityReply.of(
        bootstrap.activity().list_activity(user_id, query.limit, query.cursor or "", query.only or "")
    )
