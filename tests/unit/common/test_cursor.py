import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.common import cursor
from functions.common.errors import InvalidInput

KEYS = st.dictionaries(
    st.text(st.characters(exclude_categories=["Cs"])), st.text(st.characters(exclude_categories=["Cs"]))
)


@given(KEYS)
def test_a_key_comes_back_from_its_cursor(key: dict[str, str]) -> None:
    made = cursor.encode(key)

    assert cursor.decode(made) == key
    assert made.isascii()
    assert not set(made) & set("+/= ")


def packed(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value, separators=(",", ":")).encode()).decode().rstrip("=")


GOOD = cursor.encode({"user_id": "usr_1", "sk": "bill#1"})


@pytest.mark.parametrize(
    "wrong",
    [
        "", "a", "é", "not a cursor", "e30=\x00", GOOD[:-3], GOOD + "A", GOOD + "=", f" {GOOD}",
        GOOD[:5] + "!" + GOOD[5:], packed([]), packed("text"), packed(1), packed(None), packed({"a": 1}),
        packed({"a": None}),
        packed({"a": {"b": "c"}}),
        base64.urlsafe_b64encode(b'{"a": "b"}').decode().rstrip("="),
        base64.urlsafe_b64encode(b"[" * 100_000).decode(),
        base64.urlsafe_b64encode(b"\xff\xfe").decode(),
    ],
)  # fmt: skip
def test_what_no_list_gave_out_is_refused_by_name(wrong: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        cursor.decode(wrong)

    assert [error.field for error in refused.value.errors] == ["cursor"]
