"""Settings of the listener's functions, and the one place where their dependencies are built, on the first call."""

import os
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING

from functions.common import aws
from functions.common.clock import SystemClock
from functions.common.dead_letters import DeadLetterQueue
from functions.common.publisher import BrokerPublisher
from functions.common.rpc.client import Stub, channel_to
from functions.common.settings import load
from functions.contracts.rpc import (
    accounts_pb2,
    activity_pb2,
    bills_pb2,
    broker_pb2,
    providers_pb2,
    reminders_pb2,
    users_pb2,
    webhooks_pb2,
)
from functions.listener_service.activity import Activity, Auditing, PersonalActivity
from functions.listener_service.service import Notifying, Projecting, Purging, Refreshing
from functions.listener_service.sweeping import Sweeping

if TYPE_CHECKING:
    from functions.listener_service.table import DynamoAuditTable

ACCOUNTS = accounts_pb2.DESCRIPTOR.services_by_name["Accounts"]
ACTIVITY = activity_pb2.DESCRIPTOR.services_by_name["Activity"]
BILLS = bills_pb2.DESCRIPTOR.services_by_name["Bills"]
BROKER = broker_pb2.DESCRIPTOR.services_by_name["Broker"]
PROVIDERS = providers_pb2.DESCRIPTOR.services_by_name["Providers"]
REMINDERS = reminders_pb2.DESCRIPTOR.services_by_name["Reminders"]
USERS = users_pb2.DESCRIPTOR.services_by_name["Users"]
WEBHOOKS = webhooks_pb2.DESCRIPTOR.services_by_name["Webhooks"]
REMINDING_SECONDS = 25.0
"""Some hundred bills are judged and written in a call."""
UTILITY_SECONDS = 60.0
"""Reading bills and deleting them take long: bounded only by the function's own time."""
RECEIVER_SECONDS = 25.0
"""So does a round of receivers of webhooks that do not answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshSettings:
    rpc_bills: str
    rpc_broker: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectionSettings:
    rpc_bills: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifySettings:
    rpc_webhooks: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PurgeSettings:
    rpc_accounts: str
    rpc_activity: str
    rpc_bills: str
    rpc_broker: str
    rpc_users: str
    rpc_webhooks: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepSettings:
    rpc_accounts: str
    rpc_bills: str
    rpc_broker: str
    rpc_providers: str
    rpc_reminders: str
    rpc_users: str
    rpc_webhooks: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditSettings:
    audit_table: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepingSettings:
    audit_kept_days: int = 400
    """After an event: more than a year, so that what comes once a year can be compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetterSettings:
    """Every worker."""

    dead_letter_queue_url: str
    max_deliveries: int
    """The `maxReceiveCount` of the worker's queue."""


@cache
def dead_letters() -> DeadLetterQueue:
    settings = load(DeadLetterSettings, os.environ)
    return DeadLetterQueue(settings.dead_letter_queue_url, settings.max_deliveries, SystemClock(), aws.sqs)


@cache
def refreshing() -> Refreshing:
    settings = load(RefreshSettings, os.environ)
    bills = Stub(BILLS, channel_to(settings.rpc_bills), UTILITY_SECONDS)
    return Refreshing(bills, Stub(BROKER, channel_to(settings.rpc_broker)))


@cache
def projecting() -> Projecting:
    return Projecting(Stub(BILLS, channel_to(load(ProjectionSettings, os.environ).rpc_bills), UTILITY_SECONDS))


@cache
def notifying() -> Notifying:
    return Notifying(Stub(WEBHOOKS, channel_to(load(NotifySettings, os.environ).rpc_webhooks), RECEIVER_SECONDS))


@cache
def purging() -> Purging:
    settings = load(PurgeSettings, os.environ)
    return Purging(
        holders={
            "accounts": Stub(ACCOUNTS, channel_to(settings.rpc_accounts)),
            "bills": Stub(BILLS, channel_to(settings.rpc_bills), UTILITY_SECONDS),
            "jobs": Stub(BROKER, channel_to(settings.rpc_broker)),
            "webhooks": Stub(WEBHOOKS, channel_to(settings.rpc_webhooks)),
            # last: what the others do may be told of
            "activity": Stub(ACTIVITY, channel_to(settings.rpc_activity)),
        },
        users=Stub(USERS, channel_to(settings.rpc_users)),
    )


@cache
def sweeping() -> Sweeping:
    settings = load(SweepSettings, os.environ)
    return Sweeping(
        accounts=Stub(ACCOUNTS, channel_to(settings.rpc_accounts)),
        bills=Stub(BILLS, channel_to(settings.rpc_bills)),
        reminders=Stub(REMINDERS, channel_to(settings.rpc_reminders), REMINDING_SECONDS),
        users=Stub(USERS, channel_to(settings.rpc_users)),
        providers=Stub(PROVIDERS, channel_to(settings.rpc_providers)),
        webhooks=Stub(WEBHOOKS, channel_to(settings.rpc_webhooks), RECEIVER_SECONDS),
        publisher=BrokerPublisher(Stub(BROKER, channel_to(settings.rpc_broker))),
        clock=SystemClock(),
    )


@cache
def auditing() -> Auditing:
    return Auditing(_audit_table(), timedelta(days=load(KeepingSettings, os.environ).audit_kept_days))


@cache
def activity() -> Activity:
    return Activity(_audit_table(), SystemClock())


@cache
def personal_activity() -> PersonalActivity:
    return PersonalActivity(_audit_table(), SystemClock())


@cache
def _audit_table() -> "DynamoAuditTable":
    from functions.listener_service.table import DynamoAuditTable

    return DynamoAuditTable(load(AuditSettings, os.environ).audit_table, SystemClock())
