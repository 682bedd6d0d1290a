"""The catch-all of the API: answers what no route takes.

API Gateway sends here every method and path that the template does not name; by itself it would answer 403. Knows the
route table, which is generated from the template, and tells an unknown path (404) from a wrong method (405 with Allow,
RFC 9110 section 15.5.6).
"""

from functions.broker_service.routing import RouteTable
from functions.common.errors import MethodNotAllowed, NotFound
from functions.common.http.app import Answer, RouteSpec, ServiceApp
from functions.contracts.routes import ROUTES

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
ALLOWED_HEADERS = "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, X-Correlation-Id"
PREFLIGHT_SECONDS = 600


class FrontDoor(ServiceApp):
    """Nothing here reads a body, so none is refused."""

    def _check_body(self, _spec: RouteSpec) -> None:
        return


app = FrontDoor("front-door")
routes = RouteTable(ROUTES)


@app.route("/", methods=METHODS, public=True)
def answer_root() -> object:
    return _answer("/")


@app.route("/{proxy+}", methods=METHODS, public=True)
def answer_unrouted() -> object:
    return _answer(_path())


def _answer(path: str) -> Answer:
    allowed = routes.methods(path)
    if not allowed or app.request.method in allowed:  # the latter: spelt in a way that the gateway does not take
        raise NotFound("There is no such path.", code="unknown_path")
    allow = {"Allow": ", ".join(sorted({*allowed, "OPTIONS"}))}
    if app.request.method != "OPTIONS":
        raise MethodNotAllowed(f"{app.request.method} is not possible here; see Allow.", headers=allow)
    return Answer(status=204, headers={**allow, **_cors(allow["Allow"])})


def _path() -> str:
    """What was asked for, without the stage."""
    proxy = (app.request.uri_params or {}).get("proxy")
    if proxy is not None:
        return f"/{proxy}"
    context = app.request.context
    return str(context.get("path", "")).removeprefix(f"/{context.get('stage', 'v1')}")


def _cors(allow: str) -> dict[str, str]:
    """What a browser may send (Fetch standard, CORS preflight); nothing for an origin that is not in the settings."""
    origin = app.header("origin") or ""
    if origin not in app.settings.cors_origins:
        return {"Vary": "Origin"}
    return {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Allow-Methods": allow,
        "Access-Control-Allow-Headers": ALLOWED_HEADERS,
        "Access-Control-Max-Age": str(PREFLIGHT_SECONDS),
        "Vary": "Origin",
    }
