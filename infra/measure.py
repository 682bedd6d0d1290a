"""`make measure`: what the platform's main flows ask of AWS and how long they take, on the running platform.

Functions call AWS through a proxy that counts (`metering`), which takes them a millisecond or two a call. Written to
docs/measurements.json, which `make cost` puts prices to. The sandbox utilities are part of the platform here and of
none on AWS: what they consume is left out.
"""

import json
import os
import platform
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from statistics import median
from typing import Any  # Any: the template, and what is measured, as JSON

from infra import stack, template
from infra.cache_load import CacheLoad
from infra.console import Failure, say, step
from infra.flows import Flow, flows_of
from infra.households import households
from infra.metering import Meter, metered
from infra.rig import Rig, environment, quiet
from infra.settings import ROOT, Settings, Target

OUTPUT = ROOT / "docs/measurements.json"
HOUSEHOLDS = 2
SANDBOX_TABLE = "MockTable"
REPORT = re.compile(r"REPORT .*Billed Duration: (\d+) ms")
LOG_EVENT_BYTES = 26
"""What CloudWatch Logs adds to each line when it counts bytes."""


def run(settings: Settings) -> None:
    """Measures, and writes what came of it. Only on the embedded engine: it changes settings of what is deployed."""
    if settings.target is not Target.EMBEDDED or not stack.deployed(settings):
        raise Failure("This measures the platform on the embedded engine, which has to run.", "make up")
    rig = Rig(settings, stack.resources(settings))
    with quiet(rig), households(settings, HOUSEHOLDS) as homes, _through_meter(rig) as meter:
        flows = flows_of(rig, homes)
        _warm(rig, flows)
        measured = {name: _measured(rig, meter, flow) for name, flow in flows.items()}
        answer_bytes = homes[0].read()
    measured["cached_read"]["answer_bytes"] = answer_bytes
    about = {"date": f"{datetime.now(UTC):%Y-%m-%d}", "machine": _machine(), "load": _load(), "memory_mb": _memory()}
    OUTPUT.write_text(json.dumps({"about": about, "flows": measured}, indent=2) + "\n")
    say(f"written: {OUTPUT.relative_to(ROOT)}; make docs puts prices to it")


def _warm(rig: Rig, flows: Mapping[str, Flow]) -> None:
    """Starts every function and fills the cache. Nothing of it goes on afterwards: new bills have been told of."""
    with step("warming up"):
        since = int(time.time() * 1000)
        for flow in (*flows.values(), flows["idle_sweep"], flows["cached_read"]):
            _until_done(flow)
            rig.settled(since)


def _until_done(flow: Flow) -> None:
    """On a busy machine so many first starts at once take longer than a message is waited for; it comes again."""
    for tries_left in (2, 1, 0):
        try:
            flow()
        except TimeoutError:
            if not tries_left:
                raise
        else:
            return


def _measured(rig: Rig, meter: Meter, flow: Flow) -> dict[str, Any]:
    """Per unit: calls and capacity units; invocations and billed milliseconds of each function; bytes logged; load of
    the cache."""
    with step(flow.__name__), CacheLoad(rig.settings.cache_url).weighed() as load:
        meter.taken()
        since = int(time.time() * 1000)
        units = flow()
        lines = rig.settled(since)
        counts = meter.taken()
    counts["sqs_requests"] += 2 * _batches(lines)  # each batch is received once and deleted once
    logged = sum(len(text.encode()) + LOG_EVENT_BYTES for texts in lines.values() for text in texts)
    return {
        "units": units,
        "calls": _rounded({_named(name): count / units / _scale(name) for name, count in sorted(counts.items())}),
        "functions": _billed(lines, units),
        "log_bytes": round(logged / units),
        "cache": _rounded({name: value / units for name, value in load.items()}),
    }


def _billed(lines: Mapping[str, Sequence[str]], units: int) -> dict[str, dict[str, float]]:
    functions = {}
    for name, texts in sorted(lines.items()):
        billed = [int(match[1]) + 1 for match in map(REPORT.match, texts) if match]  # whole ones, rounded down
        if billed:
            # the median: on a machine with other work, a few take many times as long
            total = median(billed) * len(billed)
            functions[name] = _rounded({"invocations": len(billed) / units, "billed_ms": total / units})
    return functions


def _named(count: str) -> str:
    return count.replace("_tenths", "_units")


def _scale(count: str) -> int:
    return 10 if count.endswith("_tenths") else 1


def _batches(lines: Mapping[str, Sequence[str]]) -> int:
    workers = {name for name, properties in template.functions().items() if _queues_of(properties)}
    return sum(1 for name in workers & set(lines) for text in lines[name] if REPORT.match(text))


def _queues_of(properties: Mapping[str, Any]) -> list[str]:
    events = properties.get("Events", {}).values()
    return [event["Properties"]["Queue"]["Fn::GetAtt"] for event in events if event["Type"] == "SQS"]


@contextmanager
def _through_meter(rig: Rig) -> Iterator[Meter]:
    """Every function calls AWS through the meter. The sandbox's has no cache meanwhile, so that it is not weighed."""
    meter = Meter(_subscriptions(), frozenset({rig.ids[SANDBOX_TABLE]}))
    with metered(rig.settings.endpoint, meter) as address, environment(rig, {"AWS_ENDPOINT_URL": address}):
        yield meter


def _subscriptions() -> dict[str, frozenset[str] | None]:
    """What the topic sends to each queue, as the template says."""
    wanted: dict[str, frozenset[str] | None] = {}
    for name, resource in template.read()["Resources"].items():
        if resource["Type"] == "AWS::SNS::Subscription" and resource["Properties"]["Protocol"] == "sqs":
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
