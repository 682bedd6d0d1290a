"""The routes, as API Gateway calls them."""

from typing import Any

import pytest

from functions.utility_provider_service import bootstrap
from functions.utility_provider_service.app import app
from functions.utility_provider_service.model import ServiceType
from functions.utility_provider_service.service import Registry
from tests.support.fakes import FakeClock
from tests.support.http import Result, configure, request, token
from tests.unit.utility_provider_service.fakes import FACTS, FakeProviders, named

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
    registry = Registry(FakeProviders(), FakeClock())
    monkeypatch.setattr(bootstrap, "registry", lambda: registry)
    registry.create_provider(FACTS)
    registry.create_provider(named("prv_gas", "Gas", ServiceType.GAS))
    configure(app)
    return registry


def get(provider_id: str, bearer: str | None = None) -> Result:
    path = {"provider_id": provider_id}
    return request(app, "GET", "/providers/{provider_id}", path=path, bearer=bearer or token())


def listed(**query: str) -> Result:
    return request(app, "GET", "/providers", query=query, bearer=token())


def create(body: object, *roles: str) -> Result:
    return request(
        app, "POST", "/providers", body, bearer=token("usr_01JD3N8Z6W3V9K4T7Q2M5XBRPC", *(roles or ("admin",)))
    )


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
            {"name": "pin", "label": "PIN", "regex": "", "min_length": 0, "max_length": 4, "optional": True,
             "secret": True, "example": ""},
        ],
    }  # fmt: skip


def test_only_administrators_see_how_a_utility_is_reached() -> None:
    admin = token("usr_01JD3N8Z6W3V9K4T7Q2M5XBRPC", "admin")
    assert get("prv_river_water", admin).json["base_url"] == FACTS.base_url
    everything = request(app, "GET", "/providers", bearer=admin)
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
    assert listed(q="nothing").json == {"items": [], "next_cursor": None}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("limit", "0"), ("limit", "201"), ("limit", "ten"), ("service_type", "magic"), ("cursor", "nonsense"),
        ("q", "x" * 101), ("sort", "name"),
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
        ({"customer_params": [{**PARAM, "regex": "[0-9]{3}"}]}, "customer_params.0.example"),
        ({"customer_params": [PARAM, {**PARAM, "name": "b", "regex": "["}]}, "customer_params.1.regex"),
        ({"customer_params": [{**PARAM, "max_length": 1}]}, "customer_params.0.example"),
        ({"owner": "me"}, "owner"),
    ],
)
def test_a_field_at_fault_is_named(change: dict[str, object], field: str) -> None:
    answer = create({**BODY, **change})
    assert answer.status == 422
    assert field in answer.fields
    assert get("prv_alpine_power").status == 404


@pytest.mark.parametrize(
    "param",
    [{"name": "x"}, {**PARAM, "regex": "x" * 201}, {**PARAM, "max_length": 201}, {**PARAM, "min_length": -1}, 7],
)
def test_an_ill_typed_param_is_refused(param: object) -> None:
    answer = create({**BODY, "customer_params": [param]})
    assert answer.status == 422
    assert all(name.startswith("customer_params") for name in answer.fields)


def test_everything_missing_is_named() -> None:
    assert create({}).fields == BODY.keys() - {"provider_id"}
