"""Settings of the registry, and the one place where its dependencies are built, on the first call."""

import os
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from functions.common.clock import SystemClock
from functions.common.settings import load
from functions.utility_provider_service.service import Registry

if TYPE_CHECKING:
    from functions.common.kms_secrets import KmsSecrets
    from functions.utility_provider_service.table import DynamoProviders
    from functions.utility_provider_service.webhook_secrets import SecretMaking
    from functions.utility_provider_service.webhooks import Verifying


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    providers_table: str
    sandbox_origin: str = ""
    """Scheme, host and port of the sandbox utilities as the functions see them. Empty: there is no sandbox."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportSettings(Settings):
    rpc_broker: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretSettings:
    provider_webhook_key_id: str
    """Of the KMS key that utilities' webhook secrets are encrypted by."""


@cache
def registry() -> Registry:
    return Registry(_providers(), SystemClock(), load(Settings, os.environ).sandbox_origin)


@cache
def reported_registry() -> Registry:
    """The registry where health is reported, which emits."""
    from functions.common.outbox import Outbox
    from functions.common.publisher import BrokerPublisher
    from functions.common.rpc.client import Stub, channel_to
    from functions.contracts.rpc import broker_pb2

    settings = load(ReportSettings, os.environ)
    broker = Stub(broker_pb2.DESCRIPTOR.services_by_name["Broker"], channel_to(settings.rpc_broker))
    outbox = Outbox(_providers(), BrokerPublisher(broker))
    return Registry(_providers(), SystemClock(), settings.sandbox_origin, outbox=outbox)


@cache
def secret_making() -> "SecretMaking":
    from functions.utility_provider_service.webhook_secrets import SecretMaking

    return SecretMaking(registry(), _providers(), _kms_secrets(), SystemClock())


@cache
def verifying() -> "Verifying":
    from functions.utility_provider_service.webhooks import Verifying

    return Verifying(_providers(), _kms_secrets(), SystemClock())


@cache
def _providers() -> "DynamoProviders":
    from functions.utility_provider_service.table import DynamoProviders

    return DynamoProviders(load(Settings, os.environ).providers_table, SystemClock())


def _kms_secrets() -> "KmsSecrets":
    from functions.common import aws
    from functions.common.kms_secrets import KmsSecrets

    return KmsSecrets(aws.kms, load(SecretSettings, os.environ).provider_webhook_key_id, "provider_id")
