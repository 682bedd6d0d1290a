"""`make measure`: what the platform's main flows ask of AWS and how long they take, on the running platform.

Each flow runs twice: once through a proxy that counts the calls (`metering`), once without it for the times. Written to
docs/measurements.json, which `make cost` puts prices to. The sandbox utilities are part of the platform here and of
none on AWS: what they consume is left out.
"""

import json
import os
import platform
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import TYPE_CHECKING, Any  # Any: the template, and JSON that functions take

from functions.common.clock import rfc3339
from infra import stack, template
from infra.aws import client
from infra.cache_load import CacheLoad
from infra.client import await_value
from infra.console import Failure, say, step
from infra.households import Household, households
from infra.metering import Meter, metered
from infra.settings import ROOT, Settings, Target

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_logs import CloudWatchLogsClient

OUTPUT = ROOT / "docs/measurements.json"
HOUSEHOLDS, READS, IDLE_SWEEPS = 3, 100, 3
IGNORED_FUNCTION, IGNORED_TABLE = "MockApi", "MockTable"
REPORT = re.compile(r"REPORT .*Billed Duration: (\d+) ms")
LOG_EVENT_BYTES = 26
"""What CloudWatch Logs adds to each line when it counts bytes."""
SETTLE = 120.0
QUIET = 3.0  # seconds without a further line in any log, after which a flow counts as ended
Flow = Callable[[], int]
"""Runs once; answers how many of what is measured it did."""


@dataclass(frozen=True)
class Rig:
    """The running platform, taken apart."""

    settings: Settings
    ids: Mapping[str, str]
    """Physical ids by logical id."""

    @property
    def functions(self) -> dict[str, str]:
        return {name: self.ids[name] for name in template.functions() if name in self.ids and name != IGNORED_FUNCTION}

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


def run(settings: Settings) -> None:
    """Measures, and writes what came of it. Only on the embedded engine: it changes settings of what is deployed."""
    if settings.target is not Target.EMBEDDED or not stack.deployed(settings):
        raise Failure("This measures the platform on the embedded engine, which has to run.", "make up")
    rig = Rig(settings, stack.resources(settings))
    with _quiet_rule(rig), households(settings, HOUSEHOLDS) as homes:
        flows = _flows(rig, homes)
        for flow in flows.values():
            flow()  # starts every function, and fills the cache
        answer_bytes = homes[0].read()
        timed = {name: _timed(rig, flow) for name, flow in flows.items()}
        with _through_meter(rig) as meter:
            for flow in flows.values():
                flow()
            counted = {name: _counted(rig, meter, flow) for name, flow in flows.items()}
    measured = {name: counted[name] | timed[name] for name in flows}
    measured["cached_read"]["answer_bytes"] = answer_bytes
    about = {"date": f"{datetime.now(UTC):%Y-%m-%d}", "machine": _machine(), "load": _load(), "memory_mb": _memory()}
    OUTPUT.write_text(json.dumps({"about": about, "flows": measured}, indent=2) + "\n")
    say(f"written: {OUTPUT.relative_to(ROOT)}; make docs puts prices to it")


def _flows(rig: Rig, homes: Sequence[Household]) -> dict[str, Flow]:
    def cached_read() -> int:
        for _ in range(READS):
            homes[0].read()
        return READS

    def idle_sweep() -> int:
        for _ in range(IDLE_SWEEPS):
            rig.invoke("Sweep", SCHEDULED)
        return IDLE_SWEEPS

    def refresh_unchanged() -> int:
        return _swept(rig, homes)

    def refresh_with_a_new_bill() -> int:
        homes[0].next_month()
        return _swept(rig, homes)

    return {flow.__name__: flow for flow in (cached_read, idle_sweep, refresh_unchanged, refresh_with_a_new_bill)}


SCHEDULED = json.loads((ROOT / "tests/events/schedule.json").read_text())


def _swept(rig: Rig, homes: Sequence[Household]) -> int:
    """Makes every link due and lets one sweep ask for all of them; answers how many, when all are refreshed."""
    dynamodb: DynamoDBClient = client(rig.settings, "dynamodb")
    table, begun = rig.ids["LinksTable"], rfc3339(datetime.now(UTC))
    keys = [{"user_id": {"S": home.user_id}, "link_id": {"S": link}} for home in homes for link in home.link_ids]
    for key in keys:
        dynamodb.update_item(
            TableName=table,
            Key=key,
            UpdateExpression="SET next_refresh_at = :at",
            ExpressionAttributeValues={":at": {"S": rfc3339(datetime.now(UTC) - timedelta(minutes=1))}},
        )

    def refreshed() -> bool:
        """By the table: asking the API would be counted."""
        items = [dynamodb.get_item(TableName=table, Key=key)["Item"] for key in keys]
        return all(item["last_attempt_at"]["S"] > begun for item in items)

    rig.invoke("Sweep", SCHEDULED)
    await_value(refreshed, SETTLE, "a refresh of every link")
    return len(keys)


