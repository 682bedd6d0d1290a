"""Regular expressions that come from administrators and run on users' input.

A pattern that could backtrack without end (CWE-1333) is never run: `ways` bounds how many ways there are to match
before the pattern is compiled. The registry of utilities refuses such a pattern when it is entered, linking before it
is used.
"""

import functools
import re

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
