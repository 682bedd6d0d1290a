"""The sandbox over HTTP: what each utility says when all is well, and how it says no."""

import base64
import csv
import io
import json
import logging
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import pytest

from functions.common.http.app import ServiceApp
from functions.common.logs import JsonFormatter
from functions.mock_api_service import app as module
from functions.mock_api_service import bootstrap
from functions.mock_api_service.model import UtilityName
from functions.mock_api_service.service import CODE_GRANT
from functions.mock_api_service.signing_in import CODE, Login
from functions.mock_api_service.utilities import UTILITIES
from tests.support.http import Result, configure, request, token
from tests.unit.mock_api_service.fakes import World

TOKEN = "/mock/electricity/oauth/token"
POWER_BILLS = "/mock/electricity/v1/accounts/{account_number}/bills"
GREEN_BUTTON = "/mock/gas/greenbutton/{account_number}"
FETCH, POLL = "/mock/water/bills/fetch", "/mock/water/bills/fetch/{ref_id}"
STATEMENTS = "/mock/internet/statements.csv"
DOCUMENT = POWER_BILLS + "/{bill_id}/document.pdf"
PAPER = "/mock/internet/statements/{account_number}/{statement_number}/document.pdf"
SCENARIOS = "/mock/scenarios"
CLOCK, OUTAGES, BILL = "/mock/clock", "/mock/outages", "/mock/bills/{utility}/{account_number}/{bill_number}"
FORM = {"content-type": "application/x-www-form-urlencoded"}
ACCOUNTS = {name.value: utility.account_example for name, utility in UTILITIES.items()}
ADMIN = "usr_01JD3N8Z6W3V9K4T7Q2M5XBRPD"


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    world = World()
    monkeypatch.setattr(module, "sandbox", lambda: world.sandbox)
    monkeypatch.setattr(module, "operator", lambda: world.operator)
    return world


@pytest.fixture
def app(world: World) -> ServiceApp:
    return configure(module.app)


def basic(username: str, password: str = "pw") -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()}


def biller(username: str) -> dict[str, str]:
    return {"x-biller-user": username, "x-biller-password": "pw"}


def ask_token(app: ServiceApp, username: str, **more: str) -> Result:
    form = {"grant_type": "client_credentials", "client_id": username, "client_secret": "pw", **more}
    return request(app, "POST", TOKEN, urlencode(form), headers=FORM)


def ask_bills(app: ServiceApp, bearer: str, query: Mapping[str, str] | None = None, account: str = "") -> Result:
    path = {"account_number": account or ACCOUNTS["electricity"]}
    return request(app, "GET", POWER_BILLS, path=path, query=query, bearer=bearer)


def ask_gas(app: ServiceApp, headers: Mapping[str, str], account: str = "") -> Result:
    return request(app, "GET", GREEN_BUTTON, path={"account_number": account or ACCOUNTS["gas"]}, headers=headers)


def ask_water(app: ServiceApp, username: str, account: str = "", **more: str) -> Result:
    params = [{"name": "Account Number", "value": account or ACCOUNTS["water"]}]
    body = {"billerId": "CLEARWATER00GBR01", "customerParams": params}
    return request(app, "POST", FETCH, body, headers={**biller(username), **more})


def poll(app: ServiceApp, username: str, ref_id: str) -> Result:
    return request(app, "GET", POLL, path={"ref_id": ref_id}, headers=biller(username))


def ask(app: ServiceApp, utility: UtilityName, username: str) -> Result:
    """One request for bills of the example account, or what it takes to get that far and was refused."""
    match utility:
        case UtilityName.ELECTRICITY:
            granted = ask_token(app, username)
            return ask_bills(app, granted.json["access_token"]) if granted.status == 200 else granted
        case UtilityName.GAS:
            return ask_gas(app, basic(username))
        case UtilityName.WATER:
            asked = ask_water(app, username)
            if asked.status != 202:
                return asked
            poll(app, username, asked.json["refId"])
            return poll(app, username, asked.json["refId"])
        case UtilityName.INTERNET:
            return ask_internet(app, basic(username))


def raw(app: ServiceApp, resource: str, path: Mapping[str, str], headers: Mapping[str, str]) -> dict[str, Any]:
    """What Lambda hands to API Gateway: binary in base64."""
    place = {"httpMethod": "GET", "resourcePath": resource, "path": resource, "identity": {"sourceIp": "192.0.2.7"}}
    event = {
        "headers": dict(headers), "multiValueQueryStringParameters": None, "pathParameters": dict(path),
        "requestContext": place, "body": None, "isBase64Encoded": False, "stageVariables": None,
    }  # fmt: skip
    return app(event, None)


