"""The routes, as API Gateway calls them."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from functions.common.clock import SystemClock
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
    assert set(registered.json) == {"user_id", "email", "name", "created_at"}
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
    for used in (first, second.json["refresh_token"]):
        answer = post("/auth/refresh", {"refresh_token": used})
        assert (answer.status, answer.json["code"]) == (401, "invalid_refresh_token")


@pytest.mark.parametrize("with_token", [True, False])
def test_log_out(with_token: bool) -> None:
    tokens = logged_in()
    body = {"refresh_token": tokens["refresh_token"]} if with_token else None
    answer = post("/auth/logout", body, bearer=tokens["access_token"])
    assert (answer.status, answer.text) == (204, "")
    assert post("/auth/refresh", {"refresh_token": tokens["refresh_token"]}).status == 401


@pytest.mark.parametrize(("method", "path"), [("GET", "/users/me"), ("POST", "/auth/logout")])
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
