"""What every route shares, on an app with one route of each kind."""

import base64
import json
import re
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from chalice.app import Request

from functions.common.cache import Cache, Entry
from functions.common.context import correlation_id, remaining_seconds, trace_id
from functions.common.errors import Conflict, NotFound, Unavailable
from functions.common.http.app import GATEWAY_SECONDS, Answer, ServiceApp
from functions.common.http.headers import EXPOSED, SECURITY_HEADERS
from functions.common.idempotency import Idempotency
from functions.common.rate_limit import Limit
from functions.common.settings import SettingsError
from tests.support.http import Result, configure, request, token
from tests.support.logs import Lines
from tests.unit.common.test_idempotency import MemoryRecords

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
    app.done = 0  # type: ignore[attr-defined]  # how often the work of an idempotent route was done

    @app.route("/things", methods=["GET"])
    def list_things() -> object:
        return {"items": [ThingOut("é")], "limit": app.read_query(Page).limit, "query": app.query}

    @app.route("/things", methods=["POST"])
    def create_thing() -> object:
        body = app.read(ThingIn)
        return Answer(ThingOut(body.name), 201, {"Location": f"/v1/things/{body.name}"})

    @app.route("/things/{thing_id}", methods=["GET", "DELETE"])
    def one_thing(thing_id: str) -> object:
        if thing_id != "1":
            raise NotFound("There is no such thing.")
        return {"id": thing_id} if app.request.method == "GET" else Answer(status=204)

    @app.route("/once/{how}", methods=["POST"], idempotent=True, errors=[409])
    def once(how: str) -> object:
        app.done += 1  # type: ignore[attr-defined]
        if how == "conflict":
            raise Conflict("Taken.", code="name_taken")
        if how == "down":
            raise Unavailable("Down.")
        return Answer({"n": app.done}, 201, {"Location": "things/1", "ETag": '"1"'})  # type: ignore[attr-defined]

    @app.route("/join", methods=["POST"], public=True, idempotent=True)
    def join() -> object:
        app.done += 1  # type: ignore[attr-defined]
        return {"n": app.done}  # type: ignore[attr-defined]

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

    assert (result.status, result.json["name"], result.headers["Location"]) == (201, "n", "/v1/things/n")


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
    version = keep(redis_url, b'{"kept":true}')

    hit = request(app, "GET", "/cached", bearer=token("usr_a"))
    miss = request(app, "GET", "/cached", bearer=token("usr_b"))

    assert (hit.json, hit.headers["X-Version"]) == ({"kept": True}, str(version))
    assert miss.json == {}


def keep(redis_url: str, value: bytes, soft: float = 60) -> int:
    keeper, entry, now = Cache(redis_url, 1000), Entry("usr_a", "bills", "all"), datetime.now(UTC)
    seen = keeper.limit_and_read("usr_a", Limit("user", 600), entry)[1]
    keeper.fill(entry, seen, value, "t", now + timedelta(seconds=soft), now + timedelta(seconds=600))
    return seen.version


@pytest.mark.parametrize(
    ("how", "expected"),
    [("fresh", "CacheHits"), ("old", "CacheStale"), ("nothing", "CacheMisses"), ("down", "CacheErrors")],
)
def test_the_line_of_a_request_counts_how_its_cached_read_ended(
    app: ServiceApp, redis_url: str, log_lines: Lines, how: str, expected: str
) -> None:
    """As CloudWatch's embedded metric format wants it; the values of dimensions are few."""
    configure(app, stage="test", cache_url="unix:///nowhere" if how == "down" else redis_url, cache_timeout_ms=1000)
    if how in ("fresh", "old"):
        keep(redis_url, b"{}", 60 if how == "fresh" else -1)
    log_lines()

    request(app, "GET", "/cached", bearer=token("usr_a"))

    line = log_lines()[-1]
    names = ["CacheHits", "CacheStale", "CacheMisses", "CacheErrors"]
    assert (line["event"], line["stage"], line["service"], line["route"]) == ("request", "test", "sample", "/cached")
    assert {name: line[name] for name in names} == {name: int(name == expected) for name in names}
    [directive] = line["_aws"]["CloudWatchMetrics"]
    assert directive["Dimensions"] == [["stage", "service", "route"]]
    assert [metric["Name"] for metric in directive["Metrics"]] == names
    assert abs(line["_aws"]["Timestamp"] - time.time() * 1000) < 60_000


