"""Enters the provider of imported files, on every target: bills from a Green Button file belong to a link there.

A file may come from any utility, so the codes are the standards' own for "none": country "ZZ" (CLDR), currency "XXX"
(ISO 4217). What a file leaves unsaid is read as its user is used to.
"""

from functions.common.migration import MigrationContext
from functions.utility_provider_service import bootstrap
from functions.utility_provider_service.model import Adapter, AuthType, ProviderFacts, ProviderId, ServiceType

FILES = ProviderFacts(
    provider_id=ProviderId("prv_green_button"),
    name="Green Button file",
    service_types=tuple(ServiceType),
    country="ZZ",
    currency="XXX",
    time_zone="UTC",
    adapter=Adapter.MANUAL,
    base_url="",
    auth_type=AuthType.NONE,
    customer_params=(),
)


def up(ctx: MigrationContext) -> None:
    bootstrap.registry().ensure_provider(FILES)
    ctx.log(f"{FILES.provider_id} is there")


def down(ctx: MigrationContext) -> None:
    bootstrap.registry().delete_provider(FILES.provider_id)
    ctx.log(f"{FILES.provider_id} is gone")
