import base64
import json
import string

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


SIGNED = cursor.SignedCursors(b"0123456789abcdef")
SMALL_KEYS = st.dictionaries(st.text(max_size=20), st.text(max_size=40), max_size=4)


@given(SMALL_KEYS, st.text(max_size=40))
def test_a_signed_one_comes_back_to_its_owner(key: dict[str, str], owner: str) -> None:
    made = SIGNED.encode(owner, key)

    assert SIGNED.decode(owner, made) == key
    assert set(made) <= set(string.ascii_letters + string.digits + "-_")
    with pytest.raises(InvalidInput):
        SIGNED.decode(owner + "x", made)
    with pytest.raises(InvalidInput):
        cursor.SignedCursors(b"another secret..").decode(owner, made)


@given(st.data())
def test_no_other_text_is_one(data: st.DataObject) -> None:
    """Whatever character is changed, added or left out."""
    made = SIGNED.encode("usr_1", {"after": "2026-03-20"})
    place = data.draw(st.integers(0, len(made) - 1))
    letter = data.draw(st.sampled_from(string.ascii_letters + string.digits + "-_=%é"))
    for wrong in (made[:place] + letter + made[place + 1 :], made[:place] + letter + made[place:], made[:place]):
        if wrong != made:
            with pytest.raises(InvalidInput) as refused:
                SIGNED.decode("usr_1", wrong)
            assert [error.field for error in refused.value.errors] == ["cursor"]
