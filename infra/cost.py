"""What the platform costs on AWS: the calls and times of docs/measurements.json, what the templates have of resources,
and the prices of `prices`. `cost_tables` shows it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any  # Any: the measurements, as JSON has them

from infra import inventory, settings, stages
from infra.console import Failure
from infra.prices import PRICES
from infra.settings import ROOT

MEASUREMENTS = ROOT / "docs/measurements.json"
GB = 1e9
HOURS, MINUTES = 730.0, 43_800.0
"""Of a month, as AWS counts them."""
Cost = dict[str, float]
"""USD by what it is paid for."""


@dataclass(frozen=True)
class Assumptions:
    """What was not measured. Change them here, or ask for others by `make cost FACTOR=…`."""

    lambda_factor: float = 2.0
    """Billed milliseconds on Lambda for one measured here. 1024 MB are 0.58 of a processor, so work alone takes 1.7
    times as long as on a whole one."""
    architecture: str = "arm64"
    """As `samconfig.toml` has it; the milliseconds are taken to be the same."""
    pollers: int = 5
    """Connections on which Lambda waits for messages of one empty queue."""
    poll_seconds: float = 20.0
    utility_bytes: float = 50_000.0
    """That a refresh gets from a utility."""
    signing_keys: int = 1
    """Of access tokens; not in the template, since the deploy makes them. Two after the first rotation."""
    cache_gb: float = 0.1
    """The least that is charged for."""
    metrics: int = 4
    """Counted from log lines (functions/common/metrics.py): four names, of one stage, one service and one route."""
    refreshes: float = 124.0
    """Per link and month: `make simulate` has 4.08 a day."""
    new_bills: float = 1.0
    """Of these, how many bring a bill."""
    looks: float = 80.0
    """At due dates, per link and month: a bill that nobody says was paid is looked at each day, from when it comes to
    60 days after it was due."""
    reads: float = 10.0
    """Cached ones per link and month."""


@dataclass(frozen=True)
class Measured:
    """docs/measurements.json."""

    about: Mapping[str, Any]
    flows: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def gigabytes(self) -> float:
        """Memory of a function."""
        return float(self.about["memory_mb"]) / 1024


def read(path: Path = MEASUREMENTS) -> Measured:
    if not path.exists():
        raise Failure(f"{path.name} is missing.", "make measure")
    told = json.loads(path.read_text())
    return Measured(told["about"], told["flows"])


def once(measured: Measured, flow: str, assumed: Assumptions) -> Cost:
    """Of a flow, in USD for one unit of it. What the flow costs whether or not it happens is not in it."""
    told = measured.flows[flow]
    functions, calls = told["functions"].values(), told["calls"]
    seconds = sum(each["billed_ms"] for each in functions) / 1000 * assumed.lambda_factor
    quantities = {
        "lambda_requests": sum(each["invocations"] for each in functions),
        f"lambda_gb_seconds_{assumed.architecture}": seconds * measured.gigabytes,
        "dynamodb_write_units": calls.get("dynamodb_write_units", 0),
        "dynamodb_read_units": calls.get("dynamodb_read_units", 0),
        "sns_requests": calls.get("sns_requests", 0),
        "sqs_requests": calls.get("sqs_requests", 0),
        "kms_requests": calls.get("kms_requests", 0),
        "cache_ecpus": told["cache"]["ecpus"],
        "log_gb": told["log_bytes"] / GB,
    }
    return priced(quantities)


def priced(quantities: Mapping[str, float]) -> Cost:
    return {name: quantity * PRICES[name].each for name, quantity in quantities.items()}


def less(cost: Cost, other: Cost, share: float) -> Cost:
    """`cost` without `share` of the other; what the noise of measuring would make negative is nothing."""
    return {name: max(0.0, value - other.get(name, 0.0) * share) for name, value in cost.items()}


def plus(*costs: Cost) -> Cost:
    names = dict.fromkeys(name for cost in costs for name in cost)
    return {name: sum(cost.get(name, 0.0) for cost in costs) for name in names}


def times(cost: Cost, count: float) -> Cost:
    return {name: value * count for name, value in cost.items()}


def cached_read(measured: Measured, assumed: Assumptions) -> Cost:
    own = priced({"api_requests": 1, "data_out_gb": measured.flows["cached_read"]["answer_bytes"] / GB})
    return plus(own, once(measured, "cached_read", assumed))


def refresh(measured: Measured, flow: str, assumed: Assumptions, *, nat: bool) -> Cost:
    """Of one link."""
    own = swept(measured, flow, assumed)
    return plus(own, priced({"nat_gb": assumed.utility_bytes / GB})) if nat else own


def swept(measured: Measured, flow: str, assumed: Assumptions) -> Cost:
    """Of one unit of what a sweep asks for, without its share of the sweep, which runs anyway."""
    sweeps = measured.flows[flow]["functions"]["Sweep"]["invocations"]
    return less(once(measured, flow, assumed), once(measured, "idle_sweep", assumed), sweeps)


def idle_month(measured: Measured, has: Mapping[str, int], assumed: Assumptions) -> Cost:
    """With nobody there: the sweep each minute, polling of empty queues, and what is paid for by the month or hour."""
    polls = has.get("queues", 0) * assumed.pollers * HOURS * 3600 / assumed.poll_seconds
    standing = {
        "sqs_requests": polls,
        "kms_keys": has.get("kms_keys", 0) + assumed.signing_keys,
        "secrets": has.get("secrets", 0),
        "alarms": has.get("alarms", 0),
        "composite_alarms": has.get("composite_alarms", 0),
        "dashboards": has.get("dashboards", 0),
        "metrics": has.get("filtered_metrics", 0) + assumed.metrics,
        "cache_gb_hours": has.get("caches", 0) * assumed.cache_gb * HOURS,
        "endpoint_hours": has.get("endpoint_zones", 0) * HOURS,
        "nat_hours": has.get("nat_gateways", 0) * HOURS,
        "address_hours": has.get("addresses", 0) * HOURS,
        "snapstart_cache_gb_seconds": has.get("snapshot_mb", 0) / 1024 * HOURS * 3600,
        "web_acls": has.get("web_acls", 0),
        "web_acl_rules": has.get("web_acl_rules", 0),
    }
    return plus(times(once(measured, "idle_sweep", assumed), MINUTES), priced(standing))


def month(measured: Measured, has: Mapping[str, int], assumed: Assumptions, links: float) -> Cost:
    """Of so many links. Linear: no discounts for volume, and no limits, of which docs/scaling.md tells."""
    nat = bool(has.get("nat_gateways"))
    unchanged, changed = (
        refresh(measured, f"refresh_{kind}", assumed, nat=nat) for kind in ("unchanged", "with_a_new_bill")
    )
    per_link = plus(
        times(unchanged, assumed.refreshes - assumed.new_bills),
        times(changed, assumed.new_bills),
        times(swept(measured, "look_at_a_due_date", assumed), assumed.looks),
        times(cached_read(measured, assumed), assumed.reads),
    )
    return plus(idle_month(measured, has, assumed), times(per_link, links))


def deployments() -> dict[str, Mapping[str, str]]:
    """Parameters by what is deployed."""
    dev, prod = (stages.of(settings.load({"TARGET": "aws", "STAGE": name}), {}).parameters for name in ("dev", "prod"))
    return {"prod": prod, "dev": dev, "dev, no cache": {**dev, "CacheUrl": "none"}}


def inventories() -> dict[str, Mapping[str, int]]:
    return {name: inventory.counted(parameters) for name, parameters in deployments().items()}
