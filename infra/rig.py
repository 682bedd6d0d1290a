"""The running platform taken apart, to measure it: functions called by name, their logs, their settings for a while."""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from infra import stack, template
from infra.aws import client
from infra.console import Failure
from infra.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_logs import CloudWatchLogsClient

SANDBOX_FUNCTION = "MockApi"
"""Part of the platform on an emulator and of none on AWS."""
SETTLE = 120.0
QUIET = 4.0  # seconds without a further line in any log, after which a flow counts as ended


@dataclass(frozen=True)
class Rig:
    """The running platform, taken apart."""

    settings: Settings
    ids: Mapping[str, str]
    """Physical ids by logical id."""

    @property
    def functions(self) -> dict[str, str]:
        return {name: self.ids[name] for name in template.functions() if name in self.ids and name != SANDBOX_FUNCTION}

    def invoke(self, function: str, event: object) -> None:
        functions: LambdaClient = client(self.settings, "lambda")
        answer = functions.invoke(FunctionName=self.ids[function], Payload=json.dumps(event).encode())
        if answer.get("FunctionError"):
            raise Failure(f"{function} failed: {answer['Payload'].read().decode()[:300]}")

    def lines(self, since_ms: int) -> dict[str, list[str]]:
        """What each function has logged since then."""
        logs: CloudWatchLogsClient = client(self.settings, "logs")
        found = {}
        for name, physical in self.functions.items():
            try:
                pages = logs.get_paginator("filter_log_events").paginate(
                    logGroupName=f"/aws/lambda/{physical}", startTime=since_ms
                )
                found[name] = [event["message"] for page in pages for event in page["events"]]
            except logs.exceptions.ResourceNotFoundException:
                found[name] = []
        return found

    def settled(self, since_ms: int) -> dict[str, list[str]]:
        """The lines once none comes any more."""
        until, known, changed = time.monotonic() + SETTLE, self.lines(since_ms), time.monotonic()
        while time.monotonic() < until and time.monotonic() - changed < QUIET:
            time.sleep(0.5)
            fresh = self.lines(since_ms)
            if fresh != known:
                known, changed = fresh, time.monotonic()
        return known


@contextmanager
def environment(rig: Rig, more: Mapping[str, str]) -> Iterator[None]:
    """Every function but the sandbox's with further variables."""
    functions: LambdaClient = client(rig.settings, "lambda")
    before = {name: stack.function_environment(rig.settings, name) for name in rig.functions}
    try:
        for name, variables in before.items():
            functions.update_function_configuration(
                FunctionName=rig.ids[name], Environment={"Variables": {**variables, **more}}
            )
        yield
    finally:
        for name, variables in before.items():
            functions.update_function_configuration(FunctionName=rig.ids[name], Environment={"Variables": variables})


@contextmanager
def quiet(rig: Rig) -> Iterator[None]:
    """The sweep runs when it is called, and the sandbox's utilities leave the cache alone."""
    events, functions = client(rig.settings, "events"), client(rig.settings, "lambda")
    rule = rig.ids["SweepEveryMinute"]
    mock = stack.function_environment(rig.settings, SANDBOX_FUNCTION)
    configure = functions.update_function_configuration
    events.disable_rule(Name=rule)
    configure(FunctionName=rig.ids[SANDBOX_FUNCTION], Environment={"Variables": mock | {"CACHE_URL": ""}})
    try:
        yield
    finally:
        events.enable_rule(Name=rule)
        configure(FunctionName=rig.ids[SANDBOX_FUNCTION], Environment={"Variables": mock})
