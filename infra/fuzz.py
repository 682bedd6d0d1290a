"""Schemathesis against the running platform: no answer may be a 5xx, and none may be other than the document says.

Three runs, each as the user that its operations are meant for. The controls of the sandbox are among them (not in a
short run): afterwards its clock stands on today and no utility is down.
"""

import contextlib
import json
import secrets
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any  # Any: JSON

from infra import admin, openapi
from infra.client import Client, example_params
from infra.console import Failure, say, step
from infra.settings import ROOT, Settings

PER_MINUTE = 540
"""A sandbox takes 600 from one user, and a third of the operations counts against an address's 300 on auth routes."""
ENDING = ("/users/me/password", "/users/me/sessions", "/auth/logout", "DELETE /users/me")
"""What ends sessions or users. A throw-away user asks for it."""
RULES_BEYOND_SCHEMA = frozenset(
    {
        "move_clock",  # exactly one of its fields
        "request_email_verification", "request_password_reset",  # the form of an address
        "verify_email", "reset_password",  # the code that was mailed
        "change_password", "update_user",  # a password that nobody uses, a time zone that exists
        "summarise_bills", "export_bills",  # a period that does not end before it begins
        "mark_bill",  # a payment on a day that has come
        "create_import", "import_green_button",  # a currency that exists, a file that is one
        "set_scenario",  # an account number as the utility spells them
        "create_webhook",  # a public URL, types of events that exist
        "update_provider",  # codes and zones that exist, a public URL, a pattern that ends
    }
)  # fmt: skip
"""Where 422 answers what fits the schema. So it does for cursors that no list gave out, and for an idempotency key that
stood for another request before, and 412 for a version that is not the newest."""
WEBHOOK = {"url": "https://receiver.invalid/fuzz", "event_types": ["bill.created.v1"]}
"""A name that leads nowhere (RFC 6761): nobody is called."""
PROVIDER_FIELDS = (
    "service_types", "country", "currency", "time_zone", "adapter", "base_url", "auth_type", "customer_params"
)  # fmt: skip
# API Gateway and the engines answer TRACE and QUERY by themselves
CONFIG = """
request-timeout = 35
suppress-health-check = ["all"]

[phases.coverage]
unexpected-methods = ["get", "put", "post", "delete", "options", "patch"]

[auth.openapi.bearer]
bearer = "{token}"

[[operations]]
include-operation-id = {beyond_schema}
checks.positive_data_acceptance.expected-statuses = ["2xx", 304, 401, 403, 404, 409, 412, 422, 429]
# a precondition is looked at before the content (RFC 9110, 13.2.1)
checks.negative_data_rejection.expected-statuses = [400, 401, 403, 404, 405, 406, 409, 412, 415, 422, 428, 429]
"""
# one value in two is made up, the other is or names something that is there
KNOWN = """
[dictionaries."{place}"]
values = {values}

[parameters."{place}"]
dictionary = "{place}"
probability = 0.5
"""


@dataclass(frozen=True)
class Callers:
    """Tokens of a user with an account, of an admin, and of a user that may go; by place in a request, values that
    make sense there."""

    user: str
    operator: str
    throw_away: str
    known: dict[str, list[str]]


@dataclass(frozen=True)
class Run:
    name: str
    operations: list[str]
    token: str


def run(settings: Settings, base_url: str, cases: int, *, short: bool = False) -> int:
    """How many cases were tried. Raises Failure when one is not answered as the document says, or when fewer than
    `cases` were tried."""
    document = json.loads((ROOT / openapi.OUTPUT).read_text())
    folder = settings.run_dir / "fuzz"
    folder.mkdir(parents=True, exist_ok=True)
    tried, failed = 0, []
    with _callers(settings, base_url) as callers:
        for part in _runs(document, callers, short=short):
            with step(f"fuzzing {len(part.operations)} operations as {part.name}"):
                count, log = _schemathesis(folder, base_url, _config(document, part, callers), part, short=short)
            tried += count
            if log:
                say(log)
                failed.append(part.name)
    if failed:
        raise Failure(f"Not every answer is as {openapi.OUTPUT} says: see above", f"Whole logs: {folder}")
    if tried < cases:
        raise Failure(f"{tried} cases were tried, {cases} are wanted")
    say(f"{tried} cases, every answer as documented")
    return tried


