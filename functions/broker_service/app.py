"""Routes of the broker: commands that outlast a request, the jobs that tell how they go on, the health check."""

from functions.broker_service import bootstrap
from functions.broker_service.announcement_schemas import Announcement
from functions.broker_service.announcements import SignedWebhook
from functions.broker_service.api_docs import HTML
from functions.broker_service.model import JobId, UserId
from functions.broker_service.schemas import Health, JobView, RequestRefresh
from functions.common.clock import SystemClock, rfc3339
from functions.common.http.app import Answer, ServiceApp

app = ServiceApp("broker-service")
DOCS_SECONDS = 300


@app.route(
    "/refreshes",
    methods=["POST"],
    body=RequestRefresh,
    body_optional=True,
    returns=JobView,
    headers=["Location"],
    status=202,
    errors=[404, 409],
    idempotent=True,
    summary="Fetch bills anew, of all accounts or of some",
)
def request_refresh() -> object:
    wanted = app.read(RequestRefresh) if app.raw_body else RequestRefresh()
    job = bootstrap.refreshes().request_refresh(UserId(app.principal.user_id), wanted.link_ids)
    # Relative (RFC 9110 section 10.2.2): right under any prefix that stands before the API's own paths.
    return Answer(JobView.of(job), status=202, headers={"Location": f"jobs/{job.job_id}"})


@app.route("/jobs/{job_id}", methods=["GET"], returns=JobView, summary="How a refresh goes on")
def get_job(job_id: str) -> object:
    return JobView.of(bootstrap.jobs().get_job(UserId(app.principal.user_id), JobId(job_id)))


@app.route(
    "/webhooks/providers/{provider_id}",
    methods=["POST"],
    public=True,
    body=Announcement,
    status=202,
    errors=[401],
    summary="A utility announces a bill",
)
def receive_provider_webhook(provider_id: str) -> object:
    """Signed as Standard Webhooks says, with the secret that an administrator made for the utility
    (docs/webhooks-in.md). The answer is the same whether anybody linked the account or not, and when it was sent
    before. After any answer but 202, 400, 413, 415 and 422 it is worth sending again."""
    sent = (app.header(name) or "" for name in ("webhook-id", "webhook-timestamp", "webhook-signature"))
    webhook_id, timestamp, signatures = sent
    webhook = SignedWebhook(provider_id, webhook_id, timestamp, signatures, app.raw_body)
    bootstrap.announcements().receive_provider_webhook(webhook)
    return Answer({}, status=202)


@app.route("/health", methods=["GET"], public=True, returns=Health, summary="Whether the API answers")
def health() -> object:
    return Health(status="ok", version=bootstrap.version(), time=rfc3339(SystemClock().now()))


@app.route("/openapi.json", methods=["GET"], public=True, summary="This document")
def get_openapi() -> object:
    return Answer(bootstrap.api_docs().openapi, headers={"Cache-Control": f"public, max-age={DOCS_SECONDS}"})


@app.route("/docs", methods=["GET"], public=True, produces=HTML, summary="This document as a page")
def get_docs() -> object:
    page = bootstrap.api_docs().page
    headers = {"Cache-Control": f"public, max-age={DOCS_SECONDS}", "Content-Security-Policy": page.policy}
    return Answer(page.html, headers={"Content-Type": HTML, **headers})
