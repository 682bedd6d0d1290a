import datetime as dt
import json
from contextlib import suppress
from typing import Annotated, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.common.errors import FieldError, InvalidInput, MalformedBody
from functions.common.validation import MAX_DEPTH, MAX_ERRORS, decode_object, parse, parse_query


class Credentials(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    username: Annotated[str, msgspec.Meta(min_length=1, max_length=20)]
    password: str


class Card(msgspec.Struct, kw_only=True, tag="card"):
    number: str


class Debit(msgspec.Struct, kw_only=True, tag="debit"):
    iban: str


class Body(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    provider_id: str
    credentials: Credentials
    spare: Credentials | None = None
    count: Annotated[int, msgspec.Meta(ge=1, le=200)] = 10
    kind: Literal["api", "manual"] | None = None
    pay_by: Card | Debit | None = None
    tags: list[str] = []
    holder: list[Credentials] = []
    others: Annotated[list[Credentials], msgspec.Meta(max_length=2)] | msgspec.UnsetType = msgspec.UNSET


class Query(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    limit: Annotated[int, msgspec.Meta(ge=1, le=200)] = 50
    refresh: bool = False
    from_: str | None = msgspec.field(default=None, name="from")
    on: dt.date | None = None


GOOD: dict[str, object] = {"provider_id": "prv_a", "credentials": {"username": "u", "password": "p"}}


def errors_of(raw: dict[str, object]) -> dict[str, str]:
    with pytest.raises(InvalidInput) as refused:
        parse(Body, raw)
    return {error.field: error.code for error in refused.value.errors}


# decode_object


def test_a_json_object_is_read() -> None:
    assert decode_object('{"a": [1, 2.5, null, true, "é", "\\ud83d\\ude00"]}'.encode()) == {
        "a": [1, 2.5, None, True, "é", "😀"]
    }


NESTED = "[" * MAX_DEPTH + "]" * MAX_DEPTH


@pytest.mark.parametrize(
    "raw",
    [
        b"", b" ", b"{", b"{'a': 1}", b'{"a": 1,}', b'{"a": 1} {}', b'{"a": 01}', b"null", b"[]", b'"text"', b"1",
        b"NaN", b'{"a": NaN}', b'{"a": Infinity}', b'{"a": -Infinity}', b'{"a": 1e999}', b'{"a": -1e999}',
        b'{"a": 1, "a": 2}', b'{"a": {"b": 1, "b": 1}}', b'{"a": ' + b"9" * 5000 + b"}",
        b'{"a": "\xff"}', b"\xef\xbb\xbf{}", '{"a": 1}'.encode("utf-16"), b'{"a": "\x00"}',
        b'{"a": "\\ud800"}', b'{"\\udfff": 1}', b'{"a": ["\\uDC00\\uD800"]}',
        b'{"a": ' + NESTED.encode() + b"}", b'{"a": ' + b"[" * 200_000, b'{"a":' * 200_000,
    ],
)  # fmt: skip
def test_what_is_no_json_object_is_refused(raw: bytes) -> None:
    with pytest.raises(MalformedBody) as refused:
        decode_object(raw)

    assert len(refused.value.detail) < 200


def test_the_allowed_depth_is_allowed() -> None:
    inner = NESTED[1:-1]

    assert decode_object(f'{{"a": {inner}}}'.encode()) == {"a": json.loads(inner)}


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_whatever_comes_is_an_object_or_malformed(raw: bytes) -> None:
    with suppress(MalformedBody):
        assert isinstance(decode_object(raw), dict)


# parse


def test_good_input_becomes_the_struct() -> None:
    body = parse(Body, {**GOOD, "spare": {"username": "s", "password": "q"}, "kind": "api", "tags": ["a"]})

    assert body == Body(
        provider_id="prv_a",
        credentials=Credentials(username="u", password="p"),
        spare=Credentials(username="s", password="q"),
        kind="api",
        tags=["a"],
    )


def test_every_wrong_field_is_named_at_once() -> None:
    raw: dict[str, object] = {
        "credentials": {"username": "", "pass": "x"}, "count": 0, "kind": "other", "tags": [1], "extra": 1,
        "spare": {"username": 1, "password": None},
    }  # fmt: skip

    assert errors_of(raw) == {
        "extra": "unknown", "provider_id": "missing", "credentials.username": "invalid",
        "credentials.password": "missing", "credentials.pass": "unknown", "spare.username": "invalid",
        "spare.password": "invalid", "count": "invalid", "kind": "invalid", "tags": "invalid",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("provider_id", 1), ("provider_id", None), ("credentials", None), ("credentials", "text"), ("credentials", []),
        ("count", True), ("count", "5"), ("count", 1.5), ("count", 10**30), ("tags", "a"), ("tags", {"a": 1}),
        ("pay_by", {"type": "cash"}), ("pay_by", {"type": "card"}), ("holder", "a"),
        ("holder", {}), ("others", [{"username": "a", "password": "b"}] * 3),
    ],
)  # fmt: skip
def test_a_value_of_another_type_is_refused(field: str, value: object) -> None:
    assert errors_of({**GOOD, field: value}) == {field: "invalid"}


@pytest.mark.parametrize("field", ["holder", "others"])
def test_in_a_list_the_item_and_its_field_are_named(field: str) -> None:
    items = [{"username": "a", "password": "b"}, {"username": "", "c": 1}, 7]
    assert errors_of({**GOOD, field: items}) == {
        f"{field}[1].username": "invalid", f"{field}[1].password": "missing", f"{field}[1].c": "unknown",
        f"{field}[2]": "invalid",
    }  # fmt: skip
    assert parse(Body, {**GOOD, "holder": items[:1]}).holder == [Credentials(username="a", password="b")]


def test_a_long_list_of_nonsense_makes_no_large_answer() -> None:
    with pytest.raises(InvalidInput) as refused:
        parse(Body, {**GOOD, "holder": [7] * 100_000})
    assert len(refused.value.errors) == MAX_ERRORS


def test_a_null_is_fine_where_the_field_is_optional() -> None:
    assert parse(Body, {**GOOD, "spare": None, "kind": None}).spare is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [({"type": "card", "number": "1"}, Card(number="1")), ({"type": "debit", "iban": "2"}, Debit(iban="2"))],
)
def test_every_member_of_a_union_is_taken(value: object, expected: object) -> None:
    assert parse(Body, {**GOOD, "pay_by": value}).pay_by == expected


def test_an_error_message_says_what_is_wanted_and_repeats_no_value() -> None:
    with pytest.raises(InvalidInput) as refused:
        parse(Body, {**GOOD, "count": "hunter2", "credentials": {"username": ["hunter2"], "password": "p"}})

    assert refused.value.errors == (
        FieldError("credentials.username", "invalid", "Expected `str`, got `array`."),
        FieldError("count", "invalid", "Expected `int`, got `str`."),
    )


def test_a_body_of_nonsense_makes_no_large_answer() -> None:
    raw: dict[str, object] = {f"{number:05}" + "x" * 500: 1 for number in range(10_000)}

    with pytest.raises(InvalidInput) as refused:
        parse(Body, raw)

    assert len(refused.value.errors) == MAX_ERRORS
    assert len(refused.value.detail) < 10_000


@given(st.dictionaries(st.text(max_size=5), st.none() | st.integers() | st.text(max_size=5) | st.just({"username": 1})))
def test_whatever_comes_is_a_struct_or_invalid(extra: dict[str, object]) -> None:
    with suppress(InvalidInput):
        assert parse(Body, {**GOOD, **extra}).provider_id


# parse_query


def test_query_text_is_converted() -> None:
    assert parse_query(Query, {"limit": "7", "refresh": "true", "from": "2026-01-01"}) == Query(
        limit=7, refresh=True, from_="2026-01-01"
    )
    assert parse_query(Query, {}) == Query()


@pytest.mark.parametrize(
    ("query", "field", "code"),
    [
        ({"limit": "0"}, "limit", "invalid"), ({"limit": "201"}, "limit", "invalid"),
        ({"limit": "ten"}, "limit", "invalid"), ({"limit": ""}, "limit", "invalid"),
        ({"limit": "1.5"}, "limit", "invalid"), ({"limit": "٣"}, "limit", "invalid"),
        ({"refresh": "perhaps"}, "refresh", "invalid"), ({"from_": "x"}, "from_", "unknown"),
        ({"on": "null"}, "on", "invalid"), ({"on": "NULL"}, "on", "invalid"),
    ],
)  # fmt: skip
def test_a_wrong_query_parameter_is_named(query: dict[str, str], field: str, code: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_query(Query, query)

    assert [(error.field, error.code) for error in refused.value.errors] == [(field, code)]
