"""The routes, as API Gateway calls them."""

from typing import Any

import pytest

from functions.utility_provider_service import bootstrap
from functions.utility_provider_service.app import app
from functions.utility_provider_service.model import HealthState, ServiceType
from functions.utility_provider_service.service import Registry
from functions.utility_provider_service.webhook_secrets import SecretMaking
from tests.support.fakes import FakeClock
from tests.support.http import Result, configure, request, token
from tests.support.ssrf import REFUSED
from tests.unit.utility_provider_service.fakes import FACTS, FakeProviders, FakeSecrets, ReversingKms, named, public

BODY: dict[str, Any] = {
    "provider_id": "prv_alpine_power",
    "name": "Alpine Power",
    "service_types": ["electricity"],
    "country": "CH",
    "currency": "CHF",
    "time_zone": "Europe/Zurich",
    "adapter": "oauth_json",
    "base_url": "https://api.alpine.example.com",
    "auth_type": "oauth_client_credentials",
    "customer_params": [{"name": "account_number", "label": "Account", "regex": "[0-9]+", "example": "42"}],
}
PARAM = {"name": "account_number", "label": "Account", "example": "42"}


@pytest.fixture(autouse=True)
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    registry = Registry(FakeProviders(), FakeClock(), resolve=public)
    monkeypatch.setattr(bootstrap, "registry", lambda: registry)
    making = SecretMaking(registry, FakeSecrets(), ReversingKms(), registry.clock)
    monkeypatch.setattr(bootstrap, "secret_making", lambda: making)
    registry.create_provider(FACTS)
    registry.create_provider(named("prv_gas", "Gas", ServiceType.GAS))
    configure(app)
    return registry


def get(provider_id: str, bearer: str | None = None) -> Result:
    path = {"provider_id": provider_id}
    return request(app, "GET", "/providers/{provider_id}", path=path, bearer=bearer or token())


def listed(**query: str) -> Result:
    return request(app, "GET", "/providers", query=query, bearer=token())


def admin() -> str:
    return token("usr_01JD3N8Z6W3V9K4T7Q2M5XBRPC", "admin")


def create(body: object, *roles: str) -> Result:
    bearer = token("usr_01JD3N8Z6W3V9K4T7Q2M5XBRPC", *(roles or ("admin",)))
    return request(app, "POST", "/providers", body, bearer=bearer)


def change(method: str, body: object = None, *, provider_id: str = "prv_river_water", if_match: str = "") -> Result:
    headers = {"if-match": if_match} if if_match else {}
    path = {"provider_id": provider_id}
    return request(app, method, "/providers/{provider_id}", body, path=path, bearer=admin(), headers=headers)


def patch(body: object, **more: str) -> Result:
    return change("PATCH", body, **more)


def test_get_provider() -> None:
    answer = get("prv_river_water")
    assert answer.status == 200
    assert answer.json == {
        "provider_id": "prv_river_water", "name": "River Water", "service_types": ["water", "waste"], "country": "GB",
        "currency": "GBP", "time_zone": "Europe/London", "adapter": "bbps", "auth_type": "api_key", "version": 1,
        "created_at": "2026-03-15T12:00:00.000Z", "updated_at": "2026-03-15T12:00:00.000Z",
        "customer_params": [
            {"name": "account_number", "label": "Account number", "regex": "[0-9]{6}", "min_length": 1, "max_length": 6,
             "optional": False, "secret": False, "example": "123456"},
            {"name": "pin", "label": "PIN", "regex": "", "min_length": 1, "max_length": 4, "optional": True,
             "secret": True, "example": "1234"},
        ],
        "linkable": True, "active": True, "health": {"state": "up", "since": None},
    }  # fmt: skip


def test_only_administrators_see_how_a_utility_is_reached() -> None:
    assert get("prv_river_water", admin()).json["base_url"] == FACTS.base_url
    everything = request(app, "GET", "/providers", bearer=admin())
    assert all(item["base_url"] for item in everything.json["items"])
    assert "example.com" not in listed().text


