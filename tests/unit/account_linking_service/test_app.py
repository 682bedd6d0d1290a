"""The routes as API Gateway calls them, over tables and a key in moto."""

import io
import json
import logging
from datetime import timedelta
from typing import Any
from unittest.mock import ANY

import pytest

from functions.account_linking_service import bootstrap
from functions.account_linking_service.app import app
from functions.account_linking_service.credentials import MfaCode
from functions.account_linking_service.items_table import LinkItem, LinkKeyItem
from functions.account_linking_service.model import MfaChallenge, Outcome, UserId
from functions.account_linking_service.schemas import LinkAccount, LoginCredentials, SubmitMfa
from functions.account_linking_service.states import LinkEvent
from functions.common import logs
from functions.common.http.app import ServiceApp
from functions.common.ids import new_id
from functions.common.validation import parse
from tests.support.http import Result, configure, request, token
from tests.unit.account_linking_service.conftest import World

ADA, BOB = new_id("usr"), new_id("usr")
NUMBER, USERNAME, PASSWORD, PIN = "NW12345678", "ada-login", "correct horse battery", "9173"
CODE = "86420975"
NEW_LOGIN = {"username": "ada-new", "password": "a better horse"}
CREDENTIALS = LoginCredentials(username=USERNAME, password=PASSWORD)
FIELDS = {
    "link_id", "provider_id", "account_identifier", "nickname", "state", "status_detail", "customer_action_required",
    "last_success_at", "last_attempt_at", "next_refresh_at", "consecutive_failures", "bill_count", "created_at",
    "updated_at", "kind", "mfa",
}  # fmt: skip


@pytest.fixture
def http(world: World, monkeypatch: pytest.MonkeyPatch) -> ServiceApp:
    monkeypatch.setattr(bootstrap, "linking", lambda: world.linking)
    monkeypatch.setattr(bootstrap, "repair", lambda: world.repair)
    return configure(app)


def asked(**changes: object) -> dict[str, Any]:
    body = {
        "provider_id": "prv_northwind_power",
        "params": {"account_number": NUMBER},
        "credentials": {"username": USERNAME, "password": PASSWORD},
        **changes,
    }
    return {name: value for name, value in body.items() if value is not ...}


def post(http: ServiceApp, body: object, user_id: str = ADA) -> Result:
    return request(http, "POST", "/accounts", body, bearer=token(user_id))


def put(http: ServiceApp, link_id: str, body: object, user_id: str = ADA, if_match: str = "") -> Result:
    path, headers = {"link_id": link_id}, {"if-match": if_match} if if_match else {}
    return request(
        http, "PUT", "/accounts/{link_id}/credentials", body, path=path, headers=headers, bearer=token(user_id)
    )


def patch(http: ServiceApp, link_id: str, body: object, user_id: str = ADA, if_match: str = "") -> Result:
    path, headers = {"link_id": link_id}, {"if-match": if_match} if if_match else {}
    return request(http, "PATCH", "/accounts/{link_id}", body, path=path, headers=headers, bearer=token(user_id))


def mfa(http: ServiceApp, link_id: str, body: object, user_id: str = ADA) -> Result:
    return request(http, "POST", "/accounts/{link_id}/mfa", body, path={"link_id": link_id}, bearer=token(user_id))


def get(http: ServiceApp, link_id: str, user_id: str = ADA, method: str = "GET") -> Result:
    return request(http, method, "/accounts/{link_id}", path={"link_id": link_id}, bearer=token(user_id))


def test_link_read_list_unlink(http: ServiceApp) -> None:
    created = post(http, asked(nickname=" Cafe\u0301 "))
    assert created.status == 201
    assert set(created.json) == {*FIELDS, "history"}
    link_id = created.json["link_id"]
    assert created.json["state"] == "PENDING"
    assert created.json["account_identifier"] == "****5678"
    assert (created.json["nickname"], created.json["last_success_at"]) == ("Café", None)
    assert get(http, link_id).json == created.json
    listed = request(http, "GET", "/accounts", bearer=token(ADA))
    item = {name: value for name, value in created.json.items() if name != "history"}
    assert listed.json == {"items": [item], "next_cursor": None}
    assert get(http, link_id, method="DELETE").status == 204
    assert get(http, link_id, method="DELETE").status == 404
    assert get(http, link_id).status == 404
    assert request(http, "GET", "/accounts", bearer=token(ADA)).json["items"] == []


def test_without_a_token_nothing_is_answered(http: ServiceApp) -> None:
    assert request(http, "POST", "/accounts", asked()).status == 401
    assert request(http, "GET", "/accounts").status == 401


