"""Tables and a key in moto, the service on top of them, and its neighbours as fakes."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import cache

import boto3
import pytest
from moto import mock_aws
from mypy_boto3_kms import KMSClient

from functions.account_linking_service.customer_params import CustomerParam
from functions.account_linking_service.door import CredentialsDoor
from functions.account_linking_service.items_table import LinkItem, LinkKeyItem
from functions.account_linking_service.linking_table import LinkingTable
from functions.account_linking_service.model import ProviderId, Schedule
from functions.account_linking_service.personal import PersonalData
from functions.account_linking_service.personal_table import UserLinkTable
from functions.account_linking_service.register import LinkRegister
from functions.account_linking_service.repair import LinkRepair
from functions.account_linking_service.secrets_table import SealedLinkTable
from functions.account_linking_service.service import AccountLinking
from functions.account_linking_service.vault import KmsVault
from functions.common.errors import NotFound
from functions.common.outbox import Outbox
from tests.support.fakes import FakeClock, FakePublisher

LINKS, KEYS = "links", "link-keys"
INTERVAL = timedelta(hours=6)
MAX_KEY_AGE = timedelta(days=90)
LOOKUP_KEY = b"a lookup key of the tests"


class FakeProviders:
    def __init__(self) -> None:
        self.wanted: dict[str, tuple[CustomerParam, ...]] = {
            "prv_northwind_power": (
                CustomerParam("account_number", "NW[0-9]{8}", 10, 10),
                CustomerParam("pin", "[0-9]{4}", optional=True, secret=True),
            )
        }

    def customer_params(self, provider_id: ProviderId) -> tuple[CustomerParam, ...]:
        if provider_id not in self.wanted:
            raise NotFound("There is no such provider.")
        return self.wanted[provider_id]


@dataclass
class World:
    kms: KMSClient
    key_id: str
    clock: FakeClock
    publisher: FakePublisher
    providers: FakeProviders
    table: LinkingTable
    vault: KmsVault
    linking: AccountLinking
    repair: LinkRepair
    register: LinkRegister
    door: CredentialsDoor
    personal: PersonalData


@cache
def kms_client() -> KMSClient:
    """One for all tests: making a client takes longer than most of them."""
    return boto3.client("kms", "us-east-1")


@pytest.fixture
def kms() -> Iterator[KMSClient]:
    with mock_aws():
        yield kms_client()


@pytest.fixture
def key_id(kms: KMSClient) -> str:
    return kms.create_key()["KeyMetadata"]["KeyId"]


@pytest.fixture
def world(kms: KMSClient, key_id: str) -> World:
    clock, publisher, providers = FakeClock(), FakePublisher(), FakeProviders()
    table = LinkingTable(LINKS, KEYS, clock)
    LinkItem.create_table(wait=True)
    LinkKeyItem.create_table(wait=True)
    vault = KmsVault(lambda: kms, key_id, clock)
    outbox = Outbox(table, publisher)
    return World(
        kms=kms,
        key_id=key_id,
        clock=clock,
        publisher=publisher,
        providers=providers,
        table=table,
        vault=vault,
        linking=AccountLinking(table, providers, vault, outbox, clock, lookup_key=LOOKUP_KEY, max_links=3),
        repair=LinkRepair(table, vault, outbox, clock),
        register=LinkRegister(table, outbox, clock, Schedule(INTERVAL, lambda: 0.5), lookup_key=LOOKUP_KEY),
        door=CredentialsDoor(SealedLinkTable(LINKS, KEYS, clock), vault, clock, MAX_KEY_AGE),
        personal=PersonalData(UserLinkTable(LINKS, KEYS, clock)),
    )