def test_where_nothing_is_cached_nothing_is_counted(app: ServiceApp, redis_url: str, log_lines: Lines) -> None:
    configure(app, cache_url=redis_url, cache_timeout_ms=1000, user_rate_per_minute=1)
    for path in ("/cached", "/cached", "/things"):  # the second one is over the limit
        request(app, "GET", path, bearer=token("usr_a"))

    lines = [line for line in log_lines() if line["event"] == "request"]
    assert ["_aws" in line for line in lines] == [True, False, False]


# Idempotency-Key


@pytest.fixture
def keeping(app: ServiceApp) -> ServiceApp:
    app.__dict__["idempotency"] = Idempotency(MemoryRecords(), b"a secret of the tests")
    return app


def ask(app: ServiceApp, how: str = "well", key: str | None = "k", **more: Any) -> Result:  # Any: of `request`
    sent = {"Idempotency-Key": key} if key is not None else {}
    given = {"body": {"a": 1}, "bearer": token(), "path": {"how": how}, "headers": sent, **more}
    return request(app, "POST", "/once/{how}", given.pop("body"), **given)


def test_the_first_answer_is_replayed_with_its_headers_and_says_so(keeping: ServiceApp) -> None:
    first, again = ask(keeping), ask(keeping)

    assert (first.status, first.json) == (again.status, again.json) == (201, {"n": 1})
    for name in ("Location", "ETag", "Content-Type"):
        assert again.headers[name] == first.headers[name]
    assert (first.headers.get("Idempotency-Replayed"), again.headers["Idempotency-Replayed"]) == (None, "true")
    # each request counts, has an id of its own and is told what is left
    assert first.headers["RateLimit"] != again.headers["RateLimit"]
    assert first.headers["X-Correlation-Id"] != again.headers["X-Correlation-Id"]


def test_a_refusal_by_the_handler_is_replayed_and_a_failure_is_not(keeping: ServiceApp) -> None:
    assert_problem(ask(keeping, "conflict"), 409, "name_taken")
    again = ask(keeping, "conflict")
    assert (again.status, again.headers["Idempotency-Replayed"]) == (409, "true")
    assert again.headers["Content-Type"] == "application/problem+json"

    assert [ask(keeping, "down", "other").headers.get("Idempotency-Replayed") for _ in range(2)] == [None, None]
    assert keeping.done == 3  # type: ignore[attr-defined]


def test_the_key_for_another_body_or_another_path_is_422(keeping: ServiceApp) -> None:
    ask(keeping)

    for other in (ask(keeping, body={"a": 2}), ask(keeping, "conflict"), ask(keeping, query={"x": "1"})):
        assert_problem(other, 422, "idempotency_key_reused")
        assert other.fields == {"Idempotency-Key"}


def test_keys_of_two_users_are_two_keys_and_where_anybody_may_ask_those_of_two_addresses(keeping: ServiceApp) -> None:
    assert ask(keeping, bearer=token("usr_a")).json != ask(keeping, bearer=token("usr_b")).json

    event = gateway_event("POST", "/join", **{"Idempotency-Key": "k"})
    answers = []
    for address in ("192.0.2.1", "192.0.2.2", "192.0.2.1"):
        asked = {**event["requestContext"], "identity": {"sourceIp": address}}
        answers.append(json.loads(keeping({**event, "requestContext": asked}, None)["body"])["n"])
    assert answers[0] == answers[2] != answers[1]


