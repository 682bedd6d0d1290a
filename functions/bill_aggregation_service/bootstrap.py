"""Settings of the aggregator, and the one place where its dependencies are built, each on its first use."""

import os
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from functions.common.clock import SystemClock
from functions.common.settings import load

if TYPE_CHECKING:
    from functions.bill_aggregation_service.adapters.base import HttpClient
    from functions.bill_aggregation_service.personal import PersonalData
    from functions.bill_aggregation_service.refresh import Accounts, Refresher
    from functions.bill_aggregation_service.service import Bills
    from functions.bill_aggregation_service.table import BillTable
    from functions.common.cache import Cache
    from functions.common.outbox import Outbox

CACHE_SPACE = "bills"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    bills_table: str
    rpc_accounts: str
    rpc_credentials: str
    rpc_providers: str
    rpc_broker: str
    cache_url: str = ""
    cache_timeout_ms: int = 50
    bills_cache_seconds: int = 300
    source_fresh_seconds: int = 21_600
    """Soft age: data younger than this is `cached`, older is `stale`."""
    due_soon_days: int = 7
    provider_timeout_seconds: float = 10.0
    """Of one call."""
    fetch_timeout_seconds: float = 20.0
    """Of all calls that reading one account takes."""
    sandbox_origin: str = ""
    """The one origin that may be plain http, e.g. http://localhost:4566."""


@cache
def settings() -> Settings:
    return load(Settings, os.environ)


@cache
def service() -> "Bills":
    from functions.bill_aggregation_service.service import Bills

    return Bills(
        store=table(),
        cache=answer_cache(),
        clock=SystemClock(),
        live=lambda: (refresher(), accounts()),
        cache_seconds=settings().bills_cache_seconds,
        fresh_seconds=settings().source_fresh_seconds,
        due_soon_days=settings().due_soon_days,
    )


@cache
def refresher() -> "Refresher":
    from functions.bill_aggregation_service.adapters.registry import Utilities
    from functions.bill_aggregation_service.clients import CredentialsClient, ProvidersClient
    from functions.bill_aggregation_service.refresh import Refresher
    from functions.common.rpc.client import Stub, channel_to
    from functions.contracts.rpc import accounts_pb2, providers_pb2

    credentials = accounts_pb2.DESCRIPTOR.services_by_name["Credentials"]
    providers = providers_pb2.DESCRIPTOR.services_by_name["Providers"]
    return Refresher(
        store=table(),
        credentials=CredentialsClient(Stub(credentials, channel_to(settings().rpc_credentials))),
        providers=ProvidersClient(Stub(providers, channel_to(settings().rpc_providers))),
        accounts=accounts(),
        fetch=Utilities(connect).fetch,
        outbox=outbox(),
        cache=answer_cache(),
        clock=SystemClock(),
        fetch_seconds=settings().fetch_timeout_seconds,
    )


@cache
def personal() -> "PersonalData":
    from functions.bill_aggregation_service.personal import PersonalData

    return PersonalData(table(), answer_cache())


@cache
def accounts() -> "Accounts":
    from functions.bill_aggregation_service.clients import AccountsClient
    from functions.common.rpc.client import Stub, channel_to
    from functions.contracts.rpc import accounts_pb2

    service = accounts_pb2.DESCRIPTOR.services_by_name["Accounts"]
    return AccountsClient(Stub(service, channel_to(settings().rpc_accounts)))


@cache
def outbox() -> "Outbox":
    from functions.common.outbox import Outbox
    from functions.common.publisher import BrokerPublisher
    from functions.common.rpc.client import Stub, channel_to
    from functions.contracts.rpc import broker_pb2

    broker = broker_pb2.DESCRIPTOR.services_by_name["Broker"]
    return Outbox(table(), BrokerPublisher(Stub(broker, channel_to(settings().rpc_broker))))


@cache
def table() -> "BillTable":
    from functions.bill_aggregation_service.table import BillTable

    return BillTable(settings().bills_table, SystemClock())


@cache
def answer_cache() -> "Cache":
    from functions.common.cache import Cache

    return Cache(settings().cache_url, settings().cache_timeout_ms)


def connect(base_url: str, seconds: float) -> "HttpClient":
    from functions.bill_aggregation_service.adapters.http_client import RequestsClient

    return RequestsClient(
        base_url,
        seconds,
        call_seconds=settings().provider_timeout_seconds,
        sandbox_origin=settings().sandbox_origin,
    )
