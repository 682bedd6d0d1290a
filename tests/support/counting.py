"""What one refresh costs, counted where it leaves the process: calls of AWS, round trips to Redis, RPCs.

Both services that keep a record of the link run here with their own code and tables (in moto), and talk through the RPC
envelope; only the utility and the registry answer by script.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Any
from unittest.mock import patch

import boto3
from botocore.client import BaseClient
from moto import mock_aws
from redis.connection import AbstractConnection

from functions.account_linking_service.credentials import Secrets
from functions.account_linking_service.customer_params import CustomerParam
from functions.account_linking_service.door import CredentialsDoor
from functions.account_linking_service.items_table import LinkItem, LinkKeyItem
from functions.account_linking_service.linking_table import LinkingTable
from functions.account_linking_service.model import Schedule
from functions.account_linking_service.personal import PersonalData
from functions.account_linking_service.personal_table import UserLinkTable
from functions.account_linking_service.register import LinkRegister
from functions.account_linking_service.repair import LinkRepair
from functions.account_linking_service.rpc import AccountsServicer, CredentialsServicer
from functions.account_linking_service.secrets_table import SealedLinkTable
from functions.account_linking_service.service import AccountLinking
from functions.account_linking_service.vault import KmsVault
from functions.bill_aggregation_service.breaker import Breaker, Limits
from functions.bill_aggregation_service.clients import AccountsClient, CredentialsClient, ProvidersClient
from functions.bill_aggregation_service.item_table import Item
from functions.bill_aggregation_service.model import BillContent, FetchedBill, LinkId, UserId
from functions.bill_aggregation_service.protection import Protection
from functions.bill_aggregation_service.refresh import Refresher
from functions.bill_aggregation_service.table import BillTable
from functions.common.cache import Cache
from functions.common.outbox import Outbox
from functions.common.rpc.client import Stub
from functions.common.rpc.server import LambdaRpcHandler, RpcContext
from functions.contracts.rpc import accounts_pb2, providers_pb2
from functions.contracts.rpc.providers_pb2 import GetProviderRequest, Provider, ProviderHealth
from tests.support.fakes import FakeClock, FakePublisher, LoopbackChannel

BILLS, LINKS, KEYS = "bills", "links", "link-keys"
READS = {"GetItem", "BatchGetItem", "Query"}
PROVIDER, NUMBER = "prv_northwind_power", "NW12345678"
USER = UserId("usr_01JD3N8Z6W3V9K4T7Q2M5XBRPC")


@dataclass
class Counts:
    calls: list[tuple[str, str, bool]] = field(default_factory=list)
    """Of AWS: which table (or service), which operation, whether it was conditional."""
    redis: int = 0
    rpcs: Counter[str] = field(default_factory=Counter)

    def reads(self, table: str) -> list[str]:
        return [operation for name, operation, _ in self.calls if name == table and operation in READS]

    def writes(self, table: str) -> list[tuple[str, bool]]:
        """Operation, and whether it was conditional."""
        return [(operation, sure) for name, operation, sure in self.calls if name == table and operation not in READS]


@dataclass
class Refreshing:
    """A link of twelve bills, and what refreshes it."""

    refresher: Refresher
    channels: list[LoopbackChannel]
    clock: FakeClock
    link_id: LinkId
    bills: list[FetchedBill]

    def change_a_bill(self) -> None:
        """The utility has another amount of one bill from now on."""
        known = self.bills[3]
        self.bills[3] = replace(known, content=replace(known.content, amount_minor=known.content.amount_minor + 1))

    def refresh(self) -> Counts:
        """What one refresh cost, in an instance that is warm: connected, and with the registry's entry at hand."""
        self.clock.advance(timedelta(hours=6))
        counts = Counts()
        for channel in self.channels:
            channel.calls.clear()
        with counting(counts):
            self.refresher.refresh_link(USER, self.link_id)
        counts.rpcs.update(call.method.rpartition("/")[2] for channel in self.channels for call in channel.calls)
        return counts


@contextmanager
def counting(counts: Counts) -> Iterator[None]:
    """Counts what leaves this process meanwhile: calls of AWS and round trips to Redis."""
    call, send = vars(BaseClient)["_make_api_call"], vars(AbstractConnection)["send_packed_command"]

    def called(self: BaseClient, operation: str, params: dict[str, Any]) -> Any:
        batched = iter(params.get("RequestItems") or ())
        where = params.get("TableName") or next(batched, self.meta.service_model.service_name)
        counts.calls.append((where, operation, "ConditionExpression" in params))
        return call(self, operation, params)

    def sent(self: AbstractConnection, *args: Any, **kwargs: Any) -> Any:
        counts.redis += 1
        return send(self, *args, **kwargs)

    with (
        patch.object(BaseClient, "_make_api_call", called),
        patch.object(AbstractConnection, "send_packed_command", sent),
    ):
        yield


