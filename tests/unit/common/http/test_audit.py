"""Every answered request to a route that needs a role leaves one line: who, what, how it ended."""

from typing import Any

import pytest

from functions.common import logs
from functions.common.actions import PostedActions
from functions.common.context import caller_address
from functions.common.errors import NotFound
from functions.common.http.app import Answer, ServiceApp
from functions.contracts.events.security import Action
from tests.support.fakes import FakeActions, Recorded
from tests.support.http import configure, request, token
from tests.support.logs import Lines

ADMIN, USER = "usr_01JD3N8Z6W3V9K4T7Q2M5XADMN", "usr_01JD3N8Z6W3V9K4T7Q2M5XBRPC"
ROUTE = "/things/{thing_id}/{account_number}"
PLACE = {"thing_id": "thg_1", "account_number": "FN20481537"}


@pytest.fixture
def app() -> ServiceApp:
    app = ServiceApp("sample", {"LOG_LEVEL": "ERROR"})

    @app.route(ROUTE, methods=["PATCH", "DELETE"], role="admin")
    def change(thing_id: str, account_number: str) -> object:
        if thing_id != "thg_1":
            raise NotFound("There is no such thing.")
        if app.request.method == "DELETE":
            raise KeyError(thing_id)
        return Answer(app.json_object(), status=202)

    @app.route("/things", methods=["GET"])
    def list_things() -> object:
        return {}

    return configure(app)


def audits(lines: Lines) -> list[dict[str, Any]]:
    return [line for line in lines() if line["logger"] == logs.AUDIT]


def test_an_admin_s_change_is_told_without_what_was_sent(app: ServiceApp, log_lines: Lines) -> None:
    answer = request(
        app,
        "PATCH",
        ROUTE,
        {"note": "between us"},
        path=PLACE,
        bearer=token(ADMIN, "admin"),
        headers={"X-Correlation-Id": "audit-1"},
    )

    [line] = audits(log_lines)
    assert answer.status == 202
    assert {name: line[name] for name in ("event", "actor", "role", "method", "route", "status", "correlation_id")} == {
        "event": "audit",
        "actor": ADMIN,
        "role": "admin",
        "method": "PATCH",
        "route": ROUTE,
        "status": 202,
        "correlation_id": "audit-1",
    }
    assert line["path_params"] == {"thing_id": "thg_1", "account_number": logs.MASK}
    assert "between us" not in str(line)


@pytest.mark.parametrize(
    ("bearer", "method", "thing_id", "actor", "status"),
    [
        (token(USER), "PATCH", "thg_1", USER, 403),
        (None, "PATCH", "thg_1", None, 401),
        ("forged", "PATCH", "thg_1", None, 401),
        (token(ADMIN, "admin"), "PATCH", "thg_2", ADMIN, 404),
        (token(ADMIN, "admin"), "DELETE", "thg_1", ADMIN, 500),
    ],
    ids=["role missing", "no token", "bad token", "unknown", "broken"],
)
def test_what_was_refused_or_failed_is_told_too(
    app: ServiceApp,
    log_lines: Lines,
    bearer: str | None,
    method: str,
    thing_id: str,
    actor: str | None,
    status: int,
) -> None:
    request(app, "PATCH", ROUTE, {}, path=PLACE, bearer=token(ADMIN, "admin"))  # the actor of before is forgotten
    log_lines()

    answer = request(app, method, ROUTE, {}, path={**PLACE, "thing_id": thing_id}, bearer=bearer)

    [line] = audits(log_lines)
    assert answer.status == status
    assert (line["actor"], line["method"], line["status"]) == (actor, method, status)


def test_routes_for_everybody_are_not_audited(app: ServiceApp, log_lines: Lines) -> None:
    request(app, "GET", "/things", bearer=token(ADMIN, "admin"))

    assert audits(log_lines) == []
    assert told(app) == []


def told(app: ServiceApp) -> list[Recorded]:
    actions = app.actions
    assert isinstance(actions, FakeActions)
    return actions.recorded


def test_the_audit_s_keeper_is_told_of_it_without_the_account_number(app: ServiceApp) -> None:
    request(app, "PATCH", ROUTE, {"note": "between us"}, path=PLACE, bearer=token(ADMIN, "admin"))
    request(app, "PATCH", ROUTE, {}, path=PLACE, bearer=token(USER))

    target = "PATCH /things/thg_1/{account_number}"
    assert told(app) == [
        Recorded(Action.ADMIN_REQUEST, ADMIN, ADMIN, target, 202),
        Recorded(Action.ADMIN_REQUEST, USER, USER, target, 403),
    ]


def test_nobody_fills_the_table_without_a_token_or_by_asking_too_often(app: ServiceApp, log_lines: Lines) -> None:
    configure(app, user_rate_per_minute=1)

    answers = [
        request(app, "DELETE", ROUTE, path={**PLACE, "thing_id": "thg_2"}, bearer=bearer).status
        for bearer in (None, token(ADMIN, "admin"), token(ADMIN, "admin"))
    ]

    assert answers == [401, 404, 429]
    assert [each.status for each in told(app)] == [404]
    assert [line["status"] for line in audits(log_lines)] == [401, 404, 429]


def test_what_is_told_meanwhile_comes_from_the_caller_s_address() -> None:
    app = configure(ServiceApp("sample"))
    seen: list[str] = []

    @app.route("/things", methods=["GET"], public=True)
    def list_things() -> object:
        seen.append(caller_address())
        return {}

    request(app, "GET", "/things", headers={"X-Forwarded-For": "198.51.100.1"})

    assert seen == ["192.0.2.7"]


def test_a_function_without_its_broker_answers_all_the_same(app: ServiceApp, log_lines: Lines) -> None:
    del app.__dict__["actions"]

    answer = request(app, "PATCH", ROUTE, {}, path=PLACE, bearer=token(ADMIN, "admin"))

    assert answer.status == 202
    assert [line["level"] for line in log_lines() if line["event"] == "action_not_recorded"] == ["ERROR"]


def test_what_is_told_goes_to_the_broker_of_the_settings() -> None:
    app = ServiceApp("sample", {"RPC_BROKER": "lambda:broker"})

    assert isinstance(app.actions, PostedActions)
