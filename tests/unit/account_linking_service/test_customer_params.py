"""What the provider asks for, checked; patterns that would never end, refused."""

import re
import time

import pytest

from functions.account_linking_service.customer_params import (
    MAX_WAYS,
    CustomerParam,
    UnusablePattern,
    check,
    compiled,
    identifier,
    ways,
)

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


@pytest.mark.parametrize(
    "pattern",
    [
        r"NW[0-9]{8}",
        r"[0-9]{10,12}",
        r"(?:GL|gl)-?\d{4}-\d{4}",
        r"[A-Z]{1,3}-?\d{4,10}(-\d{2})?",
        r"[]^-]+x?",
        r"[^]\]a]{2,}",
        r"a{,3}b*?c{x}",
        r"\d+-\d+",
        r"",
    ],
)
def test_ordinary_patterns_are_usable(pattern: str) -> None:
    assert compiled(pattern, 32).pattern == pattern


@pytest.mark.parametrize(
    "pattern",
    [
        r"(a+)+",
        r"(a|a)*b",
        r"(.*)*",
        r"(a|)*",
        r"\d*\d*\d*\d*\d*x",
        r"((a{1,9}){1,9}){1,9}",
        r"(a)\1",
        r"(?=a)a",
        r"(?i)a",
        r"(a",
        r"a)",
        r"[a",
        r"[a\\",
        r"*a",
        "a\\",
        r"a{9}{9}",
        "a" * 301,
    ],
)
def test_patterns_that_could_hang_or_are_none_are_refused(pattern: str) -> None:
    with pytest.raises(UnusablePattern):
        compiled(pattern, 64)


def test_what_is_usable_is_fast() -> None:
    pattern, text = r"\w+\w+\w+!", "a" * 40
    assert ways(pattern, len(text)) <= MAX_WAYS
    started = time.perf_counter()
    assert compiled(pattern, len(text)).fullmatch(text) is None
    assert time.perf_counter() - started < 2


def test_a_counted_repeat_is_counted_as_python_reads_it() -> None:
    for pattern, choices in {"a{3}": 1, "a{2,5}": 4, "a{,5}": 6, "a{0100}": 1, "a?": 2, "a*": 41, "a+": 40}.items():
        assert ways(pattern, 40) == choices, pattern
        re.compile(pattern)
