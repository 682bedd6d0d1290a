"""JSON logs: one object per line, key fields instead of sentences, the correlation id in each.

`log.info("request", extra=fields(route="/bills", status=200))`. Names that may hold a secret are masked whatever the
caller does.
"""

import functools
import json
import logging
import sys
import time
from collections.abc import Mapping
from typing import Any, TextIO

import msgspec

from functions.common.context import correlation_id, trace_id

SECRET_NAMES = frozenset(
    {"password", "credentials", "params", "authorization", "token", "access_token", "refresh_token", "secret",
    "username",
     "account_number", "code_verifier"}
)  # fmt: skip
MASK = "***"
NOTHING: Mapping[str, object] = {}
AUDIT = "audit"
"""Logger of what people with a role do. Its lines are written whatever the level, to be found by `logger: audit`."""


_PLAIN = frozenset({str, int, float, bool, type(None)})
_fast = msgspec.json.Encoder()
_any = json.JSONEncoder(default=str, separators=(",", ":"))


def fields(**values: object) -> dict[str, object]:
    """Key fields of a log line, for `extra=`."""
    return {"fields": values}


class _Line(logging.LogRecord):
    """What `tell` gives to handlers. LogRecord's own constructor looks at path, thread and process, which no line
    tells: they are as in `USUAL`."""

    USUAL = vars(logging.LogRecord("", logging.INFO, "", 0, "", (), None))

    def __init__(self, **told: object) -> None:
        self.__dict__.update(self.USUAL, **told)


def tell(
    logger: logging.Logger, event: str, fields: Mapping[str, object], metrics: Mapping[str, object] = NOTHING
) -> None:
    """As `logger.info(event, extra=…)` in two thirds of the time, for the line that each request writes. `metrics`:
    members of the line as they are (`metrics.py`)."""
    if logger.isEnabledFor(logging.INFO):
        now = time.time()
        line = _Line(name=logger.name, msg=event, created=now, msecs=now % 1 * 1000, fields=fields, metrics=metrics)
        for handler in logging.getLogger().handlers:
            handler.handle(line)


def masked(values: Mapping[Any, object]) -> dict[Any, object]:  # Any: keys of whatever is logged
    """`values` without what its name says is secret, however deep it stands."""
    return {
        name: MASK if str(name).lower() in SECRET_NAMES else value if type(value) in _PLAIN else _masked(value)
        for name, value in values.items()
    }


def _masked(value: object) -> object:
    if type(value) in _PLAIN:
        return value
    if isinstance(value, Mapping):
        return masked(value)
    if isinstance(value, list | tuple):
        return [_masked(item) for item in value]
    # as it shows itself: an encoder that knows dataclasses would tell what their repr keeps to itself
    return value if isinstance(value, str | int | float) else str(value)


def _encoded(line: dict[str, object]) -> str:
    try:
        return _fast.encode(line).decode()
    except (TypeError, ValueError, OverflowError):
        # a key that is no text, a lone surrogate, a number of any size: seldom, and no reason to lose the line
        return _any.encode(line)


@functools.lru_cache(maxsize=2)
def _second(second: int) -> str:
    """Lines come many to the second, and writing it out takes as long as the rest of the line."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))


class _Stdout(logging.StreamHandler[Any]):  # Any: the stream's own type
    """Writes to what `sys.stdout` is at that moment: test runners and emulators exchange it."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:
        return sys.stdout


class JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": f"{_second(int(record.created))}.{int(record.msecs):03d}Z",
            "level": record.levelname,
            "logger": record.name,
            "event": record.getMessage(),
            "correlation_id": correlation_id(),
        }
        if trace := trace_id():
            line["trace_id"] = trace
        line.update(masked(getattr(record, "fields", NOTHING)))
        line.update(getattr(record, "metrics", NOTHING))
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return _encoded(line)


def configured() -> bool:
    """Whether the root logger writes JSON lines already."""
    return any(isinstance(handler.formatter, JsonFormatter) for handler in logging.getLogger().handlers)


def configure(level: str = "INFO", stream: TextIO | None = None) -> None:
    """Makes the root logger write JSON lines; costs nothing when it does already. Libraries stay at WARNING: they log
    whole requests."""
    root = logging.getLogger()
    if stream is None and configured():
        return
    # what no line tells is not looked up (Logging HOWTO, "Optimization"): caller, thread, process
    logging._srcfile = None  # noqa: SLF001 - the HOWTO's own words
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    handler = logging.StreamHandler(stream) if stream else _Stdout()
    handler.setFormatter(JsonFormatter())
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("functions").setLevel(level if level in logging.getLevelNamesMapping() else logging.INFO)
    logging.getLogger(AUDIT).setLevel(logging.INFO)