@pytest.mark.parametrize("provider_id", ["prv_unknown", "PRV", "prv_x%2Fy", "x" * 500])
def test_unknown_and_ill_formed_ids_are_not_found(provider_id: str) -> None:
    assert get(provider_id).status == 404


def test_list_providers() -> None:
    everything = listed()
    assert everything.status == 200
    assert everything.json.keys() == {"items", "next_cursor"}
    assert everything.json["next_cursor"] is None
    assert [item["provider_id"] for item in everything.json["items"]] == ["prv_gas", "prv_river_water"]


def test_pages() -> None:
    first = listed(limit="1").json
    rest = listed(limit="1", cursor=first["next_cursor"]).json
    assert [item["provider_id"] for item in first["items"] + rest["items"]] == ["prv_gas", "prv_river_water"]
    assert rest["next_cursor"] is None


def test_filters() -> None:
    assert [item["provider_id"] for item in listed(service_type="waste").json["items"]] == ["prv_river_water"]
    assert [item["provider_id"] for item in listed(q="gA").json["items"]] == ["prv_gas"]
    assert [item["provider_id"] for item in listed(country="GB", q="gas").json["items"]] == ["prv_gas"]
    assert listed(country="DE").json["items"] == []
    assert listed(q="nothing").json == {"items": [], "next_cursor": None}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("limit", "0"), ("limit", "201"), ("limit", "ten"), ("service_type", "magic"), ("cursor", "nonsense"),
        ("q", "x" * 101), ("sort", "name"), ("country", "de"), ("country", "DEU"), ("country", ""),
    ],
)  # fmt: skip
def test_a_query_at_fault_is_named(name: str, value: str) -> None:
    answer = listed(**{name: value})
    assert (answer.status, answer.fields) == (422, {name})


def test_an_administrator_creates() -> None:
    answer = create(BODY)
    assert answer.status == 201
    assert answer.json["base_url"] == BODY["base_url"]
    assert answer.json["customer_params"][0] == {
        **BODY["customer_params"][0], "min_length": 1, "max_length": 100, "optional": False, "secret": False
    }  # fmt: skip
    assert get("prv_alpine_power").json["name"] == "Alpine Power"
    again = create(BODY)
    assert (again.status, again.json["code"]) == (409, "provider_exists")


def test_an_id_may_be_left_out() -> None:
    answer = create({name: value for name, value in BODY.items() if name != "provider_id"})
    assert answer.json["provider_id"] == "prv_alpine_power"


def test_others_do_not_create() -> None:
    assert create(BODY, "user").status == 403
    for method, body in (("PATCH", {"name": "x"}), ("DELETE", None)):
        path = {"provider_id": "prv_river_water"}
        assert request(app, method, "/providers/{provider_id}", body, path=path, bearer=token()).status == 403
        assert request(app, method, "/providers/{provider_id}", body, path=path).status == 401
    assert get("prv_river_water").json["name"] == "River Water"
    assert create({}, "user").status == 403
    assert request(app, "POST", "/providers", BODY).status == 401


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"provider_id": "alpine"}, "provider_id"),
        ({"service_types": ["magic"]}, "service_types"),
        ({"service_types": []}, "service_types"),
        ({"country": "Switzerland"}, "country"),
        ({"currency": "francs"}, "currency"),
        ({"time_zone": "Europe/Atlantis"}, "time_zone"),
        ({"adapter": "telepathy"}, "adapter"),
        ({"base_url": "http://169.254.169.254/latest"}, "base_url"),
        ({"auth_type": "trust"}, "auth_type"),
        ({"customer_params": [{**PARAM, "regex": "[0-9]{3}"}]}, "customer_params[0].example"),
        ({"customer_params": [PARAM, {**PARAM, "name": "b", "regex": "["}]}, "customer_params[1].regex"),
        ({"customer_params": [{**PARAM, "regex": "([0-9]+)+"}]}, "customer_params[0].regex"),
        ({"customer_params": [{**PARAM, "max_length": 1}]}, "customer_params[0].example"),
        ({"customer_params": [{**PARAM, "min_length": 9, "max_length": 8}]}, "customer_params[0].min_length"),
        ({"customer_params": [PARAM, PARAM]}, "customer_params[1].name"),
        ({"adapter": "manual"}, "base_url"),
        ({"owner": "me"}, "owner"),
    ],
)
def test_a_field_at_fault_is_named(change: dict[str, object], field: str) -> None:
    answer = create({**BODY, **change})
    assert answer.status == 422
    assert field in answer.fields
    assert get("prv_alpine_power").status == 404


