"""The one place where the dependencies of the aggregator's functions are built, each on its first use.

No function needs the settings, the rights or the libraries of another: only what BillRpc builds speaks with utilities.
"""

import os
import time
from datetime import timedelta
from functools import cache, partial
from typing import TYPE_CHECKING

from functions.bill_aggregation_service.settings import (
    DeadLetterSettings,
    FilesSettings,
    ImportSettings,
    LiveSettings,
    OutboxSettings,
    ProtectionSettings,
    ReadingSettings,
    RefreshSettings,
    ReminderSettings,
    StoreSettings,
)
from functions.common.clock import SystemClock
from functions.common.errors import Unavailable
from functions.common.settings import SettingsError, load

if TYPE_CHECKING:
    from collections.abc import Callable

    from functions.bill_aggregation_service.adapters.registry import Connection, Utilities
    from functions.bill_aggregation_service.answers import Answers
    from functions.bill_aggregation_service.clients import LiveReadsClient, RenewalsClient
    from functions.bill_aggregation_service.documents import Documents
    from functions.bill_aggregation_service.exports import Exports
    from functions.bill_aggregation_service.file_store import S3Files
    from functions.bill_aggregation_service.import_table import ImportTable
    from functions.bill_aggregation_service.imports import Importer
    from functions.bill_aggregation_service.live import LiveReader
    from functions.bill_aggregation_service.personal import PersonalData
    from functions.bill_aggregation_service.projection import Projection
    from functions.bill_aggregation_service.protection import HealthReports, Protection
    from functions.bill_aggregation_service.refresh import Refresher
    from functions.bill_aggregation_service.reminders import Reminders
    from functions.bill_aggregation_service.renewal import Renewal
    from functions.bill_aggregation_service.service import Bills, LiveReads
    from functions.bill_aggregation_service.table import BillTable
    from functions.bill_aggregation_service.uploads import ImportWork, Uploads
    from functions.common.cache import Cache
    from functions.common.dead_letters import DeadLetterQueue
    from functions.common.outbox import Outbox
    from functions.common.publisher import Publisher

CACHE_SPACE = "bills"
MIN_SECRET_CHARS = 16
RENEWAL_SECONDS = 2.0
"""To hand a renewal over, and then for it to read the table."""


# --- BillApi ---


@cache
def service() -> "Bills":
    return reading(live_reader)


def answers() -> "Answers":
    from functions.bill_aggregation_service.answers import Answers

    return Answers(service())


@cache
def renewals() -> "RenewalsClient":
    from functions.bill_aggregation_service.clients import RenewalsClient
    from functions.common.rpc.client import Stub, channel_to
    from functions.contracts.rpc import bills_pb2

    bills = bills_pb2.DESCRIPTOR.services_by_name["Bills"]
    return RenewalsClient(Stub(bills, channel_to(load(LiveSettings, os.environ).rpc_bills), RENEWAL_SECONDS))


def reading(live: "Callable[[], LiveReads]") -> "Bills":
    from functions.bill_aggregation_service.service import Bills
    from functions.common.cursor import SignedCursors

    settings = load(ReadingSettings, os.environ)
    if len(settings.cursor_secret) < MIN_SECRET_CHARS:
        raise SettingsError(f"CURSOR_SECRET: shorter than {MIN_SECRET_CHARS} characters")
    return Bills(
        store=table(),
        cache=answer_cache(),
        clock=SystemClock(),
        cursors=SignedCursors(settings.cursor_secret.encode()),
        live=live,
        outbox=outbox,
        soft=timedelta(seconds=settings.answer_soft_seconds),
        hard=timedelta(seconds=settings.answer_hard_seconds),
        fresh_seconds=settings.source_fresh_seconds,
        due_soon_days=settings.due_soon_days,
    )


@cache
def live_reader() -> "LiveReader":
    from functions.bill_aggregation_service.live import LiveReader

    return LiveReader(table(), live_reads())


