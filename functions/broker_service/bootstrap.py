"""Settings of the broker, and the one place where its dependencies are built, on the first call."""

import os
import random
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from functions.broker_service.api_docs import ApiDocs
from functions.broker_service.emitter import Emitter
from functions.broker_service.service import Jobs, JobTable, Refreshes
from functions.common import aws
from functions.common.clock import SystemClock
from functions.common.rpc.client import Stub, channel_to
from functions.common.settings import load
from functions.contracts.rpc import accounts_pb2, providers_pb2, webhooks_pb2

if TYPE_CHECKING:
    from functions.broker_service.announcements import Announcements
    from functions.broker_service.sending import Sending
    from functions.broker_service.webhook_table import DynamoWebhookTable
    from functions.broker_service.webhooks import Webhooks

ACCOUNTS = accounts_pb2.DESCRIPTOR.services_by_name["Accounts"]
PROVIDERS = providers_pb2.DESCRIPTOR.services_by_name["Providers"]
WEBHOOKS = webhooks_pb2.DESCRIPTOR.services_by_name["Webhooks"]


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
class AnnouncementSettings(Settings):
    rpc_accounts: str
    rpc_providers: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthSettings:
    version: str = "dev"
    """What is deployed, e.g. a commit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookSettings:
    webhooks_table: str
    webhook_key_id: str
    """Of the KMS key that secrets are encrypted by."""
    receiver_origin: str = ""
    """Scheme, host and port of the one receiver that may be plain HTTP and on this machine; empty: none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookApiSettings(WebhookSettings):
    rpc_webhooks: str
    max_webhooks_per_user: int = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class SendingSettings(WebhookSettings):
    webhook_pause_seconds: int = 60
    """After the first failed attempt; each further pause is three times as long, up to eight hours."""


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
def announcements() -> "Announcements":
    from functions.broker_service.announcement_table import DynamoWebhookMarks
    from functions.broker_service.announcements import Announcements

    settings = load(AnnouncementSettings, os.environ)
    return Announcements(
        marks=DynamoWebhookMarks(settings.jobs_table, SystemClock()),
        providers=Stub(PROVIDERS, channel_to(settings.rpc_providers)),
        accounts=Stub(ACCOUNTS, channel_to(settings.rpc_accounts)),
        publisher=emitter(),
        clock=SystemClock(),
    )


@cache
def _table() -> JobTable:
    from functions.broker_service.table import DynamoJobTable

    return DynamoJobTable(load(Settings, os.environ).jobs_table, SystemClock())


@cache
def webhooks() -> "Webhooks":
    from functions.broker_service.webhook_vault import KmsSecrets
    from functions.broker_service.webhooks import Reach, Webhooks

    settings = load(WebhookApiSettings, os.environ)
    return Webhooks(
        table=_webhook_table(settings.webhooks_table),
        sealer=KmsSecrets(aws.kms, settings.webhook_key_id),
        sender=Stub(WEBHOOKS, channel_to(settings.rpc_webhooks)),
        clock=SystemClock(),
        reach=Reach(sandbox_origin=settings.receiver_origin),
        max_webhooks=settings.max_webhooks_per_user,
    )


@cache
def sending() -> "Sending":
    from functions.broker_service.sending import Sending
    from functions.broker_service.webhook_sender import WebhookSender
    from functions.broker_service.webhook_vault import KmsSecrets

    settings = load(SendingSettings, os.environ)
    opener = KmsSecrets(aws.kms, settings.webhook_key_id)
    return Sending(
        table=_webhook_table(settings.webhooks_table),
        sender=WebhookSender(opener, SystemClock(), settings.receiver_origin),
        clock=SystemClock(),
        first_pause=timedelta(seconds=settings.webhook_pause_seconds),
        random=random.random,
    )


def _webhook_table(name: str) -> "DynamoWebhookTable":
    from functions.broker_service.webhook_table import DynamoWebhookTable

    return DynamoWebhookTable(name, SystemClock())