class Registry:
    def GetProvider(self, request: GetProviderRequest, _context: RpcContext) -> Provider:
        return Provider(
            provider_id=request.provider_id,
            name="Northwind Power",
            service_types=["electricity"],
            currency="USD",
            time_zone="America/New_York",
            adapter="oauth_json",
            base_url="https://power.example",
            health=ProviderHealth(state="up"),
        )


@contextmanager
def refreshing(cache_url: str) -> Iterator[Refreshing]:
    """A link that was read twice: once when all was new, and once with nothing new."""
    with ExitStack() as stack:
        stack.enter_context(mock_aws())
        world = _world(cache_url)
        for _ in range(2):
            world.refresh()
        yield world


def _world(cache_url: str) -> Refreshing:
    clock, publisher = FakeClock(), FakePublisher()
    channels, link_id = _accounts(clock, publisher)
    table, cache = BillTable(BILLS, clock), Cache(cache_url, 2000)
    Item.create_table(wait=True)
    accounts, credentials, providers = channels
    registry = ProvidersClient(Stub(providers_pb2.DESCRIPTOR.services_by_name["Providers"], providers))
    services = accounts_pb2.DESCRIPTOR.services_by_name
    bills = [_bill(number) for number in range(12)]
    refresher = Refresher(
        store=table,
        credentials=CredentialsClient(Stub(services["Credentials"], credentials)),
        providers=registry,
        accounts=AccountsClient(Stub(services["Accounts"], accounts)),
        fetch=lambda _access, _seconds: list(bills),
        outbox=Outbox(table, publisher),
        cache=cache,
        clock=clock,
        fetch_seconds=20.0,
        guard=Protection(Breaker(cache, Limits()), registry, clock, fair_seconds=10.0).guard,
        sleep=lambda _: None,
    )
    return Refreshing(refresher, channels, clock, link_id, bills)


def _accounts(clock: FakeClock, publisher: FakePublisher) -> tuple[list[LoopbackChannel], LinkId]:
    kms = boto3.client("kms", "us-east-1")
    vault = KmsVault(lambda: kms, kms.create_key()["KeyMetadata"]["KeyId"], clock)
    table = LinkingTable(LINKS, KEYS, clock)
    LinkItem.create_table(wait=True)
    LinkKeyItem.create_table(wait=True)
    outbox, lookup_key = Outbox(table, publisher), b"a lookup key of the tests"
    linking = AccountLinking(table, _Params(), vault, outbox, clock, lookup_key=lookup_key, max_links=3)
    wanted = [CustomerParam("account_number", "NW[0-9]{8}", 10, 10)]
    secrets = Secrets({"account_number": NUMBER}, "ada", "correct horse")
    link = linking.link_account(USER, PROVIDER, wanted, secrets, None)  # type: ignore[arg-type]  # each service has its own NewTypes
    register = LinkRegister(table, outbox, clock, Schedule(timedelta(hours=6), lambda: 0.5), lookup_key=lookup_key)
    repair, personal = LinkRepair(table, vault, outbox, clock), PersonalData(UserLinkTable(LINKS, KEYS, clock))
    door = CredentialsDoor(SealedLinkTable(LINKS, KEYS, clock), vault, clock, timedelta(days=90))
    services = accounts_pb2.DESCRIPTOR.services_by_name
    handlers = [
        LambdaRpcHandler(services["Accounts"], lambda: AccountsServicer(register, repair, personal)),
        LambdaRpcHandler(services["Credentials"], lambda: CredentialsServicer(door)),
        LambdaRpcHandler(providers_pb2.DESCRIPTOR.services_by_name["Providers"], Registry),
    ]
    return [LoopbackChannel(handler) for handler in handlers], LinkId(link.link_id)


class _Params:
    def customer_params(self, _provider_id: str) -> tuple[CustomerParam, ...]:
        return ()


def _bill(number: int) -> FetchedBill:
    start = date(2025, 3, 1) + timedelta(30 * number)
    content = BillContent(
        external_bill_id=f"B-{number}",
        service_type="electricity",
        due_date=start + timedelta(50),
        period_start=start,
        period_end=start + timedelta(29),
        amount_minor=1000 + number,
        currency="USD",
    )
    return FetchedBill(content)
