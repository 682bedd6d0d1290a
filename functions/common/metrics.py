"""Metrics in CloudWatch's embedded format: members of a log line that CloudWatch counts, so that no call is made.

`logs.tell(log, "request", {…}, metrics.counted("dev", "bill-aggregation-service", "/bills", {"CacheHits": 1}))`.
Dimensions are the stage, the service and the route, which are few; never a user or a link, since each value costs a
metric.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

import functools
import time
from collections.abc import Mapping

NAMESPACE = "BillingAggregator"
DIMENSIONS = ("stage", "service", "route")


def counted(stage: str, service: str, route: str, counts: Mapping[str, int]) -> dict[str, object]:
    """Counts of one request, to stand in its line beside the fields."""
    told = {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": _directives(tuple(counts))}
    return {"stage": stage, "service": service, "route": route, **counts, "_aws": told}


@functools.cache
def _directives(names: tuple[str, ...]) -> list[dict[str, object]]:
    metrics = [{"Name": name, "Unit": "Count"} for name in names]
    return [{"Namespace": NAMESPACE, "Dimensions": [list(DIMENSIONS)], "Metrics": metrics}]
