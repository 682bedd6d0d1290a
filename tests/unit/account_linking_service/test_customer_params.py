"""What the provider asks for, checked."""

import pytest

from functions.account_linking_service.customer_params import CustomerParam, check, identifier

NUMBER = CustomerParam("account_number", "NW[0-9]{8}", 10, 10)
PIN = CustomerParam("pin", "[0-9]{4}", optional=True, secret=True)
ZIP = CustomerParam("zip", "", 3, 8)


def verdict(given: dict[str, object]) -> dict[str, str]:
    return {error.field: error.code for error in check((NUMBER, PIN, ZIP), given)}


def test_what_fits_is_accepted() -> None:
    assert verdict({"account_number": "NW12345678", "zip": "10115"}) == {}
    assert verdict({"account_number": "NW12345678", "pin": "1234", "zip": "any text"}) == {}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {"params.account_number": "missing", "params.zip": "missing"}),
        ({"account_number": "NW1234567", "zip": "10115"}, {"params.account_number": "too_short"}),
        ({"account_number": "NW123456789", "zip": "10115"}, {"params.account_number": "too_long"}),
        ({"account_number": "XX12345678", "zip": "10115"}, {"params.account_number": "pattern"}),
        ({"account_number": "NW1234567\n", "zip": "10115"}, {"params.account_number": "pattern"}),
        ({"account_number": "NW1234567٣", "zip": "10115"}, {"params.account_number": "pattern"}),
        ({"account_number": 12345678, "zip": "10115"}, {"params.account_number": "invalid"}),
        ({"account_number": None, "zip": "10115"}, {"params.account_number": "invalid"}),
        ({"account_number": "NW12345678", "zip": "10115", "pin": "12345"}, {"params.pin": "pattern"}),
        ({"account_number": "NW12345678", "zip": "10115", "colour": "red"}, {"params.colour": "unknown"}),
        ({"account_number": "NW12345678", "zip": ""}, {"params.zip": "too_short"}),
    ],
)
def test_each_field_is_named(given: dict[str, object], expected: dict[str, str]) -> None:
    assert verdict(given) == expected


def test_no_value_is_repeated_and_unknown_names_are_bounded() -> None:
    errors = check((NUMBER,), {"account_number": "SECRET-VALUE"[:10]} | {f"x{i}" * 90: "SECRET" for i in range(99)})
    assert len(errors) < 30
    assert "SECRET" not in str(errors)
    assert all(len(error.field) < 80 for error in errors)


def test_an_unbounded_field_is_bounded() -> None:
    assert check((CustomerParam("note"),), {"note": "x" * 257})[0].code == "too_long"


def test_what_identifies_the_account() -> None:
    given = {"account_number": "NW12345678", "zip": "10115", "pin": "1234"}
    assert identifier((ZIP, NUMBER), given, "ada") == "NW12345678"
    assert identifier((PIN, ZIP), {"zip": "10115", "pin": "1234"}, "ada") == "10115"
    assert identifier((CustomerParam("code", secret=True),), {"code": "s3cret"}, "ada") == "ada"
