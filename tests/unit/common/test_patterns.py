"""Patterns that would never end are refused, ordinary ones are not."""

import re
import time

import pytest

from functions.common.patterns import MAX_WAYS, UnusablePattern, compiled, ways


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
        r"(?:-?\d){4}",
        r"(?:ab?)?",
        r"^\w{1,9}$",
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
        r"(?:){4000000000}x",
        r"(?:a?){3}",
        r"(?:^){400000000}x",
        r"(?:\b){400000000}x",
        r"(?:a{0}|b){200}",
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