@pytest.mark.parametrize(
    ("param", "field"),
    [
        ({"name": "x", "label": "x"}, "[0].example"), ({**PARAM, "regex": "x" * 201}, "[0].regex"),
        ({**PARAM, "max_length": 201}, "[0].max_length"), ({**PARAM, "min_length": 0}, "[0].min_length"),
        ({**PARAM, "secret": "yes"}, "[0].secret"), ({**PARAM, "pattern": "x"}, "[0].pattern"), (7, "[0]"),
    ],
)  # fmt: skip
def test_an_ill_typed_param_is_refused(param: object, field: str) -> None:
    for answer in (create({**BODY, "customer_params": [param]}), patch({"customer_params": [param]})):
        assert (answer.status, answer.fields) == (422, {f"customer_params{field}"})


def test_everything_missing_is_named() -> None:
    assert create({}).fields == BODY.keys() - {"provider_id", "base_url"}
    missing = create({name: value for name, value in BODY.items() if name != "base_url"})
    assert (missing.status, missing.json["errors"][0]["code"]) == (422, "missing")
    assert missing.fields == {"base_url"}


def test_a_manual_provider_needs_no_base_url() -> None:
    body = {**BODY, "adapter": "manual", "auth_type": "none", "customer_params": [], "base_url": ""}
    for answer in (create(body), create({**body, "provider_id": "prv_two"} | {"base_url": ""})):
        assert (answer.status, answer.json["linkable"]) == (201, False)


INSIDE = {"https://rebind.inside.example.com/": "not_public"}


@pytest.mark.parametrize(("base_url", "code"), {**REFUSED, **INSIDE, "": "missing"}.items())
def test_no_provider_leads_inside(base_url: str, code: str) -> None:
    """Server-side request forgery: where the platform calls is judged when entered and when changed."""
    for answer in (create({**BODY, "base_url": base_url}), patch({"base_url": base_url})):
        assert (answer.status, answer.fields) == (422, {"base_url"})
        [error] = answer.json["errors"]
        assert error["code"] == code
        assert error["message"].endswith(".")
    assert get("prv_alpine_power").status == 404
    assert get("prv_river_water", admin()).json["base_url"] == FACTS.base_url


def test_an_administrator_changes_one_thing() -> None:
    before = get("prv_river_water", admin())
    answer = patch({"name": " Stream Water "})
    assert answer.status == 200
    assert answer.json == {**before.json, "name": "Stream Water", "version": 2}
    assert (before.headers["ETag"], answer.headers["ETag"]) == ('"1"', '"2"')
    assert get("prv_river_water").headers["ETag"] == '"2"'


def test_each_field_can_be_changed() -> None:
    param = {**PARAM, "regex": "[0-9]+", "min_length": 2, "max_length": 9, "optional": True, "secret": True}
    changes: dict[str, Any] = {
        "service_types": ["internet", "phone"], "country": "DE", "currency": "EUR", "time_zone": "Europe/Berlin",
        "adapter": "csv_statement", "base_url": "https://new.example.com/v3", "auth_type": "basic",
        "customer_params": [param], "name": "Other", "active": False,
    }  # fmt: skip
    answer = patch(changes)
    assert answer.status == 200
    assert {name: answer.json[name] for name in changes} == changes


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": None}, "name"), ({"name": " "}, "name"), ({"provider_id": "prv_other"}, "provider_id"),
        ({"version": 7}, "version"), ({"active": "no"}, "active"), ({"service_types": []}, "service_types"),
        ({"service_types": ["gas", "gas"]}, "service_types"), ({"country": "Ireland"}, "country"),
        ({"customer_params": [{**PARAM, "regex": "("}]}, "customer_params[0].regex"),
        ({"adapter": "manual"}, "base_url"), ({"health": {"state": "down"}}, "health"),
    ],
)  # fmt: skip
def test_a_change_at_fault_is_named(body: object, field: str) -> None:
    answer = patch(body)
    assert answer.status == 422
    assert field in answer.fields
    assert get("prv_river_water").json["version"] == 1