@cache
def live_reads() -> "LiveReadsClient":
    from functions.bill_aggregation_service.clients import LiveReadsClient
    from functions.bill_aggregation_service.service import LIVE_SECONDS
    from functions.common.rpc.client import Stub, channel_to
    from functions.contracts.rpc import bills_pb2

    bills = bills_pb2.DESCRIPTOR.services_by_name["Bills"]
    return LiveReadsClient(Stub(bills, channel_to(load(LiveSettings, os.environ).rpc_bills), LIVE_SECONDS))


# --- BillRpc ---


@cache
def refresher() -> "Refresher":
    from functions.bill_aggregation_service.clients import AccountsClient, CredentialsClient, ProvidersClient
    from functions.bill_aggregation_service.refresh import Refresher
    from functions.common.rpc.client import Stub, channel_to
    from functions.contracts.rpc import accounts_pb2, providers_pb2

    settings = load(RefreshSettings, os.environ)
    accounts = accounts_pb2.DESCRIPTOR.services_by_name["Accounts"]
    credentials = accounts_pb2.DESCRIPTOR.services_by_name["Credentials"]
    providers = providers_pb2.DESCRIPTOR.services_by_name["Providers"]
    registry = ProvidersClient(Stub(providers, channel_to(settings.rpc_providers)))
    return Refresher(
        store=table(),
        credentials=CredentialsClient(Stub(credentials, channel_to(settings.rpc_credentials))),
        providers=registry,
        accounts=AccountsClient(Stub(accounts, channel_to(settings.rpc_accounts))),
        fetch=utilities().fetch,
        outbox=outbox(),
        cache=answer_cache(),
        clock=SystemClock(),
        fetch_seconds=settings.fetch_timeout_seconds,
        guard=protection(registry, settings.provider_timeout_seconds).guard,
    )


@cache
def utilities() -> "Utilities":
    from functions.bill_aggregation_service.adapters.registry import Utilities

    return Utilities(partial(connect, load(RefreshSettings, os.environ)))


@cache
def documents() -> "Documents":
    from functions.bill_aggregation_service.documents import Documents

    return Documents(table(), refresher(), utilities().document)


def protection(reports: "HealthReports", call_seconds: float) -> "Protection":
    from functions.bill_aggregation_service.breaker import Breaker, Limits
    from functions.bill_aggregation_service.protection import Protection

    settings = load(ProtectionSettings, os.environ)
    limits = Limits(
        places=settings.provider_places,
        per_minute=settings.provider_per_minute,
        window_ms=settings.breaker_window_seconds * 1000,
        first_pause_ms=settings.breaker_pause_seconds * 1000,
    )
    return Protection(Breaker(answer_cache(), limits), reports, SystemClock(), fair_seconds=call_seconds)


def connect(settings: RefreshSettings, base_url: str, seconds: float) -> "Connection":
    from functions.bill_aggregation_service.adapters.http_client import UtilityClient

    return UtilityClient(
        base_url,
        seconds,
        call_seconds=settings.provider_timeout_seconds,
        sandbox_origin=settings.sandbox_origin,
    )


@cache
def projection() -> "Projection":
    from functions.bill_aggregation_service.projection import Projection

    return Projection(table(), answer_cache())


@cache
def personal() -> "PersonalData":
    from functions.bill_aggregation_service.personal import PersonalData

    return PersonalData(table(), answer_cache())


@cache
def renewal() -> "Renewal":
    from functions.bill_aggregation_service.answers import Answers
    from functions.bill_aggregation_service.renewal import Renewal

    return Renewal(Answers(reading(no_live_reads)), answer_cache(), publisher(), SystemClock())


def no_live_reads() -> "LiveReads":
    raise Unavailable("An answer that is kept is no live read.")


@cache
def outbox() -> "Outbox":
    from functions.common.outbox import Outbox

    return Outbox(table(), publisher())


@cache
def publisher() -> "Publisher":
    from functions.common.publisher import BrokerPublisher
    from functions.common.rpc.client import Stub, channel_to
    from functions.contracts.rpc import broker_pb2

    broker = broker_pb2.DESCRIPTOR.services_by_name["Broker"]
    return BrokerPublisher(Stub(broker, channel_to(load(OutboxSettings, os.environ).rpc_broker)))


