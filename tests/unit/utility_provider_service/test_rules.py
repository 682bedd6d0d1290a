"""What may stand in the registry."""

from dataclasses import replace
from typing import Any

import pytest

from functions.utility_provider_service.model import CustomerParam, ProviderId, id_from_name
from functions.utility_provider_service.rules import errors_in
from tests.support.ssrf import REFUSED
from tests.unit.utility_provider_service.fakes import FACTS, FILES, SANDBOX_ORIGIN, public

PARAM = FACTS.customer_params[0]


def fields_at_fault(sandbox_origin: str = "", **changes: Any) -> list[str]:  # Any: values of ProviderFacts
    return [error.field for error in errors_in(replace(FACTS, **changes), sandbox_origin, public)]


def test_a_good_provider_passes() -> None:
    assert errors_in(FACTS, "", public) == []
    assert errors_in(FILES, "", public) == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("provider_id", "river"), ("provider_id", "prv_"), ("provider_id", "prv_River"), ("provider_id", "prv_a/b"),
        ("provider_id", "prv_" + "a" * 61), ("name", "  "), ("name", "a\x00b"), ("service_types", ()),
        ("service_types", (FACTS.service_types[0],) * 2), ("country", "gb"), ("country", "GBR"), ("country", ""),
        ("currency", "EURO"), ("currency", "eur"), ("time_zone", "Europe/Atlantis"), ("time_zone", "Europe"),
        ("time_zone", "../../etc/passwd"), ("time_zone", "Europe/"), ("time_zone", ""), ("time_zone", "/etc/localtime"),
    ],
)  # fmt: skip
def test_a_field_at_fault_is_named(field: str, value: Any) -> None:  # Any: values of ProviderFacts
    assert fields_at_fault(**{field: value}) == [field]


@pytest.mark.parametrize("time_zone", ["UTC", "Asia/Kolkata", "America/Argentina/Buenos_Aires", "Etc/GMT+5"])
def test_time_zones_of_the_iana_database_pass(time_zone: str) -> None:
    assert fields_at_fault(time_zone=time_zone) == []


@pytest.mark.parametrize(
    "base_url",
    [
        "https://example.com", "https://example.com/", "https://api.example.co.uk:8443/v1/bills", "https://8.8.8.8/x",
        "https://xn--bcher-kva.example/~feed",
    ],
)  # fmt: skip
def test_public_https_passes(base_url: str) -> None:
    assert fields_at_fault(base_url=base_url) == []


@pytest.mark.parametrize(("base_url", "code"), [(url, code) for url, code in REFUSED.items() if url])
def test_what_leads_elsewhere_is_refused(base_url: str, code: str) -> None:
    [error] = errors_in(replace(FACTS, base_url=base_url), "", public)
    assert (error.field, error.code) == ("base_url", code)


@pytest.mark.parametrize(
    "base_url",
    [
        "", "https://rebind.inside.example.com/", "https://example.com?key=1", "https://example.com/?", "https://example.com/%2e%2e",
        "https://example.com/a/../b", "https://example.com/.", "https://example.com//x", "https://example.com/a;b",
    ],
)  # fmt: skip
def test_what_is_no_plain_public_url_is_refused(base_url: str) -> None:
    assert fields_at_fault(base_url=base_url) == ["base_url"]


@pytest.mark.parametrize(
    ("field", "value"),
    [("base_url", FACTS.base_url), ("auth_type", FACTS.auth_type), ("customer_params", FACTS.customer_params)],
)
def test_a_manual_provider_has_nothing_to_call(field: str, value: Any) -> None:  # Any: values of ProviderFacts
    assert [error.field for error in errors_in(replace(FILES, **{field: value}), "", public)] == [field]


def test_the_sandbox_passes_by_its_exact_origin() -> None:
    assert fields_at_fault(SANDBOX_ORIGIN, base_url=f"{SANDBOX_ORIGIN}/restapis/x/v1/_user_request_/mock/gas") == []
    for other in (
        "http://localhost:45660/x",
        "http://localhost/x",
        "https://localhost:4566/x",
        "http://localhost:4566.x/",
    ):
        assert set(fields_at_fault(SANDBOX_ORIGIN, base_url=other)) == {"base_url"}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": "Account Number"}, "name"),
        ({"name": "1st"}, "name"),
        ({"label": " "}, "label"),
        ({"min_length": 7, "max_length": 6}, "min_length"),
        ({"regex": "["}, "regex"),
        ({"regex": "(" * 100}, "regex"),
        ({"regex": "a{99999999999999}"}, "regex"),
        ({"regex": "(a+)+"}, "regex"),
        ({"regex": r"(a)\1"}, "regex"),
        ({"regex": "(?:){4000000000}"}, "regex"),
        ({"regex": r"\d*\d*\d*\d*\d*x", "max_length": 200}, "regex"),
        ({"example": "12345"}, "example"),
        ({"example": ""}, "example"),
        ({"example": "1234567"}, "example"),
        ({"example": "abcdef"}, "example"),
        ({"example": "12345\n"}, "example"),
        ({"example": "١٢٣٤٥٦", "regex": r"\d{6}"}, "example"),
    ],
)
def test_a_customer_param_at_fault_is_named(change: dict[str, Any], field: str) -> None:
    other = CustomerParam(name="other", label="Other", example="anything at all")
    found = fields_at_fault(customer_params=(other, replace(PARAM, **change)))
    assert f"customer_params[1].{field}" in found
    assert {name.rpartition(".")[0] for name in found} == {"customer_params[1]"}


def test_what_is_wrong_with_a_pattern_is_said() -> None:
    [error] = errors_in(replace(FACTS, customer_params=(replace(PARAM, regex="(a+)+"),)), "", public)
    assert (error.code, error.message) == (
        "unusable",
        "This regular expression is not admitted: too many ways to match.",
    )


def test_two_params_of_one_name_are_refused() -> None:
    assert fields_at_fault(customer_params=(PARAM, PARAM)) == ["customer_params[1].name"]


def test_all_faults_are_told_at_once() -> None:
    assert fields_at_fault(country="x", currency="y", time_zone="z") == ["country", "currency", "time_zone"]


@pytest.mark.parametrize(
    ("name", "provider_id"),
    [
        ("Northwind Power", "prv_northwind_power"),
        (" Stadtwerke Köln & Söhne ", "prv_stadtwerke_koln_sohne"),
        ("x" * 100, "prv_" + "x" * 60),
        ("東京電力", "prv_"),
    ],
)
def test_an_id_is_made_of_the_name(name: str, provider_id: str) -> None:
    assert id_from_name(name) == ProviderId(provider_id)
