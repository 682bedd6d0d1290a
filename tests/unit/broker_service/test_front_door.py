"""What answers when no route does. The route table of these tests is their own."""

import pytest

from functions.broker_service import front_door
from functions.broker_service.front_door import METHODS
from functions.broker_service.routing import RouteTable
from functions.common.http.app import ServiceApp
from functions.contracts.routes import ROUTES
from tests.support.http import Result, configure, request

TABLE = {
    "/accounts": ("GET", "POST"),
    "/accounts/{link_id}": ("DELETE", "GET"),
    "/accounts/{link_id}/mfa": ("POST",),
    "/users/me": ("GET",),
    "/users/{user_id}": ("DELETE",),
    "/.well-known/jwks.json": ("GET",),
}


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> ServiceApp:
    monkeypatch.setattr(front_door, "routes", RouteTable(TABLE))
    return configure(front_door.app, cors_origins=("https://app.example",))


def ask(app: ServiceApp, method: str, path: str, **headers: str) -> Result:
    if path == "/":
        return request(app, method, "/", headers=headers)
    return request(app, method, "/{proxy+}", path={"proxy": path.removeprefix("/")}, headers=headers)


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/accounts", "GET POST"),
        ("/accounts/", "GET POST"),
        ("/accounts/lnk_1", "DELETE GET"),
        ("/accounts/lnk_1/", "DELETE GET"),
        ("/accounts/lnk%5F1", "DELETE GET"),
        ("/acc%6Funts", "GET POST"),
        ("/accounts/lnk_1/mfa", "POST"),
        ("/users/me", "GET"),
        ("/users/you", "DELETE"),
        ("/.well-known/jwks.json", "GET"),
        ("/", ""),
        ("/accounts//", ""),
        ("/accounts//mfa", ""),
        ("//accounts", ""),
        ("/Accounts", ""),
        ("/accounts/a%2Fb/mfa", "POST"),
        ("/accounts/a/b/c", ""),
        ("/bills", ""),
        ("/%", ""),
        ("/accounts/%ff", "DELETE GET"),
        ("/{proxy+}", ""),
    ],
)
def test_a_path_finds_its_route(path: str, methods: str) -> None:
    assert " ".join(RouteTable(TABLE).methods(path)) == methods


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("path", ["/", "/nothing", "/accounts/a/b/c"])
def test_an_unknown_path_is_404_whatever_the_method(app: ServiceApp, method: str, path: str) -> None:
    answer = ask(app, method, path)

    assert answer.status == 404
    assert answer.headers["Content-Type"] == "application/problem+json"
    if method == "HEAD":
        assert answer.text == ""
    else:
        assert (answer.json["code"], answer.json["instance"]) == ("unknown_path", f"/v1{path}")


@pytest.mark.parametrize("method", ["HEAD", "PUT", "PATCH", "DELETE"])
def test_a_wrong_method_is_405_with_allow(app: ServiceApp, method: str) -> None:
    answer = ask(app, method, "/accounts")

    assert answer.status == 405
    assert answer.headers["Allow"] == "GET, OPTIONS, POST"
    if method == "HEAD":
        assert answer.text == ""
    else:
        assert answer.json["code"] == "method_not_allowed"


def test_a_body_of_any_kind_changes_nothing(app: ServiceApp) -> None:
    headers = {"content-type": "application/x-www-form-urlencoded"}

    assert request(app, "PUT", "/{proxy+}", "a=1", path={"proxy": "accounts"}, headers=headers).status == 405
    assert request(app, "POST", "/{proxy+}", "x" * 300_000, path={"proxy": "no"}, headers=headers).status == 404


def test_never_405_for_a_method_that_it_then_allows(app: ServiceApp) -> None:
    assert ask(app, "GET", "/acc%6Funts").status == 404


def test_options_tells_what_is_allowed(app: ServiceApp) -> None:
    answer = ask(app, "OPTIONS", "/accounts/lnk_1")

    assert (answer.status, answer.text) == (204, "")
    assert answer.headers["Allow"] == "DELETE, GET, OPTIONS"
    assert "Access-Control-Allow-Origin" not in answer.headers


def test_preflight_from_a_known_origin(app: ServiceApp) -> None:
    answer = ask(app, "OPTIONS", "/accounts", origin="https://app.example")

    assert answer.headers["Access-Control-Allow-Origin"] == "https://app.example"
    assert answer.headers["Access-Control-Allow-Methods"] == "GET, OPTIONS, POST"
    assert "Authorization" in answer.headers["Access-Control-Allow-Headers"]
    assert answer.headers["Vary"] == "Origin"


def test_preflight_from_another_origin(app: ServiceApp) -> None:
    answer = ask(app, "OPTIONS", "/accounts", origin="https://evil.example")

    assert answer.status == 204
    assert not [name for name in answer.headers if name.startswith("Access-Control-")]


def test_without_path_parameters_the_stage_is_taken_off(app: ServiceApp) -> None:
    context = {
        "httpMethod": "PUT", "resourcePath": "/{proxy+}", "path": "/live/accounts", "stage": "live",
        "identity": {"sourceIp": "192.0.2.7"},
    }  # fmt: skip
    event = {
        "headers": {}, "multiValueQueryStringParameters": None, "pathParameters": None, "requestContext": context,
        "body": None, "stageVariables": None,
    }  # fmt: skip

    assert app(event, None)["statusCode"] == 405


def test_rate_limited_by_address(app: ServiceApp) -> None:
    configure(app, address_rate_per_minute=1)

    assert [ask(app, "GET", "/nothing").status for _ in range(2)] == [404, 429]


def test_the_generated_table_holds_routes_and_no_catch_all() -> None:
    assert ROUTES["/jobs/{job_id}"] == ("GET", "HEAD")
    assert not [path for path in ROUTES if "+" in path]