def test_another_users_link_is_404(http: ServiceApp) -> None:
    link_id = post(http, asked()).json["link_id"]
    for method in ("GET", "DELETE"):
        assert get(http, link_id, BOB, method).status == 404
    assert get(http, link_id).status == 200
    assert get(http, "lnk_nonsense").status == 404


def test_the_same_account_twice_is_409_with_the_link(http: ServiceApp) -> None:
    link_id = post(http, asked()).json["link_id"]
    again = post(http, asked())
    assert (again.status, again.json["code"]) == (409, "already_linked")
    assert link_id in again.json["detail"]


def test_malformed_json_is_400_before_anything_else(http: ServiceApp) -> None:
    assert post(http, '{"provider_id": "prv_unknown",').status == 400
    assert post(http, "[]").status == 400


@pytest.mark.parametrize("provider_id", ["prv_unknown", "nonsense", "", "prv_x y", "../prv_northwind_power"])
def test_an_unknown_provider_is_404_before_the_rest(http: ServiceApp, provider_id: str) -> None:
    assert post(http, {"provider_id": provider_id}).status == 404


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        (asked(provider_id=...), {"provider_id"}),
        (asked(provider_id=7), {"provider_id"}),
        (asked(provider_id=None, credentials=...), {"provider_id", "credentials"}),
        (asked(params=...), {"params"}),
        (asked(params="x"), {"params"}),
        (asked(params={}), {"params.account_number"}),
        (asked(params={"account_number": "XX"}), {"params.account_number"}),
        (asked(params={"account_number": 12345678}), {"params.account_number"}),
        (asked(params={"account_number": NUMBER, "colour": "red"}), {"params.colour"}),
        (asked(credentials=...), {"credentials"}),
        (asked(credentials={}), {"credentials.username", "credentials.password"}),
        (asked(credentials={"username": "", "password": 5}), {"credentials.username", "credentials.password"}),
        (asked(credentials={"username": "a", "password": "x" * 257}), {"credentials.password"}),
        (asked(credentials={"username": "a", "password": "b", "otp": "c"}), {"credentials.otp"}),
        (asked(nickname="x" * 61), {"nickname"}),
        (asked(nickname="  "), {"nickname"}),
        (asked(nickname="a\x00b"), {"nickname"}),
        (asked(favourite=True), {"favourite"}),
        (asked(params={"pin": "x"}, credentials={"username": "a"}),
         {"params.account_number", "params.pin", "credentials.password"}),
    ],
)  # fmt: skip
def test_each_wrong_field_is_named(http: ServiceApp, body: object, fields: set[str]) -> None:
    refused = post(http, body)
    assert refused.status == 422
    assert refused.fields == fields


# what a link is called


def test_a_name_is_given_changed_and_taken_away(http: ServiceApp) -> None:
    created = post(http, asked()).json
    link_id = created["link_id"]
    named = patch(http, link_id, {"nickname": " Cafe\u0301 "})
    assert (named.status, named.json["nickname"], named.headers["ETag"]) == (200, "Café", '"2"')
    assert get(http, link_id).json == named.json == {**created, "nickname": "Café", "updated_at": ANY}
    assert patch(http, link_id, {}).json == named.json
    assert patch(http, link_id, {"nickname": "Café"}).headers["ETag"] == '"2"'
    assert patch(http, link_id, {"nickname": None}).json["nickname"] is None


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({"nickname": "x" * 61}, {"nickname"}),
        ({"nickname": "  "}, {"nickname"}),
        ({"nickname": "a\x00b"}, {"nickname"}),
        ({"nickname": 7}, {"nickname"}),
        ({"state": "ACTIVE"}, {"state"}),
    ],
)
def test_a_name_that_is_none_is_422(http: ServiceApp, body: object, fields: set[str]) -> None:
    refused = patch(http, post(http, asked()).json["link_id"], body)
    assert (refused.status, refused.fields) == (422, fields)


# entity tags


def test_the_version_is_the_tag(http: ServiceApp, world: World) -> None:
    created = post(http, asked())
    link_id = created.json["link_id"]
    assert created.headers["ETag"] == get(http, link_id).headers["ETag"] == '"1"'
    headers = {"if-none-match": '"1"'}
    known = request(http, "GET", "/accounts/{link_id}", path={"link_id": link_id}, headers=headers, bearer=token(ADA))
    assert (known.status, known.text) == (304, "")


