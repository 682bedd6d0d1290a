"""tests/events: for each function an event of its trigger, and what an answer to it says in a word.

`<function>.json` is the one that `make invoke` takes when none is named; `<function>.<what>.json` are others. Where an
API's caller must show a token, the payload has `${TOKEN}` in its place.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any  # JSON

from infra.settings import ROOT

FOLDER = ROOT / "tests" / "events"
TOKEN = "${TOKEN}"  # noqa: S105 - stands where a token will
SERVER_ERROR = 500


@dataclass(frozen=True)
class Verdict:
    """`handled`: the function has done its work, even if its answer is a refusal."""

    handled: bool
    text: str


def payload_of(function: str) -> Path:
    return FOLDER / f"{function}.json"


def function_of(payload: Path) -> str:
    """The function that a file of the folder is for."""
    return payload.name.partition(".")[0]


def all_payloads() -> list[Path]:
    return sorted(FOLDER.glob("*.json"))


def ready(payload: Path, token: Callable[[], str]) -> str:
    """The event as a function takes it; `token` is asked only when the payload has a place for one."""
    text = payload.read_text()
    return text.replace(TOKEN, token()) if TOKEN in text else text


def verdict(answer: Any) -> Verdict:
    """What an API, an RPC, a worker or the sweep has answered, whose parts fail each by itself."""
    from functions.common.rpc.status import StatusCode

    if answer is None:
        return Verdict(handled=False, text="no answer: it ended, or was ended at its timeout")
    said = answer if isinstance(answer, dict) else {}
    if "errorMessage" in said:
        return Verdict(handled=False, text=f"{said.get('errorType', 'error')}: {said['errorMessage']}")
    if "statusCode" in said:
        status = int(said["statusCode"])
        return Verdict(status < SERVER_ERROR, f"{status} {_code(said)}".rstrip())
    if "batchItemFailures" in said:
        failures = len(said["batchItemFailures"])
        return Verdict(not failures, f"{failures} failed" if failures else "every message handled")
    if "status" in said:
        status_code = StatusCode(said["status"])
        lost = {StatusCode.INTERNAL, StatusCode.UNKNOWN, StatusCode.UNAVAILABLE, StatusCode.UNIMPLEMENTED}
        return Verdict(status_code not in lost, status_code.name)
    return Verdict(bool(said) and not said.get("failed_parts"), json.dumps(answer))


def _code(answer: dict[str, Any]) -> str:
    """The code of a problem document; "" for any other body."""
    try:
        body = json.loads(answer.get("body") or "null")
    except ValueError:
        return ""
    return str(body.get("code", "")) if isinstance(body, dict) and answer["statusCode"] >= 400 else ""
