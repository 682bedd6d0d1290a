"""What may stand in the registry."""

from dataclasses import replace
from typing import Any

import pytest

from functions.utility_provider_service.model import CustomerParam, ProviderId, id_from_name
from functions.utility_provider_service.rules import errors_in
from tests.unit.utility_provider_service.fakes import FACTS, SANDBOX_ORIGIN

PARAM = FACTS.customer_params[0]


def fields_at_fault(sandbox_origin: str = "", **changes: Any) -> list[str]:  # Any: values of ProviderFacts
    return [error.field for error in errors_in(replace(FACTS, **changes), sandbox_origin)]


def test_a_good_provider_passes() -> None:
    assert errors_in(FACTS, "") == []


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


@pytest.mark.parametrize(
    "base_url",
    [
        "", "example.com", "http://example.com", "ftp://example.com", "file:///etc/passwd", "https://", "https:///x",
        "https://user:secret@example.com", "https://example.com?key=1", "https://example.com/#a", "https://example.com:99999",
        "https://example.com\\@evil.example", "https://example.com/ x", "https://example.com/%2e%2e", "https://[::1]/",
        "https://localhost/", "https://intranet/", "https://db.internal", "https://printer.local.", "https://127.0.0.1",
        "https://10.0.0.8/x", "https://169.254.169.254/latest", "https://192.168.1.1", "https://2130706433/",
        "https://0x7f.1/", "https://127.1/", "https://0177.0.0.01", "http://169.254.169.254/",
        "http://localhost:4566/restapis",
    ],
)  # fmt: skip
def test_what_is_not_public_https_is_refused(base_url: str) -> None:
    assert set(fields_at_fault(base_url=base_url)) == {"base_url"}


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
        ({"example": "12345"}, "example"),
        ({"example": "1234567"}, "example"),
        ({"example": "abcdef"}, "example"),
        ({"example": "12345\n"}, "example"),
        ({"example": "١٢٣٤٥٦", "regex": r"\d{6}"}, "example"),
    ],
)
def test_a_customer_param_at_fault_is_named(change: dict[str, Any], field: str) -> None:
    other = CustomerParam(name="other", label="Other", example="anything at all")
    found = fields_at_fault(customer_params=(other, replace(PARAM, **change)))
    assert f"customer_params.1.{field}" in found
    assert {name.rpartition(".")[0] for name in found} == {"customer_params.1"}


def test_two_params_of_one_name_are_refused() -> None:
    assert fields_at_fault(customer_params=(PARAM, PARAM)) == ["customer_params.1.name"]


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