def _timed(rig: Rig, flow: Flow) -> dict[str, Any]:
    """Per unit: invocations and billed milliseconds of each function, bytes logged, load of the cache."""
    with step(f"{flow.__name__}, timed"), CacheLoad(rig.settings.cache_url).weighed() as load:
        since = int(time.time() * 1000)
        units = flow()
        lines = rig.settled(since)
    functions = {}
    for name, texts in lines.items():
        billed = [int(match[1]) + 1 for match in map(REPORT.match, texts) if match]  # whole ones, rounded down
        if billed:
            # the median: on a machine with other work, a few take many times as long
            functions[name] = {"invocations": len(billed) / units, "billed_ms": median(billed) * len(billed) / units}
    logged = sum(len(text.encode()) + LOG_EVENT_BYTES for texts in lines.values() for text in texts)
    return {
        "units": units,
        "functions": {name: _rounded(values) for name, values in sorted(functions.items())},
        "log_bytes": round(logged / units),
        "cache": _rounded({name: value / units for name, value in load.items()}),
    }


def _counted(rig: Rig, meter: Meter, flow: Flow) -> dict[str, Any]:
    """Per unit: requests and capacity units."""
    with step(f"{flow.__name__}, counted"):
        since = int(time.time() * 1000)
        meter.taken()
        units = flow()
        lines = rig.settled(since)
        counts = meter.taken()
    counts["sqs_requests"] += 2 * _batches(lines)  # each batch is received once and deleted once
    for kind in ("read", "write"):
        counts[f"dynamodb_{kind}_units"] = 0
        counts[f"dynamodb_{kind}_units"] += counts.pop(f"dynamodb_{kind}_tenths", 0)
    told = {name: count / units / (10 if name.startswith("dynamodb") else 1) for name, count in counts.items()}
    return {"calls": _rounded(dict(sorted(told.items())))}


def _batches(lines: Mapping[str, Sequence[str]]) -> int:
    workers = {name for name, properties in template.functions().items() if _queues_of(properties)}
    return sum(1 for name in workers & set(lines) for text in lines[name] if REPORT.match(text))


def _queues_of(properties: Mapping[str, Any]) -> list[str]:
    events = properties.get("Events", {}).values()
    return [event["Properties"]["Queue"]["Fn::GetAtt"] for event in events if event["Type"] == "SQS"]


@contextmanager
def _through_meter(rig: Rig) -> Iterator[Meter]:
    """Every function calls AWS through the meter. The sandbox's has no cache meanwhile, so that it is not weighed."""
    meter = Meter(_subscriptions(), frozenset({rig.ids[IGNORED_TABLE]}))
    with metered(rig.settings.endpoint, meter) as address, _environment(rig, {"AWS_ENDPOINT_URL": address}):
        yield meter


@contextmanager
def _environment(rig: Rig, more: Mapping[str, str]) -> Iterator[None]:
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
def _quiet_rule(rig: Rig) -> Iterator[None]:
    """The sweep runs when it is called, and the sandbox's utilities leave the cache alone."""
    events, functions = client(rig.settings, "events"), client(rig.settings, "lambda")
    rule = rig.ids["SweepEveryMinute"]
    mock = stack.function_environment(rig.settings, IGNORED_FUNCTION)
    configure = functions.update_function_configuration
    events.disable_rule(Name=rule)
    configure(FunctionName=rig.ids[IGNORED_FUNCTION], Environment={"Variables": mock | {"CACHE_URL": ""}})
    try:
        yield
    finally:
        events.enable_rule(Name=rule)
        configure(FunctionName=rig.ids[IGNORED_FUNCTION], Environment={"Variables": mock})


def _subscriptions() -> dict[str, frozenset[str] | None]:
    """What the topic sends to each queue, as the template says."""
    wanted: dict[str, frozenset[str] | None] = {}
    for name, resource in template.read()["Resources"].items():
        if resource["Type"] == "AWS::SNS::Subscription":
            policy = resource["Properties"].get("FilterPolicy")
            wanted[name] = frozenset(policy["type"]) if policy else None
    return wanted


def _rounded(values: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 3) for name, value in values.items()}


def _machine() -> str:
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}"


def _load() -> float:
    """How many wanted a processor in the last minutes; more than there are: the times say more of the others."""
    return round(os.getloadavg()[1], 1)


def _memory() -> int:
    return int(template.read()["Globals"]["Function"]["MemorySize"])