def ask_internet(app: ServiceApp, headers: Mapping[str, str], account: str = "") -> Result:
    return request(app, "GET", STATEMENTS, query={"account": account or ACCOUNTS["internet"]}, headers=headers)


def control(app: ServiceApp, method: str, resource: str, body: Any = None, **path: str) -> Result:
    return request(app, method, resource, body, path=path, bearer=token(ADMIN, "admin"))


class TestElectricity:
    def test_a_token_then_pages(self, app: ServiceApp) -> None:
        granted = ask_token(app, "good")
        assert granted.status == 200
        assert granted.headers["Cache-Control"] == "no-store"
        assert (granted.json["token_type"], granted.json["expires_in"]) == ("Bearer", 600)

        sizes, query = [], dict[str, str]()
        for _ in range(3):
            page = ask_bills(app, granted.json["access_token"], query)
            sizes.append(len(page.json["bills"]))
            query = {"cursor": page.json["page"]["nextCursor"]}
        assert sizes == [5, 5, 2]
        assert page.json["page"]["nextCursor"] is None

    def test_the_client_may_stand_in_the_authorization_header(self, app: ServiceApp) -> None:
        answer = request(app, "POST", TOKEN, "grant_type=client_credentials", headers={**FORM, **basic("good")})

        assert answer.status == 200

    @pytest.mark.parametrize(
        ("form", "status", "error"),
        [
            ({"client_id": "bad_login"}, 401, "invalid_client"),
            ({"client_id": "locked"}, 423, "account_locked"),
            ({"client_secret": ""}, 401, "invalid_client"),
            ({"grant_type": "password"}, 400, "unsupported_grant_type"),
            ({"grant_type": ""}, 400, "invalid_request"),
            ({"client_id": "down"}, 503, "temporarily_unavailable"),
        ],
    )
    def test_no_token_in_the_words_of_rfc_6749(
        self, app: ServiceApp, form: Mapping[str, str], status: int, error: str
    ) -> None:
        answer = ask_token(app, **{"username": "good", **form})

        assert (answer.status, answer.json["error"]) == (status, error)
        assert ("WWW-Authenticate" in answer.headers) == (status == 401)
        assert answer.headers.get("Retry-After") == ("30" if status == 503 else None)

    @pytest.mark.parametrize("body", ["grant_type=a&grant_type=b", "a=" + "&a=" * 99])
    def test_a_form_that_makes_no_sense(self, app: ServiceApp, body: str) -> None:
        assert request(app, "POST", TOKEN, body, headers=FORM).json["error"] == "invalid_request"

    def test_the_token_route_takes_a_form(self, app: ServiceApp) -> None:
        assert request(app, "POST", TOKEN, {"grant_type": "client_credentials"}).status == 415

    def test_no_bills_in_the_words_of_rfc_6750(self, app: ServiceApp) -> None:
        good = ask_token(app, "good").json["access_token"]

        answers = [
            ask_bills(app, "made-up"),
            ask_bills(app, good, account="NP-1"),
            ask_bills(app, good, {"limit": "x"}),
        ]

        assert [(answer.status, answer.json["error"]) for answer in answers] == [
            (401, "invalid_token"),
            (404, "account_not_found"),
            (400, "invalid_request"),
        ]
        assert 'error="invalid_token"' in answers[0].headers["WWW-Authenticate"]


class TestGas:
    def test_a_feed(self, app: ServiceApp) -> None:
        answer = ask_gas(app, basic("good"))

        assert (answer.status, answer.headers["Content-Type"]) == (200, "application/atom+xml; charset=utf-8")
        assert answer.text.count("<UsageSummary ") == 12

    @pytest.mark.parametrize(
        "headers",
        [{}, basic("bad_login"), basic("good", ""), {"authorization": "Basic ***"}, {"authorization": "Basic /w=="},
         {"authorization": "Bearer x"}],
    )  # fmt: skip
    def test_who_is_not_known_is_challenged(self, app: ServiceApp, headers: Mapping[str, str]) -> None:
        answer = ask_gas(app, headers)

        assert (answer.status, answer.headers["Content-Type"]) == (401, "text/plain")
        assert answer.headers["WWW-Authenticate"] == 'Basic realm="Greenline Gas"'

    def test_an_unknown_account(self, app: ServiceApp) -> None:
        assert ask_gas(app, basic("good"), "123").status == 404

    def test_a_maintenance_page(self, app: ServiceApp) -> None:
        answer = ask_gas(app, basic("down"))

        assert (answer.status, answer.headers["Retry-After"]) == (503, "30")
        assert answer.headers["Content-Type"].startswith("text/html")


