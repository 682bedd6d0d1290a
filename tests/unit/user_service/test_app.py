"""The routes, as API Gateway calls them."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from functions.common.clock import SystemClock
from functions.common.rpc.client import Stub
from functions.common.rpc.envelope import Call, Reply
from functions.common.rpc.status import StatusCode
from functions.contracts.rpc import broker_pb2
from functions.contracts.rpc.common_pb2 import ExportUserReply
from functions.user_service import bootstrap
from functions.user_service.app import app
from tests.support.http import Result, configure, jwks, request, token
from tests.unit.user_service.fakes import World

ADA = {"email": "Ada@Example.com", "password": "correct horse", "name": "Ada"}
LOGIN = {"email": "ada@example.com", "password": "correct horse"}


@pytest.fixture(autouse=True)
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    world = World()
    monkeypatch.setattr(bootstrap, "users", lambda: world.users)
    monkeypatch.setattr(bootstrap, "sessions", lambda: world.sessions)
    monkeypatch.setattr(bootstrap, "recovery", lambda: world.recovery)
    monkeypatch.setattr(bootstrap, "export", lambda: world.export)
    # the real time, because access tokens are verified against it
    monkeypatch.setattr(world.clock, "now", SystemClock().now)
    configure(app)
    return world


def post(path: str, body: object = None, **kwargs: Any) -> Result:  # Any: what `request` takes
    return request(app, "POST", path, body, **kwargs)


def logged_in() -> Mapping[str, Any]:  # Any: JSON
    post("/users", ADA)
    tokens: Mapping[str, Any] = post("/auth/login", LOGIN).json
    return tokens


def test_register_log_in_and_see_oneself() -> None:
    registered = post("/users", ADA)
    assert registered.status == 201
    assert registered.json | {"user_id": "", "created_at": ""} == {
        "user_id": "", "email": "ada@example.com", "email_verified": False, "name": "Ada", "currency": None,
        "time_zone": None, "reminder_days": None, "reminder_repeat_days": None, "roles": ["user"], "created_at": "",
    }  # fmt: skip
    assert registered.json["email"] == "ada@example.com"

    answer = post("/auth/login", LOGIN)
    assert answer.status == 200
    assert answer.json.keys() == {"access_token", "token_type", "expires_in", "refresh_token"}
    assert (answer.json["token_type"], answer.json["expires_in"]) == ("Bearer", 900)
    assert answer.headers["Cache-Control"] == "no-store"

    me = request(app, "GET", "/users/me", bearer=answer.json["access_token"])
    assert (me.status, me.json) == (200, registered.json)


def test_a_known_email_conflicts() -> None:
    post("/users", ADA)
    answer = post("/users", {**ADA, "email": " ada@EXAMPLE.com "})
    assert (answer.status, answer.json["code"]) == (409, "email_taken")


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        ({"email": "nobody"}, {"email"}),
        ({"password": "short"}, {"password"}),
        ({"password": "x" * 129}, {"password"}),
        ({"password": "password1"}, {"password"}),
        ({"password": 12345678, "name": ""}, {"password", "name"}),
        ({"name": "   "}, {"name"}),
        ({"name": "x" * 101}, {"name"}),
        ({"admin": True}, {"admin"}),
        ({"email": None}, {"email"}),
    ],
)
def test_fields_at_fault_are_named(change: dict[str, object], fields: set[str]) -> None:
    answer = post("/users", {**ADA, **change})
    assert (answer.status, answer.fields) == (422, fields)


def test_fields_that_lack_are_named() -> None:
    assert post("/users", {}).fields == {"email", "password", "name"}
    assert post("/auth/login", {}).fields == {"email", "password"}
    assert post("/auth/refresh", {}).fields == {"refresh_token"}


@pytest.mark.parametrize("credentials", [{**LOGIN, "password": "wrong"}, {**LOGIN, "email": "eve@example.com"}])
def test_wrong_credentials_look_the_same(credentials: dict[str, str]) -> None:
    post("/users", ADA)
    answer = post("/auth/login", credentials)
    assert (answer.status, answer.json["code"]) == (401, "invalid_credentials")
    assert answer.json["detail"] == "The e-mail or the password is wrong."
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_a_refresh_token_is_good_once() -> None:
    first = logged_in()["refresh_token"]
    second = post("/auth/refresh", {"refresh_token": first})
    assert second.status == 200
    assert second.json["refresh_token"] != first
    answer = post("/auth/refresh", {"refresh_token": first})
    assert (answer.status, answer.json["code"]) == (401, "invalid_refresh_token")
    assert post("/auth/refresh", {"refresh_token": second.json["refresh_token"]}).status == 200


@pytest.mark.parametrize("with_token", [True, False])
def test_log_out(with_token: bool) -> None:
    tokens = logged_in()
    body = {"refresh_token": tokens["refresh_token"]} if with_token else None
    answer = post("/auth/logout", body, bearer=tokens["access_token"])
    assert (answer.status, answer.text) == (204, "")
    assert post("/auth/refresh", {"refresh_token": tokens["refresh_token"]}).status == 401


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/users/me"), ("PATCH", "/users/me"), ("DELETE", "/users/me"), ("GET", "/users/me/export"),
     ("POST", "/users/me/password"), ("GET", "/users/me/sessions"), ("POST", "/auth/logout"),
     ("POST", "/auth/logout-all")],
)  # fmt: skip
def test_a_token_is_needed(method: str, path: str) -> None:
    assert request(app, method, path).status == 401
    assert request(app, method, path, bearer=token()[:-4] + "AAAA").status == 401


def test_a_token_of_nobody_finds_nobody() -> None:
    assert request(app, "GET", "/users/me", bearer=token()).status == 404


def test_the_public_keys_are_public() -> None:
    answer = request(app, "GET", "/.well-known/jwks.json")
    assert (answer.status, answer.json) == (200, json.loads(jwks()))
    assert answer.headers["Cache-Control"] == "public, max-age=300"
    assert "d" not in answer.json["keys"][0]


def test_no_secret_is_logged(capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    tokens = logged_in()
    post("/auth/refresh", {"refresh_token": tokens["refresh_token"]})
    post("/auth/refresh", {"refresh_token": tokens["refresh_token"]})
    post("/auth/login", {**LOGIN, "password": "wrong horse"})
    post("/users", {**ADA, "password": "horse"})
    logged = " ".join(repr(record.__dict__) for record in caplog.records) + "".join(capsys.readouterr())
    assert "logged_in" in logged
    for secret in ("horse", tokens["access_token"], tokens["refresh_token"], "ada@example.com"):
        assert secret not in logged


def bearer() -> str:
    return str(logged_in()["access_token"])


def test_preferences_change() -> None:
    token = bearer()
    chosen = {"currency": "EUR", "time_zone": "Europe/Berlin", "reminder_days": 7, "reminder_repeat_days": 2}
    answer = request(app, "PATCH", "/users/me", chosen, bearer=token)
    assert (answer.status, answer.json | chosen) == (200, answer.json)
    taken_back = request(app, "PATCH", "/users/me", {"currency": None, "name": "Ada L."}, bearer=token).json
    assert (taken_back["currency"], taken_back["name"], taken_back["reminder_days"]) == (None, "Ada L.", 7)
    assert request(app, "PATCH", "/users/me", {}, bearer=token).json == taken_back


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        ({"currency": "euro", "time_zone": 1}, {"currency", "time_zone"}),
        ({"currency": "ZZZ", "time_zone": "Nowhere"}, {"currency", "time_zone"}),
        ({"reminder_days": 61}, {"reminder_days"}),
        ({"reminder_repeat_days": 0}, {"reminder_repeat_days"}),
        ({"reminder_repeat_days": 31}, {"reminder_repeat_days"}),
        ({"reminder_days": -1, "name": None}, {"reminder_days", "name"}),
        ({"email": "eve@example.com", "roles": ["admin"]}, {"email", "roles"}),
    ],
)
def test_preferences_at_fault_are_named(change: dict[str, object], fields: set[str]) -> None:
    answer = request(app, "PATCH", "/users/me", change, bearer=bearer())
    assert (answer.status, answer.fields) == (422, fields)


def test_a_password_changes_and_the_other_sessions_end(world: World) -> None:
    other, tokens = logged_in(), post("/auth/login", LOGIN).json
    body = {"current_password": "correct horse", "new_password": "another horse"}
    wrong = post("/users/me/password", {**body, "current_password": "wrong"}, bearer=tokens["access_token"])
    assert (wrong.status, wrong.fields) == (422, {"current_password"})
    assert post("/users/me/password", body, bearer=tokens["access_token"]).status == 204

    assert post("/auth/refresh", {"refresh_token": other["refresh_token"]}).status == 401
    assert post("/auth/login", LOGIN).status == 401
    assert post("/auth/login", {**LOGIN, "password": "another horse"}).status == 200
    sessions = request(app, "GET", "/users/me/sessions", bearer=tokens["access_token"]).json
    assert sessions["next_cursor"] is None
    assert sum(session["current"] for session in sessions["items"]) == 1


def test_sessions_are_listed_and_ended() -> None:
    first, second = logged_in(), post("/auth/login", LOGIN).json
    items = request(app, "GET", "/users/me/sessions", bearer=second["access_token"]).json["items"]
    assert [item["current"] for item in items] == [True, False]
    page = request(app, "GET", "/users/me/sessions", query={"limit": "1"}, bearer=second["access_token"]).json
    rest = {"limit": "1", "cursor": page["next_cursor"]}
    page["items"] += request(app, "GET", "/users/me/sessions", query=rest, bearer=second["access_token"]).json["items"]
    assert page["items"] == items
    beyond = request(app, "GET", "/users/me/sessions", query={"limit": "201"}, bearer=second["access_token"])
    assert (beyond.status, beyond.json["errors"][0]["field"]) == (422, "limit")
    assert set(items[0]) == {"session_id", "created_at", "last_used_at", "current"}

    path = {"session_id": items[1]["session_id"]}
    for status in (204, 404):
        answer = request(app, "DELETE", "/users/me/sessions/{session_id}", path=path, bearer=second["access_token"])
        assert answer.status == status
    assert post("/auth/refresh", {"refresh_token": first["refresh_token"]}).status == 401
    assert post("/auth/logout-all", bearer=second["access_token"]).status == 204
    assert post("/auth/refresh", {"refresh_token": second["refresh_token"]}).status == 401


def test_the_address_is_verified_by_the_code_of_the_mail(world: World) -> None:
    token = bearer()
    body = {"email": LOGIN["email"], "code": world.mailer.last_code}
    assert post("/auth/verify-email", body).status == 204
    again = post("/auth/verify-email", body)
    assert (again.status, again.fields) == (422, {"code"})
    assert request(app, "GET", "/users/me", bearer=token).json["email_verified"] is True


@pytest.mark.parametrize("path", ["/auth/verify-email/request", "/auth/password-reset/request"])
def test_asking_for_a_code_is_answered_alike_for_every_address(path: str) -> None:
    post("/users", ADA)
    for email in (LOGIN["email"], "nobody@example.com"):
        answer = post(path, {"email": email})
        assert (answer.status, answer.text) == (202, "{}")
    assert post(path, {"email": "nobody"}).fields == {"email"}


def test_a_password_is_reset_by_the_code_of_the_mail(world: World) -> None:
    tokens = logged_in()
    post("/auth/password-reset/request", {"email": LOGIN["email"]})
    body = {"email": LOGIN["email"], "code": world.mailer.last_code, "new_password": "another horse"}
    assert post("/auth/password-reset", {**body, "new_password": "password1"}).fields == {"new_password"}
    assert post("/auth/password-reset", body).status == 204
    assert post("/auth/password-reset", body).fields == {"code"}
    assert post("/auth/password-reset", {**body, "email": "nobody@example.com"}).fields == {"code"}
    assert post("/auth/refresh", {"refresh_token": tokens["refresh_token"]}).status == 401
    assert post("/auth/login", {**LOGIN, "password": "another horse"}).status == 200


@pytest.mark.parametrize("email", [LOGIN["email"], "nobody@example.com", "no address"])
def test_guessing_is_slowed_down_alike_for_every_address(email: str) -> None:
    post("/users", ADA)
    answers = [post("/auth/login", {"email": email, "password": "wrong"}) for _ in range(6)]
    assert [answer.status for answer in answers] == [401] * 5 + [429]
    assert answers[-1].headers["Retry-After"] == "1"
    assert answers[-1].json["code"] == "locked"


class Owner:
    """Holds one thing of a kind on everybody."""

    def __init__(self, kind: str) -> None:
        self.json = json.dumps({kind: [{"of": kind}]}).encode()

    def invoke(self, call: Call) -> Reply:
        return Reply(StatusCode.OK, ExportUserReply(json=self.json).SerializeToString())

    def post(self, call: Call) -> None:
        raise AssertionError


def test_an_export_holds_everything_and_no_secret(world: World) -> None:
    service = broker_pb2.DESCRIPTOR.services_by_name["Broker"]
    world.owners = {name: Stub(service, Owner(name)) for name in ("accounts", "bills", "jobs", "webhooks", "activity")}
    tokens = logged_in()
    world.users.grant_role(LOGIN["email"], "admin")
    answer = request(app, "GET", "/users/me/export", bearer=tokens["access_token"])
    assert answer.status == 200
    assert set(answer.json) == {
        "exported_at",
        "user",
        "sessions",
        "accounts",
        "bills",
        "jobs",
        "webhooks",
        "activity",
        "next_cursor",
    }
    assert answer.json["next_cursor"] is None
    assert request(app, "GET", "/users/me/export", query={"cursor": "x"}, bearer=tokens["access_token"]).status == 422
    assert answer.json["bills"] == {"bills": [{"of": "bills"}]}
    assert answer.json["user"]["email"] == LOGIN["email"]
    assert [grant["role"] for grant in answer.json["user"]["role_grants"]] == ["admin"]
    assert [session["current"] for session in answer.json["sessions"]] == [True]
    [user], [session] = world.user_items.users.values(), world.session_items.sessions.values()
    for secret in (user.password_hash, session.family_hash, session.token_hash, *world.code_items.codes.values()):
        assert str(getattr(secret, "code_hash", secret)) not in answer.text


def test_a_deleted_user_is_gone(world: World) -> None:
    token = bearer()
    for _ in range(2):
        answer = request(app, "DELETE", "/users/me", bearer=token)
        assert (answer.status, answer.text) == (202, "{}")
    assert world.publisher.types == ["user.deleted.v1"]
    for method, path in (("GET", "/users/me"), ("PATCH", "/users/me"), ("GET", "/users/me/export"),
                         ("GET", "/users/me/sessions")):  # fmt: skip
        body = {"name": "X"} if method == "PATCH" else None
        assert request(app, method, path, body, bearer=token).status == 404, path
    assert post("/auth/logout-all", bearer=token).status == 204
    assert post("/auth/login", LOGIN).json["code"] == "invalid_credentials"
    assert post("/users", ADA).json["code"] == "email_taken"
