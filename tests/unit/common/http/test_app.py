"""What every route shares, on an app with one route of each kind."""

import base64
import json
from typing import Any

import msgspec
import pytest

from functions.common.cache import Cache, Entry
from functions.common.context import correlation_id, remaining_seconds
from functions.common.errors import Conflict, NotFound, Unavailable
from functions.common.http.app import GATEWAY_SECONDS, SECURITY_HEADERS, Answer, ServiceApp
from functions.common.ids import is_id
from functions.common.settings import SettingsError
from tests.support.http import Result, configure, request, token
from tests.unit.common.conftest import Lines

SECRET = "hunter2 at /var/task/functions/secret.py"


class ThingIn(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    name: str
    size: int = 1


class Page(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    limit: int = 10


class ThingOut(msgspec.Struct):
    name: str
    note: str | None = None


def build() -> ServiceApp:  # noqa: C901 - a route of each kind
    app = ServiceApp("sample", {})

    @app.route("/things", methods=["GET"])
    def list_things() -> object:
        return {"items": [ThingOut("é")], "limit": app.read_query(Page).limit, "query": app.query}

    @app.route("/things", methods=["POST"])
    def create_thing() -> object:
        body = app.read(ThingIn)
        return Answer(ThingOut(body.name), 201, {"Location": "/v1/things/1"})

    @app.route("/things/{thing_id}", methods=["GET", "DELETE"])
    def one_thing(thing_id: str) -> object:
        if thing_id != "1":
            raise NotFound("There is no such thing.")
        return {"id": thing_id} if app.request.method == "GET" else Answer(status=204)

    @app.route("/admin", methods=["GET"], role="admin")
    def admin() -> object:
        return {"user_id": app.principal.user_id}

    @app.route("/login", methods=["POST"], public=True, policy="auth")
    def login() -> object:
        return {"address": app.source_address, "seconds": remaining_seconds(), "correlation": correlation_id()}

    @app.route("/xml", methods=["POST"], content_types=["application/xml", "text/xml"])
    def xml() -> object:
        return Answer(app.raw_body, headers={"Content-Type": "application/xml"})

    @app.route("/cached", methods=["GET"], cached=lambda: Entry(app.principal.user_id, "bills", "all"))
    def cached() -> object:
        return Answer(app.cached.value or "{}", headers={"X-Version": str(app.cached.version)})

    @app.route("/broken/{how}", methods=["GET"])
    def broken(how: str) -> object:
        errors: dict[str, Exception] = {"key": KeyError(SECRET), "value": ValueError(SECRET), "os": OSError(SECRET)}
        if how == "encoding":
            return {"value": object()}
        if how == "surrogate":
            return {"value": "\ud800"}
        if how == "conflict":
            raise Conflict("Taken.", code="name_taken")
        if how == "down":
            raise Unavailable("The table did not answer.", retry_after=9)
        raise errors[how]

    return app


@pytest.fixture
def app() -> ServiceApp:
    return configure(build())


def assert_problem(result: Result, status: int, code: str) -> None:
    assert result.status == status, result.text
    assert result.headers["Content-Type"] == "application/problem+json"
    assert (result.json["status"], result.json["code"]) == (status, code)
    assert result.json["correlation_id"] == result.headers["X-Correlation-Id"]
    assert {"type", "title", "detail", "instance"} <= set(result.json)


# answers


def test_a_get_answers_json_with_the_headers_of_every_answer(app: ServiceApp) -> None:
    result = request(app, "GET", "/things", query={"limit": "5"}, bearer=token())

    assert result.status == 200
    assert result.json == {"items": [{"name": "é", "note": None}], "limit": 5, "query": {"limit": "5"}}
    assert result.headers["Content-Type"] == "application/json"
    assert SECURITY_HEADERS.items() <= result.headers.items()


def test_a_repeated_and_an_unknown_query_parameter_are_422_and_named(app: ServiceApp) -> None:
    repeated = request(app, "GET", "/things", query={"limit": ["5", "6"]}, bearer=token())
    unknown = request(app, "GET", "/things", query={"limit": "5", "limit[$gt]": "1", "q' OR 1": ""}, bearer=token())

    assert_problem(repeated, 422, "invalid_input")
    assert repeated.json["errors"] == [{"field": "limit", "code": "repeated", "message": "It may stand only once."}]
    assert_problem(unknown, 422, "invalid_input")
    assert unknown.fields == {"limit[$gt]", "q' OR 1"}


def test_a_handler_says_status_and_headers(app: ServiceApp) -> None:
    result = request(app, "POST", "/things", {"name": "n"}, bearer=token())

    assert (result.status, result.json["name"], result.headers["Location"]) == (201, "n", "/v1/things/1")


def test_no_content_has_no_body_and_no_content_type(app: ServiceApp) -> None:
    result = request(app, "DELETE", "/things/{thing_id}", path={"thing_id": "1"}, bearer=token())

    assert (result.status, result.text) == (204, "")
    assert "Content-Type" not in result.headers


def test_bytes_go_out_as_they_are(app: ServiceApp) -> None:
    result = request(
        app, "POST", "/xml", "<a>é</a>", headers={"content-type": "text/xml; charset=utf-8"}, bearer=token()
    )

    assert (result.status, result.text, result.headers["Content-Type"]) == (200, "<a>é</a>", "application/xml")


def test_a_body_in_base64_is_read(app: ServiceApp) -> None:
    event = gateway_event("POST", "/things", base64.b64encode(b'{"name": "n"}').decode()) | {"isBase64Encoded": True}

    assert app(event, None)["statusCode"] == 201


# who is asking


def gateway_event(method: str, resource: str, body: str | None = None, **headers: str) -> dict[str, Any]:  # Any: JSON
    sent = {"Authorization": f"Bearer {token()}", "Content-Type": "application/json", **headers}
    return {
        "headers": sent, "multiValueQueryStringParameters": None, "pathParameters": None, "stageVariables": None,
        "requestContext": {"httpMethod": method, "resourcePath": resource, "path": f"/v1{resource}"}, "body": body,
    }  # fmt: skip


@pytest.mark.parametrize("bearer", ["", "tampered", token()[:-4], token(exp=1), token(aud="x")])
def test_without_a_good_token_nothing_is_answered(app: ServiceApp, bearer: str) -> None:
    result = request(app, "GET", "/things", bearer=bearer or None)

    assert_problem(result, 401, "unauthenticated")
    assert result.headers["WWW-Authenticate"].startswith('Bearer realm="billing"')


def test_a_public_route_needs_no_token_and_does_not_even_look_at_one(app: ServiceApp) -> None:
    assert request(app, "POST", "/login", {}).status == 200
    assert request(app, "POST", "/login", {}, bearer="tampered").status == 200


def test_a_role_that_is_missing_is_403(app: ServiceApp) -> None:
    assert_problem(request(app, "GET", "/admin", bearer=token()), 403, "permission_denied")
    assert request(app, "GET", "/admin", bearer=token("usr_a", "admin")).json == {"user_id": "usr_a"}


# bodies


@pytest.mark.parametrize("body", ["{", "[]", "null", '{"a": NaN}', '{"name": "a", "name": "b"}', '{"name": "\\ud800"}'])
def test_a_body_that_is_no_json_object_is_400(app: ServiceApp, body: str) -> None:
    assert_problem(request(app, "POST", "/things", body, bearer=token()), 400, "malformed_body")


def test_no_body_where_one_is_needed_is_400(app: ServiceApp) -> None:
    assert_problem(request(app, "POST", "/things", bearer=token()), 400, "malformed_body")


def test_fields_that_do_not_validate_are_422_and_named(app: ServiceApp) -> None:
    result = request(app, "POST", "/things", {"size": "big", "colour": 1}, bearer=token())

    assert_problem(result, 422, "invalid_input")
    assert result.fields == {"name", "size", "colour"}
    assert_problem(request(app, "GET", "/things", query={"limit": "many"}, bearer=token()), 422, "invalid_input")


def test_a_body_may_be_as_large_as_allowed_and_not_a_byte_larger(app: ServiceApp) -> None:
    configure(app, max_body_bytes=30)
    fits = json.dumps({"name": "x" * 18}, separators=(",", ":"))
    assert len(fits) == 29

    assert request(app, "POST", "/things", fits + " ", bearer=token()).status == 201
    assert_problem(request(app, "POST", "/things", fits + "  ", bearer=token()), 413, "payload_too_large")


def test_size_is_counted_in_bytes_and_before_anything_else(app: ServiceApp) -> None:
    configure(app, max_body_bytes=10)

    assert_problem(request(app, "POST", "/login", "é" * 6), 413, "payload_too_large")
    assert_problem(request(app, "POST", "/things", "x" * 11), 413, "payload_too_large")
    assert_problem(request(app, "GET", "/things", "x" * 11, bearer=token()), 413, "payload_too_large")


@pytest.mark.parametrize(
    "content_type",
    [
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/plain",
        "application/jsonx",
        "",
        "json",
    ],
)
def test_a_body_of_another_type_is_415(app: ServiceApp, content_type: str) -> None:
    result = request(app, "POST", "/things", "{}", headers={"content-type": content_type}, bearer=token())

    assert_problem(result, 415, "unsupported_media_type")


@pytest.mark.parametrize("content_type", ["application/json", "Application/JSON; charset=utf-8", " application/json "])
def test_json_by_any_spelling_of_its_type_is_taken(app: ServiceApp, content_type: str) -> None:
    sent = {"content-type": content_type}

    assert request(app, "POST", "/things", {"name": "n"}, headers=sent, bearer=token()).status == 201


def test_what_get_and_delete_send_along_is_ignored(app: ServiceApp) -> None:
    form = {"content-type": "application/x-www-form-urlencoded"}

    assert request(app, "GET", "/things", "a=b", headers=form, bearer=token()).status == 200
    assert (
        request(app, "DELETE", "/things/{thing_id}", "a=b", path={"thing_id": "1"}, headers=form, bearer=token()).status
        == 204
    )


# limits


def test_each_answer_says_what_is_left_of_the_quota(app: ServiceApp) -> None:
    configure(app, user_rate_per_minute=2)

    first = request(app, "GET", "/things", bearer=token())

    assert first.headers["RateLimit-Policy"] == '"user";q=2;w=60'
    assert first.headers["RateLimit"] == '"user";r=1;t=30'


def test_too_many_requests_are_429_with_retry_after(app: ServiceApp) -> None:
    configure(app, user_rate_per_minute=2)
    for _ in range(2):
        assert request(app, "GET", "/things", bearer=token()).status == 200

    refused = request(app, "GET", "/things", bearer=token())

    assert_problem(refused, 429, "rate_limited")
    assert 1 <= int(refused.headers["Retry-After"]) <= 31
    assert refused.headers["RateLimit"].startswith('"user";r=0;t=')
    assert request(app, "GET", "/things", bearer=token("usr_other")).status == 200


def test_public_routes_are_limited_by_address_and_by_their_own_policy(app: ServiceApp) -> None:
    configure(app, auth_rate_per_minute=1, user_rate_per_minute=50)

    assert request(app, "POST", "/login", {}).headers["RateLimit-Policy"].startswith('"auth";q=1')
    assert_problem(request(app, "POST", "/login", {}), 429, "rate_limited")
    assert request(app, "GET", "/things", bearer=token()).status == 200


def test_refused_and_wrong_requests_count_as_well(app: ServiceApp) -> None:
    configure(app, user_rate_per_minute=2)
    request(app, "POST", "/things", "{", bearer=token())
    request(app, "GET", "/admin", bearer=token())

    assert_problem(request(app, "GET", "/admin", bearer=token()), 429, "rate_limited")


def test_the_answer_kept_for_the_user_is_read_together_with_the_limit(app: ServiceApp, redis_url: str) -> None:
    configure(app, cache_url=redis_url, cache_timeout_ms=1000)
    keeper = Cache(redis_url, 1000)
    keeper.bump("usr_a", "bills")
    keeper.fill(Entry("usr_a", "bills", "all"), 1, b'{"kept":true}', 60)

    hit = request(app, "GET", "/cached", bearer=token("usr_a"))
    miss = request(app, "GET", "/cached", bearer=token("usr_b"))

    assert (hit.json, hit.headers["X-Version"]) == ({"kept": True}, "1")
    assert (miss.json, miss.headers["X-Version"]) == ({}, "0")


# errors


def test_an_error_of_the_platform_is_told(app: ServiceApp) -> None:
    def broken(how: str) -> Result:
        return request(app, "GET", "/broken/{how}", path={"how": how}, bearer=token())

    assert_problem(broken("conflict"), 409, "name_taken")
    assert_problem(broken("down"), 503, "unavailable")
    assert broken("down").headers["Retry-After"] == "9"
    assert broken("conflict").json["instance"] == "/v1/broken/conflict"
    assert "RateLimit" in broken("conflict").headers


@pytest.mark.parametrize("how", ["key", "value", "os", "encoding", "surrogate"])
def test_any_other_error_leaks_nothing_and_is_logged_whole(app: ServiceApp, how: str, log_lines: Lines) -> None:
    result = request(app, "GET", "/broken/{how}", path={"how": how}, bearer=token())

    assert_problem(result, 500, "internal")
    for leak in ("hunter2", "Traceback", "Error", ".py", "/var"):
        assert leak not in result.text
    [unhandled, line] = log_lines()
    assert (unhandled["event"], unhandled["level"], line["status"]) == ("unhandled", "ERROR", 500)
    assert "Traceback" in unhandled["exception"]
    assert unhandled["correlation_id"] == result.headers["X-Correlation-Id"]


def test_settings_that_do_not_load_are_500_and_leak_nothing(log_lines: Lines) -> None:
    app = ServiceApp("sample", {"CACHE_TIMEOUT_MS": "hunter2"})
    app.route("/x", methods=["GET"], public=True)(dict)

    result = request(app, "GET", "/x")

    assert_problem(result, 500, "internal")
    assert SettingsError.__name__ in log_lines()[0]["exception"]


# routes


def test_an_unknown_path_and_a_wrong_method_are_told_apart(app: ServiceApp) -> None:
    assert_problem(request(app, "GET", "/nowhere"), 404, "not_found")
    wrong = request(app, "PUT", "/things/{thing_id}", path={"thing_id": "1"}, bearer=token())
    assert_problem(wrong, 405, "method_not_allowed")
    assert wrong.headers["Allow"] == "DELETE, GET, HEAD"
    assert wrong.json["instance"] == "/v1/things/1"


def test_an_event_that_api_gateway_never_sends_does_not_break_the_function(app: ServiceApp) -> None:
    events: list[dict[str, Any]] = [
        {}, {"requestContext": None}, {"requestContext": {"http": {}}}, {"headers": None}
    ]  # fmt: skip
    for event in events:
        assert app(event, None)["statusCode"] == 404


def test_head_has_no_body(app: ServiceApp) -> None:
    app.route("/ping", methods=["GET"], public=True)(lambda: {"method": app.request.method})

    assert request(app, "GET", "/ping").json == {"method": "GET"}
    head = request(app, "HEAD", "/ping")
    assert (head.status, head.text, head.headers["Content-Type"]) == (200, "", "application/json")
    assert request(app, "HEAD", "/things").text == ""
    assert request(app, "HEAD", "/login").status == 405


def test_a_route_says_what_it_needs(app: ServiceApp) -> None:
    assert app.specs["/login", "POST"].public
    assert app.specs["/admin", "GET"].role == "admin"
    assert set(app.routes) == {path for path, _ in app.specs}


# correlation, time, logs


def test_a_correlation_id_is_echoed_or_made(app: ServiceApp) -> None:
    given = request(app, "POST", "/login", {}, headers={"x-CORRELATION-id": "mine-1"})
    assert given.headers["X-Correlation-Id"] == given.json["correlation"] == "mine-1"

    for refused in ("", "a b", "x" * 65, "a\r\nSet-Cookie: b"):
        made = request(app, "POST", "/login", {}, headers={"X-Correlation-Id": refused}).headers["X-Correlation-Id"]
        assert is_id("cor", made)


class LambdaContext:
    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def get_remaining_time_in_millis(self) -> int:
        return int(self._seconds * 1000)


@pytest.mark.parametrize(("lambda_has", "expected"), [(10, 9.5), (900, GATEWAY_SECONDS)])
def test_nobody_waits_longer_than_the_gateway_or_the_function(
    app: ServiceApp, lambda_has: float, expected: float
) -> None:
    answer = app(gateway_event("POST", "/login"), LambdaContext(lambda_has))

    assert json.loads(answer["body"])["seconds"] == pytest.approx(expected, abs=0.3)


def test_a_request_is_one_json_line_with_key_fields(app: ServiceApp, log_lines: Lines) -> None:
    secret = "hunter2"
    request(
        app, "GET", "/things/{thing_id}", path={"thing_id": "1"}, query={"q": secret}, bearer=token("usr_a"),
        headers={"X-Correlation-Id": "req-7", "X-Key": secret},
    )  # fmt: skip

    [line] = log_lines()
    assert (line["event"], line["method"], line["route"], line["status"]) == (
        "request",
        "GET",
        "/things/{thing_id}",
        200,
    )
    assert line["correlation_id"] == "req-7"
    assert 0 <= line["ms"] < 1000
    assert secret not in json.dumps(line)
    assert "eyJ" not in json.dumps(line)


def test_a_refused_request_is_logged_too(app: ServiceApp, log_lines: Lines) -> None:
    request(app, "GET", "/things")
    request(app, "GET", "/nowhere")

    assert [(line["event"], line["status"]) for line in log_lines()] == [("request", 401), ("request", 404)]


def test_settings_come_from_the_environment_on_first_use() -> None:
    app = ServiceApp("sample", {"USER_RATE_PER_MINUTE": "7", "TOKEN_ISSUER": "me", "JWKS": '{"keys": []}'})

    assert app.settings.user_rate_per_minute == 7
    assert app.settings is app.settings
    assert app.cache is app.cache
    assert app.verifier is app.verifier
