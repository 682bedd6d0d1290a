"""The functions' logs, through the CloudWatch Logs API: the same on every target."""

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click
from botocore.exceptions import ClientError

from infra import stack, template
from infra.aws import client
from infra.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient

PAUSE = 1.0  # seconds between looks when following
NOISE = ("START RequestId", "END RequestId", "REPORT RequestId", "INIT_START")


def show(settings: Settings, logical_id: str, minutes: int, *, follow: bool) -> None:
    """Prints the lines of one function (or all, with their names) of the last `minutes`, oldest first."""
    if logical_id:
        template.service_of(logical_id)
    logs: CloudWatchLogsClient = client(settings, "logs")
    resources = stack.resources(settings)
    wanted = [logical_id] if logical_id else sorted(name for name in template.functions() if name in resources)
    # on AWS each has a group of the stack's, elsewhere the one that Lambda makes
    groups = {name: resources.get(f"{name}Logs") or f"/aws/lambda/{resources[name]}" for name in wanted}
    since = int((time.time() - minutes * 60) * 1000)
    seen: set[tuple[str, int, str]] = set()
    while True:
        found = {(name, *line) for name, group in groups.items() for line in _lines(logs, group, since)} - seen
        for name, stamp, text in sorted(found, key=lambda line: line[1]):
            prefix = "" if logical_id else f"{name:15} "
            click.echo(f"{datetime.fromtimestamp(stamp / 1000, UTC):%H:%M:%S} {prefix}{text}")
        seen |= found
        if not follow:
            return
        time.sleep(PAUSE)


def _lines(logs: "CloudWatchLogsClient", group: str, since: int) -> list[tuple[int, str]]:
    """(milliseconds, text); none for a function that has not run yet."""
    try:
        pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group, startTime=since)
        events = [(event["timestamp"], event["message"].rstrip()) for page in pages for event in page["events"]]
    except ClientError as error:
        if error.response["Error"]["Code"] == "ResourceNotFoundException":
            return []
        raise
    return [(stamp, text) for stamp, text in events if text and not text.startswith(NOISE)]
