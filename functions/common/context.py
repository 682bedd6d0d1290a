"""What travels with a request through every layer: correlation id, trace context (W3C Trace Context) and deadline.

Context variables, so that threads of a fan-out get them by `contextvars.copy_context()` and no signature has to carry
them.
"""

import os
import re
import time
from contextvars import ContextVar
from dataclasses import dataclass

CORRELATION_HEADER = "X-Correlation-Id"
TRACE_HEADER = "traceparent"
_ACCEPTED = re.compile(r"[A-Za-z0-9._-]{1,64}")
# Ids of zeros and version ff are invalid; of a version after 00 the parts that 00 knows are taken (section 3.2.2).
_TRACEPARENT = re.compile(r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})(-.*)?")


@dataclass(frozen=True, slots=True)
class Invocation:
    correlation_id: str
    deadline: float
    """`time.monotonic()` after which nobody waits for the answer any more."""
    traceparent: str
    """Of this step of the trace: what it calls gets it as parent."""
    caller_address: str
    """IP address that the request came from; empty where there is no request."""


_current: ContextVar[Invocation | None] = ContextVar("invocation", default=None)


class invocation:  # noqa: N801 - for `with`, like contextlib's
    """Everything within belongs to this correlation id (a new one if absent or ill-formed) and ends in `seconds`.

    `parent`: the caller's traceparent; without a well-formed one a new trace begins.
    """

    def __init__(
        self, correlation_id: str | None, seconds: float, parent: str | None = None, caller_address: str = ""
    ) -> None:
        accepted = correlation_id if correlation_id and _ACCEPTED.fullmatch(correlation_id) else _new_correlation_id()
        self._current = Invocation(accepted, time.monotonic() + seconds, _step(parent), caller_address)

    def __enter__(self) -> Invocation:
        self._token = _current.set(self._current)
        return self._current

    def __exit__(self, *_: object) -> None:
        _current.reset(self._token)


def correlation_id() -> str:
    """Of the present invocation; a new one outside any."""
    current = _current.get()
    return current.correlation_id if current else _new_correlation_id()


def traceparent() -> str:
    """Of the present invocation, for whatever it calls; a new trace outside any."""
    current = _current.get()
    return current.traceparent if current else _step(None)


def trace_id() -> str:
    """Of the present invocation; empty outside any."""
    current = _current.get()
    return current.traceparent[3:35] if current else ""


def caller_address() -> str:
    """IP address that the present request came from; empty outside any."""
    current = _current.get()
    return current.caller_address if current else ""


def remaining_seconds(default: float = 30.0) -> float:
    """How long somebody still waits for the answer; never negative. `default` outside any invocation."""
    current = _current.get()
    return max(0.0, current.deadline - time.monotonic()) if current else default


def _new_correlation_id() -> str:
    """Not as other identifiers are made: nothing is sorted by it, and each request needs one."""
    return f"cor_{os.urandom(16).hex()}"


def _step(parent: str | None) -> str:
    """The next step of the parent's trace, or the first of a new one, which asks nobody to record it."""
    given = _TRACEPARENT.fullmatch(parent) if parent else None
    if given is None or (given[1] == "00" and given[4]):
        random = os.urandom(24).hex()
        return f"00-{random[:32]}-{random[32:]}-00"
    return f"00-{given[2]}-{os.urandom(8).hex()}-{given[3]}"