class TestWater:
    def test_ask_then_poll(self, app: ServiceApp) -> None:
        asked = ask_water(app, "good")
        assert (asked.status, asked.json["status"]) == (202, "PENDING")

        polls = [
            request(app, "GET", POLL, path={"ref_id": asked.json["refId"]}, headers=biller("good")) for _ in range(3)
        ]

        assert [poll.json["status"] for poll in polls] == ["PENDING", "SUCCESS", "SUCCESS"]
        assert len(polls[1].json["billerResponse"]["bills"]) == 12

    @pytest.mark.parametrize(("username", "status"), [("bad_login", 401), ("", 401), ("down", 503)])
    def test_a_failure(self, app: ServiceApp, username: str, status: int) -> None:
        answer = ask_water(app, username)

        assert (answer.status, answer.json["status"]) == (status, "FAILURE")
        assert answer.json["errorInfo"][0]["errorCode"] == f"BFR{status}"

    def test_a_malformed_request_and_an_unknown_reference(self, app: ServiceApp) -> None:
        malformed = request(app, "POST", FETCH, {"billerId": 1}, headers=biller("good"))
        unknown = request(app, "GET", POLL, path={"ref_id": "x"}, headers=biller("good"))

        assert [(a.status, a.json["status"]) for a in (malformed, unknown)] == [(400, "FAILURE"), (404, "FAILURE")]


class TestInternet:
    def test_a_csv(self, app: ServiceApp) -> None:
        answer = ask_internet(app, basic("good"))

        assert (answer.status, answer.headers["Content-Type"]) == (200, "text/csv; charset=utf-8")
        assert len(answer.text.splitlines()) == 1 + 12 * 4

    @pytest.mark.parametrize(
        ("username", "account", "status"), [("bad_login", "", 401), ("good", "FN1", 404), ("down", "", 503)]
    )
    def test_a_line_of_text(self, app: ServiceApp, username: str, account: str, status: int) -> None:
        answer = ask_internet(app, basic(username), account)

        assert (answer.status, answer.headers["Content-Type"]) == (status, "text/plain")
        assert answer.text.startswith(f"ERROR {status}: ")


@pytest.mark.parametrize(("username", "status"), [("locked", 423), ("rate_limited", 429), ("flaky", 503)])
def test_other_ways_of_saying_no(app: ServiceApp, username: str, status: int) -> None:
    answers = {name: ask(app, name, username) for name in UtilityName}

    assert {answer.status for answer in answers.values()} == {status}
    waits = {"120"} if status == 429 else {None}
    assert {answer.headers.get("Retry-After") for answer in answers.values()} == waits
    words = {423: "account_locked", 429: "too_many_requests", 503: "temporarily_unavailable"}
    assert answers[UtilityName.ELECTRICITY].json["error"] == words[status]
    kind = "text/html; charset=utf-8" if status == 503 else "text/plain"
    assert answers[UtilityName.GAS].headers["Content-Type"] == kind
    assert answers[UtilityName.WATER].json["errorInfo"][0]["errorCode"] == f"BFR{status}"
    assert answers[UtilityName.INTERNET].text.startswith(f"ERROR {status}: ")