def _runs(document: dict[str, Any], callers: Callers, *, short: bool) -> Iterator[Run]:
    parts: dict[str, list[str]] = {"user": [], "admin": [], "throw-away user": []}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if operation.get("x-sandbox") and short:
                continue
            ending = f"{method.upper()} {path}" in ENDING or path.startswith(ENDING)
            name = "throw-away user" if ending else "admin" if operation.get("x-role") else "user"
            parts[name].append(operation["operationId"])
    for name, token in zip(parts, (callers.user, callers.operator, callers.throw_away), strict=True):
        if parts[name]:
            yield Run(name, parts[name], token)


def _schemathesis(folder: Path, base_url: str, settings: str, part: Run, *, short: bool) -> tuple[int, str]:
    """How many cases were tried, and the log when something was found."""
    config, report = folder / "schemathesis.toml", folder / "report.json"
    config.write_text(settings)
    config.chmod(0o600)
    report.unlink(missing_ok=True)
    command = [
        sys.executable,
        "-m",
        "schemathesis.cli",
        "--config-file",
        str(config),
        "run",
        str(ROOT / openapi.OUTPUT),
    ]
    command += ["--url", base_url, "--continue-on-failure", "--report-json-path", str(report)]
    if short:  # the same cases each time: what is new is for `make fuzz` to find
        command += ["--phases", "fuzzing", "--max-examples", "6", "--no-shrink", "--seed", "1"]
    else:
        command += ["--max-examples", "25", "--rate-limit", f"{PER_MINUTE}/m"]
    for operation in part.operations:
        command += ["--include-operation-id", operation]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    log = done.stdout + done.stderr
    (folder / f"{part.name}.log").write_text(log)
    config.unlink()  # it holds a token
    return _count(report), log if done.returncode else ""


def _config(document: dict[str, Any], part: Run, callers: Callers) -> str:
    text = CONFIG.format(token=part.token, beyond_schema=json.dumps(_beyond_schema(document)))
    return text + "".join(
        KNOWN.format(place=place, values=json.dumps(values)) for place, values in callers.known.items()
    )


def _count(report: Path) -> int:
    return int(json.loads(report.read_text())["test_cases"]["generated"]) if report.exists() else 0


def _beyond_schema(document: dict[str, Any]) -> list[str]:
    found = set()
    for methods in document["paths"].values():
        for operation in methods.values():
            names = {parameter["name"] for parameter in operation.get("parameters", ())}
            if names & {"cursor", "Idempotency-Key", "If-Match"} or operation["operationId"] in RULES_BEYOND_SCHEMA:
                found.add(operation["operationId"])
    return sorted(found)


@contextlib.contextmanager
def _callers(settings: Settings, base_url: str) -> Iterator[Callers]:
    nobody = Client(base_url)
    user, throw_away = _registered(nobody), _registered(nobody)
    operator = _registered(nobody, settings)
    provider = user.providers()[0]
    link = user.link(provider["provider_id"], example_params(provider), "good", secrets.token_urlsafe(12))
    hooks = [user.call("POST", "/webhooks", WEBHOOK) for _ in range(2)]
    spare = _spare_provider(operator, provider["provider_id"])
    known = {
        "path.link_id": [str(link["link_id"])],
        "path.job_id": [user.refresh()],
        "path.provider_id": [spare],
        "path.webhook_id": [str(hook["webhook_id"]) for hook in hooks],
        "body.provider_id": [str(provider["provider_id"])],
        "body.email": [f"fuzz-{number}@example.com" for number in range(5)],
    }
    try:
        yield Callers(user.token, operator.token, throw_away.token, known)
    finally:
        operator.move_clock(reset=True)
        for utility in ("electricity", "gas", "water", "internet"):
            operator.call("POST", "/mock/outages", {"utility": utility, "down": False})
        operator.call("DELETE", f"/providers/{spare}")
        for account in user.accounts():
            user.unlink(account["link_id"])
        nobody.close()


def _spare_provider(operator: Client, provider_id: str) -> str:
    """One that may be changed and taken out of service; reached as the other is."""
    known = operator.call("GET", f"/providers/{provider_id}")
    body = {field: known[field] for field in PROVIDER_FIELDS} | {"name": f"Fuzz {secrets.token_hex(4)}"}
    return str(operator.call("POST", "/providers", body)["provider_id"])


def _registered(nobody: Client, settings: Settings | None = None) -> Client:
    """A new user, an admin where `settings` say of which platform."""
    email, password = f"fuzz-{secrets.token_hex(8)}@example.com", secrets.token_urlsafe(18)
    nobody.register(email, password, "Fuzz")
    if settings:
        admin.grant(settings, email)
    return nobody.login(email, password)
