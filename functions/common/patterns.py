"""Regular expressions that come from administrators and run on users' input.

A pattern that could backtrack without end (CWE-1333) is never run: `ways` bounds how many ways there are to match
before the pattern is compiled. The registry of utilities refuses such a pattern when it is entered, linking before it
is used.
"""

import functools
import re
from dataclasses import dataclass

MAX_VALUE_CHARS = 256
"""Of what a user gives for one field."""
MAX_PATTERN_CHARS = 300
MAX_WAYS = 100_000
_COUNT = re.compile(r"\{(\d*)(,?)(\d*)\}")


class UnusablePattern(Exception):
    """The pattern is no regular expression, too costly, or says what this checker does not admit."""


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
    reader = _Reader(pattern, longest)
    whole = reader.alternatives()
    if reader.at < len(pattern):
        raise UnusablePattern("unbalanced parenthesis")
    return whole.ways


@dataclass(frozen=True, slots=True)
class _Part:
    ways: int = 1
    may_be_empty: bool = False


class _Reader:
    """Reads a pattern once, left to right: alternatives add up, a sequence multiplies, repeats are powers."""

    def __init__(self, pattern: str, longest: int) -> None:
        self.pattern, self.longest, self.at = pattern, longest, 0

    def alternatives(self) -> _Part:
        total = self._sequence()
        while self._peek() == "|":
            self.at += 1
            other = self._sequence()
            total = _Part(total.ways + other.ways, total.may_be_empty or other.may_be_empty)
        return total

    def _sequence(self) -> _Part:
        ways, may_be_empty = 1, True
        while self._peek() not in ("", "|", ")"):
            part = self._repeated(self._atom())
            ways = min(ways * part.ways, MAX_WAYS + 1)
            may_be_empty = may_be_empty and part.may_be_empty
        return _Part(ways, may_be_empty)

    def _repeated(self, once: _Part) -> _Part:
        at_least, at_most = self._count()
        if once.may_be_empty and at_least > 1:
            # Python runs through all of them without getting anywhere: (?:){4000000000} never ends.
            raise UnusablePattern("what may be empty is counted")
        if self._peek() in ("?", "+") and (at_least, at_most) != (1, 1):
            self.at += 1  # lazy or possessive: no more ways than greedy
        choices = max(at_most - at_least, 0) + 1
        total: int = choices * min(once.ways, MAX_WAYS + 1) ** at_most
        return _Part(min(total, MAX_WAYS + 1), once.may_be_empty or not at_least)

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

    def _atom(self) -> _Part:
        char = self._peek()
        self.at += 1
        if char == "(":
            return self._group()
        if char == "[":
            self._skip_class()
        if char == "\\":
            return self._escaped()
        return _Part(may_be_empty=char in "^$")

    def _escaped(self) -> _Part:
        char = self._peek()
        if char.isdigit():
            raise UnusablePattern("back-reference")
        self.at += 1
        return _Part(may_be_empty=char in "AbBzZ")

    def _group(self) -> _Part:
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