class TestMalformed:
    def test_json_and_xml_are_cut_off(self, app: ServiceApp) -> None:
        for name in (UtilityName.ELECTRICITY, UtilityName.GAS):
            whole, broken = ask(app, name, "good"), ask(app, name, "malformed")

            assert (broken.status, broken.headers["Content-Type"]) == (200, whole.headers["Content-Type"])
            assert broken.text == whole.text[: len(whole.text) // 2]

    def test_water_shows_another_page(self, app: ServiceApp) -> None:
        answer = ask(app, UtilityName.WATER, "malformed")

        assert (answer.status, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
        assert answer.text.startswith("<!DOCTYPE html>")

    def test_rows_end_early_and_a_quote_never_closes(self, app: ServiceApp) -> None:
        answer = ask(app, UtilityName.INTERNET, "malformed")

        assert (answer.status, answer.headers["Content-Type"]) == (200, "text/csv; charset=utf-8")
        lines = answer.text.splitlines()
        assert len(lines[-2].split('","')) == 5
        assert lines[-1].count('"') % 2 == 1
        with pytest.raises(csv.Error):
            list(csv.reader(io.StringIO(answer.text, newline=""), strict=True))


class TestCodes:
    """The whole way of each utility: no code, a wrong one, the right one, none needed any more."""

    def test_electricity(self, app: ServiceApp) -> None:
        asked = ask_token(app, "mfa")
        assert (asked.status, asked.json["error"]) == (401, "mfa_required")
        assert (asked.json["mfa_methods"], asked.json["expires_in"]) == (["sms", "email"], 300)

        wrong = ask_token(app, "mfa", grant_type=CODE_GRANT, mfa_token=asked.json["mfa_token"], otp="1")
        assert (wrong.status, wrong.json["error"]) == (401, "invalid_grant")
        assert wrong.json["mfa_token"] != asked.json["mfa_token"]

        right = ask_token(app, "mfa", grant_type=CODE_GRANT, mfa_token=wrong.json["mfa_token"], otp=CODE)
        assert ask_bills(app, right.json["access_token"]).status == 200
        assert ask_token(app, "mfa").status == 200

    def test_a_code_counts_with_its_own_grant_only(self, app: ServiceApp) -> None:
        challenge = ask_token(app, "mfa").json["mfa_token"]

        assert ask_token(app, "mfa", mfa_token=challenge, otp=CODE).json["error"] == "mfa_required"

    def test_gas(self, app: ServiceApp) -> None:
        asked = ask_gas(app, basic("mfa"))
        assert (asked.status, asked.headers["WWW-Authenticate"]) == (401, 'OTP realm="Greenline Gas"')
        assert (asked.headers["X-MFA-Methods"], asked.headers["X-MFA-Expires-In"]) == ("sms", "300")
        assert "X-MFA-Error" not in asked.headers

        wrong = ask_gas(app, {**basic("mfa"), "x-mfa-token": asked.headers["X-MFA-Token"], "x-mfa-code": "1"})
        assert (wrong.status, wrong.headers["X-MFA-Error"]) == (401, "invalid_code")

        right = ask_gas(app, {**basic("mfa"), "x-mfa-token": wrong.headers["X-MFA-Token"], "x-mfa-code": CODE})
        assert (right.status, ask_gas(app, basic("mfa")).status) == (200, 200)

    def test_water(self, app: ServiceApp) -> None:
        asked = ask_water(app, "mfa")
        assert (asked.status, asked.json["errorInfo"][0]["errorCode"]) == (401, "BFR4011")
        assert {**asked.json["mfa"], "token": ""} == {"token": "", "methods": ["app"], "expiresIn": 300}

        wrong = ask_water(app, "mfa", **{"x-biller-mfa-token": asked.json["mfa"]["token"], "x-biller-otp": "1"})
        assert (wrong.status, wrong.json["errorInfo"][0]["errorCode"]) == (401, "BFR4012")

        right = ask_water(app, "mfa", **{"x-biller-mfa-token": wrong.json["mfa"]["token"], "x-biller-otp": CODE})
        assert right.status == 202
        assert poll(app, "mfa", right.json["refId"]).status == 200

    def test_internet(self, app: ServiceApp) -> None:
        line = re.compile(r"ERROR 401: (MFA REQUIRED|MFA CODE INVALID) token=(\S+) methods=sms,email expires=300\r\n")
        asked = line.fullmatch(ask_internet(app, basic("mfa")).text)
        assert asked
        assert asked[1] == "MFA REQUIRED"

        wrong = line.fullmatch(ask_internet(app, {**basic("mfa"), "x-mfa-token": asked[2], "x-mfa-code": "1"}).text)
        assert wrong
        assert wrong[1] == "MFA CODE INVALID"

        right = ask_internet(app, {**basic("mfa"), "x-mfa-token": wrong[2], "x-mfa-code": CODE})
        assert (right.status, ask_internet(app, basic("mfa")).status) == (200, 200)


class TestDocuments:
    def test_the_link_in_a_page_leads_to_a_pdf(self, app: ServiceApp) -> None:
        access = ask_token(app, "good").json["access_token"]
        bill = ask_bills(app, access).json["bills"][0]
        path = {"account_number": ACCOUNTS["electricity"], "bill_id": bill["billId"]}
        assert bill["documentUrl"] == DOCUMENT.format(**path).removeprefix("/mock/electricity")

        answer = raw(app, DOCUMENT, path, {"authorization": f"Bearer {access}"})

        assert (answer["statusCode"], answer["isBase64Encoded"]) == (200, True)
        assert answer["headers"]["Content-Type"] == "application/pdf"
        assert answer["headers"]["Content-Disposition"] == f'inline; filename="{bill["billId"]}.pdf"'
        assert base64.b64decode(answer["body"]).startswith(b"%PDF-1.4\n")

    def test_the_link_in_a_row_leads_to_a_pdf(self, app: ServiceApp) -> None:
        row = next(csv.DictReader(io.StringIO(ask_internet(app, basic("good")).text, newline="")))
        path = {"account_number": ACCOUNTS["internet"], "statement_number": row["Statement No"]}
        assert row["Document"] == PAPER.format(**path).removeprefix("/mock/internet")

        answer = raw(app, PAPER, path, basic("good"))

        assert answer["statusCode"] == 200
        assert base64.b64decode(answer["body"]).startswith(b"%PDF-1.4\n")

    def test_no_document_in_each_utilitys_words(self, app: ServiceApp) -> None:
        access = ask_token(app, "good").json["access_token"]
        power = {"account_number": ACCOUNTS["electricity"], "bill_id": "NP-1"}
        paper = {"account_number": ACCOUNTS["internet"], "statement_number": "FN-1"}

        assert request(app, "GET", DOCUMENT, path=power).json["error"] == "invalid_token"
        assert request(app, "GET", DOCUMENT, path=power, bearer=access).json["error"] == "bill_not_found"
        assert request(app, "GET", PAPER, path=paper).status == 401
        assert request(app, "GET", PAPER, path=paper, headers=basic("good")).text.startswith("ERROR 404: ")


class TestHuge:
    def test_three_pages(self, app: ServiceApp) -> None:
        access, sizes, query = ask_token(app, "huge").json["access_token"], list[int](), dict[str, str]()
        while not sizes or query["cursor"]:
            page = ask_bills(app, access, query)
            sizes.append(len(page.json["bills"]))
            query = {"cursor": page.json["page"]["nextCursor"]}

        assert sizes == [200, 200, 200]

    def test_one_answer_is_far_below_what_lambda_can_say(self, app: ServiceApp) -> None:
        for name in UtilityName:
            answer = ask(app, name, "huge")

            assert answer.status == 200
            assert len(json.dumps(answer.text)) < 6_000_000 / 2


class TestControls:
    @pytest.mark.parametrize(
        ("method", "resource"),
        [("GET", CLOCK), ("POST", CLOCK), ("POST", OUTAGES), ("POST", SCENARIOS), ("PATCH", BILL)],
    )
    def test_they_need_an_admin(self, app: ServiceApp, method: str, resource: str) -> None:
        path = {"utility": "gas", "account_number": "x", "bill_number": "y"} if resource is BILL else None

        assert request(app, method, resource, path=path).status == 401
        assert request(app, method, resource, path=path, bearer=token()).status == 403

    def test_the_clock(self, app: ServiceApp) -> None:
        assert control(app, "GET", CLOCK).json == {"date": "2026-03-15"}
        assert control(app, "POST", CLOCK, {"advance_months": 1}).json == {"date": "2026-04-15"}
        assert control(app, "POST", CLOCK, {"advance_days": 10}).json == {"date": "2026-04-25"}
        assert control(app, "POST", CLOCK, {"date": "2027-01-31"}).json == {"date": "2027-01-31"}
        assert control(app, "POST", CLOCK, {"reset": True}).json == {"date": "2026-03-15"}

    @pytest.mark.parametrize(
        ("body", "field"),
        [({}, "date"), ({"reset": False}, "date"), ({"date": "2026-04-01", "advance_days": 1}, "date"),
         ({"date": "soon"}, "date"), ({"date": "2199-01-01"}, "date"), ({"advance_months": 0}, "advance_months"),
         ({"advance_days": "1"}, "advance_days"), ({"year": 1}, "year")],
    )  # fmt: skip
    def test_a_move_that_makes_no_sense(self, app: ServiceApp, body: Mapping[str, object], field: str) -> None:
        answer = control(app, "POST", CLOCK, body)

        assert (answer.status, answer.fields) == (422, {field})

    def test_an_outage(self, app: ServiceApp) -> None:
        answer = control(app, "POST", OUTAGES, {"utility": "water", "down": True})

        assert (answer.status, answer.json) == (200, {"utility": "water", "down": True})
        assert ask_water(app, "good").status == 503
        assert ask_gas(app, basic("good")).status == 200
        control(app, "POST", OUTAGES, {"utility": "water", "down": False})
        assert ask_water(app, "good").status == 202

    def test_an_outage_of_nothing_known(self, app: ServiceApp) -> None:
        answer = control(app, "POST", OUTAGES, {"utility": "telegraph"})

        assert (answer.status, answer.fields) == (422, {"utility", "down"})

    def test_a_scenario(self, app: ServiceApp) -> None:
        body = {"utility": "gas", "account_number": ACCOUNTS["gas"], "scenario": "locked"}

        answer = control(app, "POST", SCENARIOS, body)

        assert (answer.status, answer.json) == (200, body)
        assert ask_gas(app, basic("good")).status == 423
        assert control(app, "POST", SCENARIOS, {**body, "scenario": None}).json["scenario"] is None
        assert ask_gas(app, basic("good")).status == 200

    def test_a_token_request_may_name_the_account_whose_scenario_counts(self, app: ServiceApp) -> None:
        account = ACCOUNTS["electricity"]
        control(app, "POST", SCENARIOS, {"utility": "electricity", "account_number": account, "scenario": "locked"})

        assert ask_token(app, "good", scope=f"bills:{account}").status == 423
        assert [ask_token(app, "good", scope=scope).status for scope in ("", "bills:", "other", "bills:x")] == [200] * 4

    @pytest.mark.parametrize(
        ("change", "field"),
        [({"utility": "telegraph"}, "utility"), ({"account_number": "123"}, "account_number"),
         ({"account_number": "1" * 99}, "account_number"), ({"scenario": "quiet"}, "scenario"), ({"more": 1}, "more")],
    )  # fmt: skip
    def test_a_scenario_of_nothing_known(self, app: ServiceApp, change: Mapping[str, object], field: str) -> None:
        body = {"utility": "gas", "account_number": ACCOUNTS["gas"], "scenario": "locked", **change}

        answer = control(app, "POST", SCENARIOS, body)

        assert (answer.status, answer.fields) == (422, {field})

    def test_a_scenario_must_be_named_even_to_end_one(self, app: ServiceApp) -> None:
        answer = control(app, "POST", SCENARIOS, {"utility": "gas", "account_number": ACCOUNTS["gas"]})

        assert (answer.status, answer.fields) == (422, {"scenario"})

    def test_an_adjusted_bill(self, app: ServiceApp, world: World) -> None:
        account = ACCOUNTS["internet"]
        bill = world.sandbox.download(UtilityName.INTERNET, Login("good", "pw"), account).bills[0]
        path = {"utility": "internet", "account_number": account, "bill_number": bill.number}

        answer = control(app, "PATCH", BILL, {"amount_minor": 99}, **path)

        assert answer.json == {**path, "amount_minor": 99, "currency": "INR", "revision": 2}
        assert '"0.99"' in ask_internet(app, basic("good")).text
        assert control(app, "PATCH", BILL, {"amount_minor": -1}, **path).fields == {"amount_minor"}

    @pytest.mark.parametrize(("utility", "account"), [("telegraph", "x"), ("gas", "x"), ("gas", ACCOUNTS["gas"])])
    def test_an_unknown_bill_is_a_404_whatever_the_body_says(self, app: ServiceApp, utility: str, account: str) -> None:
        answer = control(
            app, "PATCH", BILL, {"amount_minor": "?"}, utility=utility, account_number=account, bill_number="x"
        )

        assert answer.status == 404


def test_the_sandbox_is_built_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOCK_TABLE", "mock")
    monkeypatch.setenv("MOCK_SLOW_SECONDS", "0.2")
    builders = (bootstrap.sandbox, bootstrap.operator, bootstrap._table)
    for builder in builders:
        builder.cache_clear()

    sandbox = bootstrap.sandbox()

    assert (sandbox.slow_seconds, bootstrap.sandbox()) == (0.2, sandbox)
    assert bootstrap.operator().table is sandbox.table
    for builder in builders:
        builder.cache_clear()


def test_no_log_line_holds_a_secret_or_an_account(app: ServiceApp, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    granted = ask_token(app, "good", client_secret="hunter2")
    ask_bills(app, granted.json["access_token"])
    ask_gas(app, basic("good", "hunter2"))
    ask_internet(app, basic("good", "hunter2"))

    lines = [JsonFormatter().format(record) for record in caplog.records]

    assert [json.loads(line)["event"] for line in lines] == ["request"] * 4
    for secret in ("hunter2", granted.json["access_token"], *ACCOUNTS.values()):
        assert not [line for line in lines if secret in line]
