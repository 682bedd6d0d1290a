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
from functions.account_linking_service.model import ProviderId, Schedule
from functions.account_linking_service.service import AccountLinking, CredentialsDoor, LinkRegister, PersonalData
from functions.account_linking_service.table import (
    LinkingTable,
    LinkItem,
    LinkKeyItem,
    LinkTable,
    SealedLinkTable,
    UserLinkTable,
)
from functions.account_linking_service.vault import KmsVault
from functions.common.errors import NotFound
from functions.common.outbox import Outbox
from tests.support.fakes import FakeClock, FakePublisher

LINKS, KEYS = "links", "link-keys"
INTERVAL = timedelta(hours=6)


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
    vault = KmsVault(kms, key_id)
    outbox = Outbox(table, publisher)
    register = LinkRegister(LinkTable(LINKS, clock), outbox, clock, Schedule(INTERVAL, lambda: 0.5))
    linking = AccountLinking(
        table, providers, vault, outbox, clock, lookup_key=b"a lookup key of the tests", max_links=3
    )
    door = CredentialsDoor(SealedLinkTable(LINKS, KEYS), vault)
    personal = PersonalData(UserLinkTable(LINKS, KEYS, clock))
    return World(kms, key_id, clock, publisher, providers, table, vault, linking, register, door, personal)