@pytest.mark.parametrize("change", [patch, put])
def test_who_saw_an_older_version_changes_nothing(http: ServiceApp, world: World, change: Any) -> None:
    link_id = post(http, asked()).json["link_id"]
    body = {"nickname": "x"} if change is patch else NEW_LOGIN
    refused = change(http, link_id, body, if_match='"7"')
    assert (refused.status, refused.json["code"], refused.headers["ETag"]) == (412, "precondition_failed", '"1"')
    assert get(http, link_id).headers["ETag"] == '"1"'
    assert change(http, link_id, body, if_match='"1"').status == 200
    assert change(http, link_id, body, if_match='"1"').status == 412


# repairing


def test_another_login(http: ServiceApp, world: World) -> None:
    link_id = post(http, asked()).json["link_id"]
    failed = Outcome(LinkEvent.REFUSED, world.clock.now(), "invalid_credentials")
    world.register.record_outcome(UserId(ADA), link_id, failed)
    world.clock.advance(timedelta(seconds=1))

    repaired = put(http, link_id, NEW_LOGIN)

    assert repaired.status == 200
    assert (repaired.json["state"], repaired.json["status_detail"]) == ("CONNECTING", None)
    assert not repaired.json["customer_action_required"]
    assert [(h["event"], h["previous_state"], h["state"], h["status_detail"]) for h in repaired.json["history"]] == [
        ("credentials_replaced", "ACTION_REQUIRED", "CONNECTING", None),
        ("refused", "PENDING", "ACTION_REQUIRED", "invalid_credentials"),
    ]
    assert repaired.json["history"][0]["at"] == repaired.json["updated_at"]


def challenged(world: World, link_id: str) -> None:
    world.clock.advance(timedelta(seconds=1))
    challenge = MfaChallenge(("sms", "email"), world.clock.now() + timedelta(minutes=5), "ref-secret")
    outcome = Outcome(LinkEvent.MFA_REQUESTED, world.clock.now(), "mfa_required", mfa=challenge)
    world.register.record_outcome(UserId(ADA), link_id, outcome)


def test_the_code_that_the_utility_waits_for(http: ServiceApp, world: World) -> None:
    link_id = post(http, asked()).json["link_id"]
    challenged(world, link_id)
    waiting = get(http, link_id).json
    assert (waiting["state"], waiting["customer_action_required"]) == ("MFA_REQUIRED", True)
    assert waiting["mfa"] == {"methods": ["sms", "email"], "expires_at": "2026-03-15T12:05:01.000Z"}
    (item,) = request(http, "GET", "/accounts", bearer=token(ADA)).json["items"]
    assert item["mfa"] == waiting["mfa"]
    assert "ref-secret" not in json.dumps(waiting)

    given = mfa(http, link_id, {"code": "246 810"})

    assert (given.status, given.json["state"], given.json["mfa"]) == (202, "CONNECTING", None)
    assert given.headers["ETag"] == '"3"'
    (opened,) = world.door.open(UserId(ADA), [link_id])
    assert opened.mfa == MfaCode("246810", "ref-secret")


def test_a_code_that_nobody_waits_for_is_409(http: ServiceApp, world: World) -> None:
    link_id = post(http, asked()).json["link_id"]
    refused = mfa(http, link_id, {"code": "246810"})
    assert (refused.status, refused.json["code"]) == (409, "mfa_not_required")
    challenged(world, link_id)
    world.clock.advance(timedelta(minutes=6))
    late = mfa(http, link_id, {"code": "246810"})
    assert (late.status, late.json["code"]) == (409, "mfa_expired")


@pytest.mark.parametrize(
    "body", [{}, {"code": ""}, {"code": "   "}, {"code": 246810}, {"code": "2" * 41}, {"code": "1;2"}, {"code": None}]
)
def test_a_code_that_is_none_is_422(http: ServiceApp, world: World, body: object) -> None:
    link_id = post(http, asked()).json["link_id"]
    challenged(world, link_id)
    refused = mfa(http, link_id, body)
    assert (refused.status, refused.fields) == (422, {"code"})
    assert get(http, link_id).json["state"] == "MFA_REQUIRED"


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, {"username", "password"}),
        ({"username": "", "password": 5}, {"username", "password"}),
        ({"username": "a", "password": "x" * 257}, {"password"}),
        ({"username": "a", "password": "b", "pin": "c"}, {"pin"}),
    ],
)
def test_a_login_that_is_none_is_422(http: ServiceApp, body: object, fields: set[str]) -> None:
    link_id = post(http, asked()).json["link_id"]
    refused = put(http, link_id, body)
    assert (refused.status, refused.fields) == (422, fields)
    assert get(http, link_id).headers["ETag"] == '"1"'


