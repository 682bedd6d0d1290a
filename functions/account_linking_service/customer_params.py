"""Checks what a user gave against what the provider asks for.

The patterns come from administrators and run on users' input: a pattern that could backtrack without end (CWE-1333) is
never run. `ways` bounds how many ways there are to match before the pattern is compiled.
"""

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from functions.common.errors import FieldError

MAX_VALUE_CHARS = 256
MAX_PATTERN_CHARS = 300
MAX_WAYS = 100_000
MAX_UNKNOWN_NAMED = 20
IDENTIFIER_PARAM = "account_number"
_COUNT = re.compile(r"\{(\d*)(,?)(\d*)\}")


class UnusablePattern(Exception):
    """The pattern is no regular expression, too costly, or says what this checker does not admit."""


@dataclass(frozen=True, slots=True)
class CustomerParam:
    """One field that a provider asks for. No `regex`: any text; `max_length` 0: no limit but the platform's own."""

    name: str
    regex: str = ""
    min_length: int = 0
    max_length: int = 0
    optional: bool = False
    secret: bool = False

    @property
    def longest(self) -> int:
        return min(self.max_length or MAX_VALUE_CHARS, MAX_VALUE_CHARS)


def check(wanted: Sequence[CustomerParam], given: Mapping[str, object]) -> list[FieldError]:
    """Everything that is wrong with `given`; never repeats a value. The patterns of `wanted` must be usable."""
    known = {param.name: param for param in wanted}
    unknown = [name for name in given if name not in known][:MAX_UNKNOWN_NAMED]
    errors = [_error(name, "unknown", "The provider asks for no such field.") for name in unknown]
    for param in wanted:
        if param.name in given:
            errors += _check_value(param, given[param.name])
        elif not param.optional:
            errors.append(_error(param.name, "missing", "The provider requires this field."))
    return errors


def identifier(wanted: Sequence[CustomerParam], given: Mapping[str, str], username: str) -> str:
    """What tells accounts apart there: the account number, else the first required open field, else the login."""
    names = [IDENTIFIER_PARAM, *(param.name for param in wanted if not param.optional and not param.secret)]
    return next((given[name] for name in names if name in given), username)


def _check_value(param: CustomerParam, value: object) -> list[FieldError]:
    if not isinstance(value, str):
        return [_error(param.name, "invalid", "This field must be text.")]
    shortest = max(param.min_length, 1)
    if len(value) < shortest:
        return [_error(param.name, "too_short", f"At least {shortest} characters are needed.")]
    if len(value) > param.longest:
        return [_error(param.name, "too_long", f"At most {param.longest} characters are allowed.")]
    if param.regex and not compiled(param.regex, param.longest).fullmatch(value):
        return [_error(param.name, "pattern", f"This field must match {param.regex}.")]
    return []


def _error(name: str, code: str, message: str) -> FieldError:
    return FieldError(f"params.{name[:64]}", code, message)


@functools.lru_cache(maxsize=256)
def compiled(pattern: str, longest: int) -> re.Pattern[str]:
    """`pattern`, once it is known to be harmless on texts of at most `longest` characters. Raises UnusablePattern."""
    if len(pattern) > MAX_PATTERN_CHARS:
        raise UnusablePattern("too long")
    if ways(pattern, longest) > MAX_WAYS:
        raise UnusablePattern("too many ways to match")
    try:
        return re.compile(pattern, re.ASCII)
    except (re.error, OverflowError, RecursionError) as error:
        raise UnusablePattern("no regular expression") from error


def ways(pattern: str, longest: int) -> int:
    """An upper bound of the ways to match a text of `longest` characters, and so of the steps of backtracking."""
    counter = _WaysCounter(pattern, longest)
    total = counter.alternatives()
    if counter.at < len(pattern):
        raise UnusablePattern("unbalanced parenthesis")
    return total


class _WaysCounter:
    """Reads a pattern once, left to right: alternatives add up, a sequence multiplies, repeats are powers."""

    def __init__(self, pattern: str, longest: int) -> None:
        self.pattern, self.longest, self.at = pattern, longest, 0

    def alternatives(self) -> int:
        total = self._sequence()
        while self._peek() == "|":
            self.at += 1
            total += self._sequence()
        return total

    def _sequence(self) -> int:
        total = 1
        while self._peek() not in ("", "|", ")"):
            total = min(total * self._repeated(self._atom()), MAX_WAYS + 1)
        return total

    def _repeated(self, once: int) -> int:
        at_least, at_most = self._count()
        if self._peek() in ("?", "+") and (at_least, at_most) != (1, 1):
            self.at += 1  # lazy or possessive: no more ways than greedy
        choices = max(at_most - at_least, 0) + 1
        total: int = choices * min(once, MAX_WAYS + 1) ** at_most
        return min(total, MAX_WAYS + 1)

    def _count(self) -> tuple[int, int]:
        sign = self._peek()
        if sign in ("*", "+", "?"):
            self.at += 1
            return {"*": (0, self.longest), "+": (1, self.longest), "?": (0, 1)}[sign]
        braces = _COUNT.match(self.pattern, self.at)
        if not braces or braces[0] == "{}":
            return 1, 1
        self.at = braces.end()
        at_least = int(braces[1] or 0)
        at_most = int(braces[3] or self.longest) if braces[2] else at_least
        return min(at_least, self.longest), min(at_most, self.longest)

    def _atom(self) -> int:
        char = self._peek()
        self.at += 1
        if char == "(":
            return self._group()
        if char == "[":
            self._skip_class()
        if char == "\\":
            if self._peek().isdigit():
                raise UnusablePattern("back-reference")
            self.at += 1
        return 1

    def _group(self) -> int:
        if self.pattern.startswith("?:", self.at):
            self.at += 2
        elif self._peek() == "?":
            raise UnusablePattern("only plain and (?:) groups")
        inner = self.alternatives()
        if self._peek() != ")":
            raise UnusablePattern("unbalanced parenthesis")
        self.at += 1
        return inner

    def _skip_class(self) -> None:
        self.at += self._peek() == "^"
        first = True
        while (char := self._peek()) != "]" or first:
            if not char:
                raise UnusablePattern("unbalanced bracket")
            self.at += 2 if char == "\\" else 1
            first = False
        self.at += 1

    def _peek(self) -> str:
        return self.pattern[self.at : self.at + 1]
