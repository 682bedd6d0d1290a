"""The line that each request writes into the log; how a cached read ended stands in it as a metric."""

import logging
from collections.abc import Mapping
from typing import Any

from functions.common import logs, metrics
from functions.common.cache import Found

COUNTED_AS = {
    Found.FRESH: "CacheHits",
    Found.STALE: "CacheStale",
    Found.RENEW: "CacheStale",
    Found.MISS: "CacheMisses",
    Found.BUSY: "CacheMisses",
    Found.DOWN: "CacheErrors",
}
COUNTS = {
    found: {each: int(each == name) for each in dict.fromkeys(COUNTED_AS.values())}
    for found, name in COUNTED_AS.items()
}


def tell(
    logger: logging.Logger,
    stage: str,
    service: str,
    asked: Mapping[str, Any],
    status: int,
    seconds: float,
    found: Found,
) -> None:
    """`stage`: of the deployment; needed of a cached read only. `asked`: API Gateway's context of the request."""
    route, counts = asked.get("resourcePath"), COUNTS.get(found)
    told = {"method": asked.get("httpMethod"), "route": route, "status": status, "ms": round(seconds * 1000, 1)}
    logs.tell(logger, "request", told, metrics.counted(stage, service, str(route), counts) if counts else logs.NOTHING)
