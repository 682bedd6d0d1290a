"""What travels with a request through every layer: correlation id and deadline.

Context variables, so that threads of a fan-out get them by `contextvars.copy_context()` and no signature has to carry
them.
"""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from functions.common.ids import new_id

CORRELATION_HEADER = "X-Correlation-Id"
_ACCEPTED = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True, slots=True)
class Invocation:
    correlation_id: str
    deadline: float
    """`time.monotonic()` after which nobody waits for the answer any more."""


_current: ContextVar[Invocation | None] = ContextVar("invocation", default=None)


@contextmanager
def invocation(correlation_id: str | None, seconds: float) -> Iterator[Invocation]:
    """Everything within belongs to this correlation id (a new one if absent or ill-formed) and ends in `seconds`."""
    accepted = correlation_id if correlation_id and _ACCEPTED.fullmatch(correlation_id) else new_id("cor")
    current = Invocation(accepted, time.monotonic() + seconds)
    token = _current.set(current)
    try:
        yield current
    finally:
        _current.reset(token)


def correlation_id() -> str:
    """Of the present invocation; a new one outside any."""
    current = _current.get()
    return current.correlation_id if current else new_id("cor")


def remaining_seconds(default: float = 30.0) -> float:
    """How long somebody still waits for the answer; never negative. `default` outside any invocation."""
    current = _current.get()
    return max(0.0, current.deadline - time.monotonic()) if current else default