@pytest.mark.parametrize("change", [patch, put, mfa])
def test_an_unknown_link_is_404_before_the_body_is_judged(http: ServiceApp, change: Any) -> None:
    link_id = post(http, asked()).json["link_id"]
    for unknown in ("lnk_nonsense", new_id("lnk")):
        assert change(http, unknown, {"what": "ever"}).status == 404
    assert change(http, link_id, {"what": "ever"}, BOB).status == 404
    assert change(http, link_id, "{").status == 400


@pytest.mark.parametrize(
    "query", [{"limit": "0"}, {"limit": "201"}, {"limit": "x"}, {"cursor": "x"}, {"colour": "red"}]
)
def test_a_wrong_query_is_422(http: ServiceApp, query: dict[str, str]) -> None:
    refused = request(http, "GET", "/accounts", query=query, bearer=token(ADA))
    assert (refused.status, refused.fields) == (422, set(query))


def test_a_body_does_not_show_itself() -> None:
    shown = repr(parse(LinkAccount, asked()))
    assert "prv_northwind_power" in shown
    shown += repr(CREDENTIALS) + repr(CREDENTIALS.login) + repr(SubmitMfa(code="246810"))
    assert not {secret for secret in (NUMBER, USERNAME, PASSWORD, "246810") if secret in shown}


def test_pages(http: ServiceApp) -> None:
    made = {post(http, asked(params={"account_number": f"NW0000000{i}"})).json["link_id"] for i in range(3)}
    first = request(http, "GET", "/accounts", query={"limit": "2"}, bearer=token(ADA)).json
    query = {"limit": "2", "cursor": first["next_cursor"]}
    last = request(http, "GET", "/accounts", query=query, bearer=token(ADA)).json
    assert {item["link_id"] for item in first["items"] + last["items"]} == made
    assert last["next_cursor"] is None


def test_nothing_secret_is_logged_published_or_answered(
    http: ServiceApp, world: World, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = io.StringIO()
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [*root.handlers])
    logs.configure("DEBUG", lines)
    root.addHandler(caplog.handler)
    params = {"account_number": NUMBER, "pin": PIN}
    answers = [
        post(http, asked(params=params)),
        post(http, asked(params=params)),
        post(http, asked(params={**params, "pin": PIN * 9, "other": NUMBER})),
        post(http, asked(params={"account_number": f"{NUMBER}-{PASSWORD}"})),
        post(http, asked(credentials={"username": USERNAME, "password": PASSWORD * 20})),
    ]
    link_id = answers[0].json["link_id"]
    world.publisher.down = True
    assert world.door.open(UserId(ADA), [link_id])
    answers += [put(http, link_id, NEW_LOGIN), put(http, link_id, {**NEW_LOGIN, "pin": PIN * 9})]
    challenged(world, link_id)
    answers += [mfa(http, link_id, {"code": f"{CODE};"}), mfa(http, link_id, {"code": CODE})]
    kept = repr([item.attribute_values for item in (*LinkItem.scan(), *LinkKeyItem.scan())])
    assert world.door.open(UserId(ADA), [link_id])[0].mfa
    answers.append(get(http, link_id))
    monkeypatch.setattr(world.linking, "link_account", None)  # breaks: the log gets a traceback
    monkeypatch.setattr(world.repair, "submit_mfa", None)
    monkeypatch.setattr(world.repair, "replace_credentials", None)
    answers += [post(http, asked(params=params)), mfa(http, link_id, {"code": CODE}), put(http, link_id, NEW_LOGIN)]
    exported = world.personal.export_user(UserId(ADA), "").json.decode()
    answers.append(get(http, link_id, method="DELETE"))
    world.publisher.down = False
    world.clock.advance(timedelta(minutes=1))
    world.register.flush_outbox(10)
    statuses = [201, 409, 422, 422, 422, 200, 422, 422, 202, 200, 500, 500, 500, 204]
    assert [a.status for a in answers] == statuses
    told = lines.getvalue() + caplog.text + json.dumps([a.text for a in answers]) + kept + exported
    told += "".join(event.to_json() for event in world.publisher.events)
    for sign in ("account_linked", "publish_deferred", "unhandled", "credentials_resealed", "link_repaired"):
        assert sign in told
    assert "bills.refresh_requested.v1" in told
    for secret in (NUMBER, USERNAME, PASSWORD, PIN * 9, "correct horse", *NEW_LOGIN.values(), CODE):
        assert secret not in told