def test_an_unknown_provider_is_404_whatever_the_body_says() -> None:
    assert patch({"name": 7}, provider_id="prv_unknown").status == 404
    assert change("DELETE", provider_id="prv_unknown").status == 404


def test_who_has_seen_an_older_version_is_told() -> None:
    assert patch({"country": "IE"}, if_match='"1"').status == 200
    for answer in (patch({"country": "FR"}, if_match='"1"'), change("DELETE", if_match='"1"')):
        assert (answer.status, answer.json["code"]) == (412, "precondition_failed")
        assert answer.headers["ETag"] == '"2"'
    assert get("prv_river_water").json["country"] == "IE"
    assert patch({"country": "FR"}, if_match='"1", "2"').status == 200
    assert change("DELETE", if_match="*").status == 204


def test_who_has_the_newest_copy_is_told() -> None:
    path = {"provider_id": "prv_river_water"}
    known = request(app, "GET", "/providers/{provider_id}", path=path, bearer=token(), headers={"if-none-match": '"1"'})
    assert (known.status, known.text) == (304, "")
    tag = listed().headers["ETag"]
    assert request(app, "GET", "/providers", bearer=token(), headers={"if-none-match": tag}).status == 304
    patch({"name": "Stream Water"})
    assert request(app, "GET", "/providers", bearer=token(), headers={"if-none-match": tag}).status == 200


def test_a_created_provider_has_a_tag() -> None:
    assert create(BODY).headers["ETag"] == '"1"'


def test_out_of_service_only_administrators_see_it() -> None:
    for _ in range(2):
        answer = change("DELETE")
        assert (answer.status, answer.text) == (204, "")
    assert get("prv_river_water").status == 404
    assert [item["provider_id"] for item in listed().json["items"]] == ["prv_gas"]

    seen = get("prv_river_water", admin())
    assert (seen.status, seen.json["active"]) == (200, False)
    everything = request(app, "GET", "/providers", bearer=admin()).json["items"]
    assert {item["provider_id"]: item["active"] for item in everything} == {"prv_gas": True, "prv_river_water": False}

    assert patch({"active": True}).json["active"] is True
    assert get("prv_river_water").status == 200


def test_health_is_shown(registry: Registry) -> None:
    registry.report_health("prv_river_water", HealthState.DEGRADED, FakeClock().now())
    health = {"state": "degraded", "since": "2026-03-15T12:00:00.000Z"}
    answer = get("prv_river_water")
    assert (answer.json["health"], answer.headers["ETag"]) == (health, '"2"')
    assert listed(q="river").json["items"][0]["health"] == health


def make_secret(provider_id: str, bearer: str) -> Result:
    path = {"provider_id": provider_id}
    return request(app, "POST", "/providers/{provider_id}/webhook-secret", path=path, bearer=bearer)


def test_a_webhook_secret_is_shown_once_and_the_one_before_ends_in_a_day() -> None:
    first, second = make_secret("prv_gas", admin()), make_secret("prv_gas", admin())

    assert (first.status, second.status) == (201, 201)
    assert first.json == {
        "secret": first.json["secret"], "valid_from": "2026-03-15T12:00:00.000Z", "previous_ends_at": None,
    }  # fmt: skip
    assert second.json["previous_ends_at"] == "2026-03-16T12:00:00.000Z"
    assert first.json["secret"] != second.json["secret"]
    assert "whsec_" not in str(get("prv_gas", admin()).json)


def test_only_an_admin_makes_a_webhook_secret_and_only_of_a_utility_that_is_there() -> None:
    assert make_secret("prv_gas", token()).status == 403
    assert make_secret("prv_unknown", admin()).status == 404
