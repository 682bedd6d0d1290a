"""Settings of the service's functions, and the one place where their dependencies are built, on the first call.

No function needs the settings or the rights of another, so each part has a builder of its own.
"""

import os
import secrets
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache

from functions.account_linking_service.door import CredentialsDoor
from functions.account_linking_service.model import Schedule
from functions.account_linking_service.personal import PersonalData
from functions.account_linking_service.register import LinkRegister
from functions.account_linking_service.repair import LinkRepair
from functions.account_linking_service.service import AccountLinking
from functions.common import aws
from functions.common.clock import SystemClock
from functions.common.outbox import Outbox
from functions.common.publisher import BrokerPublisher
from functions.common.rpc.client import Stub, channel_to
from functions.common.settings import SettingsError, load
from functions.contracts.rpc import broker_pb2, providers_pb2

MIN_LOOKUP_KEY_CHARS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkingSettings:
    """AccountApi."""

    links_table: str
    link_keys_table: str
    credentials_key_id: str
    lookup_key: str = field(repr=False)
    """Keys the hash by which an account is found by its number; changing it makes linked accounts linkable twice."""
    rpc_providers: str
    rpc_broker: str
    max_links_per_user: int = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterSettings:
    """AccountRpc."""

    links_table: str
    link_keys_table: str
    lookup_key: str = field(repr=False)
    """The one of LinkingSettings."""
    rpc_broker: str
    refresh_interval_seconds: int = 21_600


@dataclass(frozen=True, slots=True, kw_only=True)
class RepairSettings:
    """AccountApi and AccountRpc: what keeps another login or a code."""

    links_table: str
    link_keys_table: str
    credentials_key_id: str
    rpc_broker: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonalSettings:
    """AccountRpc: what exports and deletes all that is kept of a user."""

    links_table: str
    link_keys_table: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialsSettings:
    """CredentialsRpc."""

    links_table: str
    link_keys_table: str
    credentials_key_id: str
    credentials_previous_key_ids: tuple[str, ...] = ()
    """Master keys that were replaced: what they wrapped is sealed anew when it is opened."""
    key_max_age_days: int = 90
    """So is what an older data key encrypts."""


@cache
def linking() -> AccountLinking:
    from functions.account_linking_service.linking_table import LinkingTable
    from functions.account_linking_service.providers import RegisteredProviders
    from functions.account_linking_service.vault import KmsVault

    settings = load(LinkingSettings, os.environ)
    clock = SystemClock()
    links = LinkingTable(settings.links_table, settings.link_keys_table, clock)
    registry = Stub(providers_pb2.DESCRIPTOR.services_by_name["Providers"], channel_to(settings.rpc_providers))
    return AccountLinking(
        links=links,
        providers=RegisteredProviders(registry),
        sealer=KmsVault(aws.kms, settings.credentials_key_id, clock),
        outbox=Outbox(links, _publisher(settings.rpc_broker)),
        clock=clock,
        lookup_key=_lookup_key(settings.lookup_key),
        max_links=settings.max_links_per_user,
    )


@cache
def repair() -> LinkRepair:
    from functions.account_linking_service.linking_table import LinkingTable
    from functions.account_linking_service.vault import KmsVault

    settings = load(RepairSettings, os.environ)
    clock = SystemClock()
    links = LinkingTable(settings.links_table, settings.link_keys_table, clock)
    vault = KmsVault(aws.kms, settings.credentials_key_id, clock)
    return LinkRepair(links, vault, Outbox(links, _publisher(settings.rpc_broker)), clock)


@cache
def register() -> LinkRegister:
    from functions.account_linking_service.linking_table import LinkingTable

    settings = load(RegisterSettings, os.environ)
    clock = SystemClock()
    links = LinkingTable(settings.links_table, settings.link_keys_table, clock)
    schedule = Schedule(timedelta(seconds=settings.refresh_interval_seconds), secrets.SystemRandom().random)
    outbox = Outbox(links, _publisher(settings.rpc_broker))
    return LinkRegister(links, outbox, clock, schedule, lookup_key=_lookup_key(settings.lookup_key))


@cache
def personal() -> PersonalData:
    from functions.account_linking_service.personal_table import UserLinkTable

    settings = load(PersonalSettings, os.environ)
    return PersonalData(UserLinkTable(settings.links_table, settings.link_keys_table, SystemClock()))


@cache
def door() -> CredentialsDoor:
    from functions.account_linking_service.secrets_table import SealedLinkTable
    from functions.account_linking_service.vault import KmsVault

    settings = load(CredentialsSettings, os.environ)
    clock = SystemClock()
    links = SealedLinkTable(settings.links_table, settings.link_keys_table, clock)
    vault = KmsVault(aws.kms, settings.credentials_key_id, clock, settings.credentials_previous_key_ids)
    return CredentialsDoor(links, vault, clock, timedelta(days=settings.key_max_age_days))


def _lookup_key(text: str) -> bytes:
    if len(text) < MIN_LOOKUP_KEY_CHARS:
        raise SettingsError(f"LOOKUP_KEY: shorter than {MIN_LOOKUP_KEY_CHARS} characters")
    return text.encode()


def _publisher(target: str) -> BrokerPublisher:
    return BrokerPublisher(Stub(broker_pb2.DESCRIPTOR.services_by_name["Broker"], channel_to(target)))