@pytest.mark.parametrize("key", ["", "a b", "ключ", "x" * 256])
def test_a_key_that_is_none_is_400_by_name(keeping: ServiceApp, key: str) -> None:
    result = ask(keeping, key=key)

    assert_problem(result, 400, "invalid_header")
    assert result.fields == {"Idempotency-Key"}
    assert keeping.done == 0  # type: ignore[attr-defined]


def test_without_a_key_or_where_none_is_heeded_the_store_is_not_touched(app: ServiceApp) -> None:
    assert [ask(app, key=None).json["n"] for _ in range(2)] == [1, 2]
    sent = {"Idempotency-Key": "k"}
    assert request(app, "POST", "/things", {"name": "n"}, bearer=token(), headers=sent).status == 201
    assert "idempotency" not in app.__dict__


def test_the_store_is_built_from_the_environment_on_first_use(log_lines: Lines) -> None:
    settings = {"IDEMPOTENCY_TABLE": "idempotency", "IDEMPOTENCY_SECRET": "sixteen letters."}
    assert isinstance(ServiceApp("sample", settings).idempotency, Idempotency)

    for broken in ({}, {**settings, "IDEMPOTENCY_SECRET": "short"}):
        with pytest.raises(SettingsError) as refused:
            _ = ServiceApp("sample", broken).idempotency
        assert "IDEMPOTENCY_SECRET" in str(refused.value)
        assert "short:" not in str(refused.value)


# edges


def test_a_body_that_is_too_large_is_refused_before_it_is_decoded(
    app: ServiceApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Request, "raw_body", property(lambda _: pytest.fail("decoded")))
    large = {"isBase64Encoded": True, "body": "A" * 10_000_000}

    for event in (gateway_event("POST", "/things") | large, gateway_event("POST", "/things", "x" * 10_000_000)):
        answer = app(event, None)
        assert answer["statusCode"] == 413
        assert len(answer["body"]) < 1000


@pytest.mark.parametrize("padding", ["", "=", "=="])
def test_base64_is_counted_by_what_it_holds(app: ServiceApp, padding: str) -> None:
    fits = json.dumps({"name": "x" * (20 - len(padding))}).encode()
    event = gateway_event("POST", "/things", base64.b64encode(fits).decode()) | {"isBase64Encoded": True}

    configure(app, max_body_bytes=len(fits))
    assert app(event, None)["statusCode"] == 201
    configure(app, max_body_bytes=len(fits) - 1)
    assert app(event, None)["statusCode"] == 413


@pytest.mark.parametrize("body", ["not base64: é", "abc"])
def test_a_body_that_is_not_the_base64_that_it_should_be_is_400(app: ServiceApp, body: str) -> None:
    answer = app(gateway_event("POST", "/things", body) | {"isBase64Encoded": True}, None)

    assert (answer["statusCode"], json.loads(answer["body"])["code"]) == (400, "malformed_body")


def test_a_body_of_half_characters_is_400(app: ServiceApp) -> None:
    assert app(gateway_event("POST", "/things", f'"{chr(0xD800)}"'), None)["statusCode"] == 400


@pytest.mark.parametrize(
    "body",
    ["[" * 200_000, '{"a":' * 40_000, '{"name": ' + "1" * 200_000 + "}", '{"name": 1e999}', '{"n": -Infinity}'],
)
def test_what_would_cost_much_to_read_is_400_at_once_and_shortly(app: ServiceApp, body: str) -> None:
    began = time.perf_counter()
    result = request(app, "POST", "/things", body, bearer=token())

    assert_problem(result, 400, "malformed_body")
    assert len(result.text) < 1000
    assert time.perf_counter() - began < 1


def test_many_wrong_fields_make_no_large_answer(app: ServiceApp) -> None:
    many = {f"{number}{'x' * 100}": 1 for number in range(2000)}

    result = request(app, "POST", "/things", many, bearer=token())

    assert_problem(result, 422, "invalid_input")
    assert len(result.text) < 30_000