# --- BillFilesApi, ImportWorker ---


@cache
def importer() -> "Importer":
    from functions.bill_aggregation_service.clients import ProvidersClient
    from functions.bill_aggregation_service.file_clients import FileAccountsClient, ProfilesClient
    from functions.bill_aggregation_service.imports import Importer
    from functions.common.rpc.client import Stub, channel_to
    from functions.contracts.rpc import accounts_pb2, providers_pb2, users_pb2

    settings = load(ImportSettings, os.environ)
    accounts = accounts_pb2.DESCRIPTOR.services_by_name["Accounts"]
    providers = providers_pb2.DESCRIPTOR.services_by_name["Providers"]
    users = users_pb2.DESCRIPTOR.services_by_name["Users"]
    return Importer(
        store=table(),
        accounts=FileAccountsClient(Stub(accounts, channel_to(settings.rpc_accounts))),
        providers=ProvidersClient(Stub(providers, channel_to(settings.rpc_providers))),
        profiles=ProfilesClient(Stub(users, channel_to(settings.rpc_users))),
        outbox=outbox(),
        cache=answer_cache(),
        clock=SystemClock(),
        usual_currency=settings.import_currency,
        sleep=time.sleep,
    )


@cache
def uploads() -> "Uploads":
    from functions.bill_aggregation_service.file_store import SqsQueue
    from functions.bill_aggregation_service.uploads import Uploads

    queue = SqsQueue(load(FilesSettings, os.environ).import_queue_url)
    return Uploads(import_jobs(), files(), queue, importer(), SystemClock())


@cache
def exports() -> "Exports":
    from functions.bill_aggregation_service.exports import Exports

    return Exports(table(), files, SystemClock(), load(FilesSettings, os.environ).due_soon_days)


@cache
def import_work() -> "ImportWork":
    from functions.bill_aggregation_service.uploads import ImportWork

    return ImportWork(import_jobs(), files(), importer(), SystemClock())


@cache
def import_jobs() -> "ImportTable":
    from functions.bill_aggregation_service.import_table import ImportTable

    return ImportTable(load(StoreSettings, os.environ).bills_table, SystemClock())


@cache
def files() -> "S3Files":
    from functions.bill_aggregation_service.file_store import S3Files

    return S3Files(load(ImportSettings, os.environ).files_bucket)


@cache
def dead_letters() -> "DeadLetterQueue":
    from functions.common import aws
    from functions.common.dead_letters import DeadLetterQueue

    settings = load(DeadLetterSettings, os.environ)
    return DeadLetterQueue(settings.dead_letter_queue_url, settings.max_deliveries, SystemClock(), aws.sqs)


# --- ReminderRpc ---


@cache
def reminders() -> "Reminders":
    from functions.bill_aggregation_service.reminder_clients import ReminderProfilesClient
    from functions.bill_aggregation_service.reminder_table import ReminderTable
    from functions.bill_aggregation_service.reminders import Reminders
    from functions.common.outbox import Outbox
    from functions.common.rpc.client import Stub, channel_to
    from functions.contracts.rpc import users_pb2

    settings = load(ReminderSettings, os.environ)
    store = ReminderTable(settings.bills_table, SystemClock())
    users = users_pb2.DESCRIPTOR.services_by_name["Users"]
    return Reminders(
        store=store,
        profiles=ReminderProfilesClient(Stub(users, channel_to(settings.rpc_users))),
        outbox=Outbox(store, publisher()),
        clock=SystemClock(),
        usual_days=settings.due_soon_days,
    )


# --- every function ---


@cache
def table() -> "BillTable":
    from functions.bill_aggregation_service.table import BillTable

    return BillTable(load(StoreSettings, os.environ).bills_table, SystemClock())


@cache
def answer_cache() -> "Cache":
    from functions.common.cache import Cache

    settings = load(StoreSettings, os.environ)
    return Cache(settings.cache_url, settings.cache_timeout_ms)
