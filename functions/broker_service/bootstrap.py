"""Settings of the broker, and the one place where its dependencies are built, on the first call."""

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from functions.broker_service.api_docs import ApiDocs
from functions.broker_service.service import Emitter, Jobs, JobTable, Refreshes
from functions.common import aws
from functions.common.clock import SystemClock
from functions.common.rpc.client import Stub, channel_to
from functions.common.settings import load
from functions.contracts.rpc import accounts_pb2

ACCOUNTS = accounts_pb2.DESCRIPTOR.services_by_name["Accounts"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    jobs_table: str
    events_topic: str
    """ARN of the SNS topic."""
    refresh_job_seconds: int = 900
    """After this a job counts as dead: it holds up no other, and links without a result have failed. Must be longer
    than the refresh queue's visibility time-out times its number of deliveries."""
    job_kept_seconds: int = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiSettings(Settings):
    rpc_accounts: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthSettings:
    version: str = "dev"
    """What is deployed, e.g. a commit."""


@cache
def version() -> str:
    return load(HealthSettings, os.environ).version


@cache
def api_docs() -> ApiDocs:
    return ApiDocs(Path(__file__).parent / "assets")


@cache
def jobs() -> Jobs:
    return Jobs(_table(), SystemClock())


@cache
def emitter() -> Emitter:
    from functions.broker_service.topic import SnsTopic

    return Emitter(SnsTopic(aws.sns(), load(Settings, os.environ).events_topic))


@cache
def refreshes() -> Refreshes:
    settings = load(ApiSettings, os.environ)
    return Refreshes(
        table=_table(),
        jobs=jobs(),
        accounts=Stub(ACCOUNTS, channel_to(settings.rpc_accounts)),
        publisher=emitter(),
        clock=SystemClock(),
        job_seconds=settings.refresh_job_seconds,
        kept_seconds=settings.job_kept_seconds,
    )


@cache
def _table() -> JobTable:
    from functions.broker_service.table import DynamoJobTable

    return DynamoJobTable(load(Settings, os.environ).jobs_table, SystemClock())