@pytest.mark.parametrize("end", ["\n", "\r", "\r\nSet-Cookie: a=b", "\x00", "\u2028"])
def test_a_callers_text_does_not_break_out_of_a_header(app: ServiceApp, end: str, log_lines: Lines) -> None:
    result = request(app, "POST", "/things", {"name": f"n{end}"}, bearer=token())

    assert_problem(result, 500, "internal")
    assert "Location" not in result.headers
    assert log_lines()[0]["event"] == "unhandled"


ALLOWED = "https://app.example"


@pytest.mark.parametrize("resource", ["/things", "/nowhere", "/broken/{how}"])
def test_a_page_of_an_allowed_origin_may_read_every_answer(app: ServiceApp, resource: str) -> None:
    configure(app, cors_origins=(ALLOWED, "https://other.example"))

    for bearer in (token(), None):
        for method in ("GET", "PUT"):
            result = request(app, method, resource, path={"how": "down"}, headers={"oRIGIN": ALLOWED}, bearer=bearer)
            assert result.headers["Access-Control-Allow-Origin"] == ALLOWED
            assert result.headers["Access-Control-Expose-Headers"] == EXPOSED
            assert result.headers["Vary"] == "Origin"
            assert "Access-Control-Allow-Credentials" not in result.headers


def test_an_answer_that_varies_by_more_says_all_of_it(app: ServiceApp) -> None:
    @app.route("/forms", methods=["GET"])
    def forms() -> object:
        return Answer({}, headers={"Vary": "Accept"})

    alone = request(app, "GET", "/forms", bearer=token())
    configure(app, cors_origins=(ALLOWED,))
    with_origins = request(app, "GET", "/forms", headers={"Origin": ALLOWED}, bearer=token())

    assert alone.headers["Vary"] == "Accept"
    assert with_origins.headers["Vary"] == "Accept, Origin"
    assert with_origins.headers["Access-Control-Allow-Origin"] == ALLOWED


@pytest.mark.parametrize(
    "origin", ["https://app.example.evil", "http://app.example", "https://APP.example", "null", "*", "", None]
)
def test_a_page_of_any_other_origin_may_not(app: ServiceApp, origin: str | None) -> None:
    configure(app, cors_origins=(ALLOWED,))

    result = request(app, "GET", "/things", headers={} if origin is None else {"Origin": origin}, bearer=token())

    assert result.status == 200
    assert not [name for name in result.headers if name.startswith("Access-Control")]
    assert result.headers["Vary"] == "Origin"


def test_without_origins_in_the_settings_nothing_speaks_of_them(app: ServiceApp) -> None:
    result = request(app, "GET", "/things", headers={"Origin": "https://app.example"}, bearer=token())

    assert not {"Access-Control-Allow-Origin", "Vary"} & set(result.headers)


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
        assert re.fullmatch("cor_[0-9a-f]{32}", made)


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


@pytest.mark.parametrize(
    ("told", "received"),
    [({"requestTimeEpoch": 1_763_800_000_250}, datetime(2025, 11, 22, 8, 26, 40, 250_000, UTC)), ({}, None)],
)
def test_a_handler_learns_when_the_gateway_took_the_request_in(told: dict[str, int], received: datetime | None) -> None:
    app = configure(ServiceApp("test"))
    seen: list[datetime | None] = []

    @app.route("/now", methods=["GET"], public=True)
    def tell() -> object:
        seen.append(app.received_at)
        return {}

    context = {"httpMethod": "GET", "resourcePath": "/now", "path": "/v1/now", **told}
    event = {"requestContext": context, "headers": {}, "multiValueQueryStringParameters": None, "pathParameters": None}
    app({**event, "body": None, "isBase64Encoded": False, "stageVariables": None}, None)

    assert seen == [received]


def test_a_request_goes_on_with_its_caller_s_trace() -> None:
    app = configure(ServiceApp("test"))

    @app.route("/trace", methods=["GET"], public=True)
    def tell() -> object:
        return {"trace_id": trace_id()}

    parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

    assert request(app, "GET", "/trace", headers={"traceparent": parent}).json["trace_id"] == parent[3:35]
    assert request(app, "GET", "/trace").json["trace_id"] not in ("", parent[3:35])
