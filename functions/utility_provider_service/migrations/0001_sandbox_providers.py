"""Enters the four utilities of the sandbox, where it is deployed. Their facts are those of docs/sandbox.md."""

from functions.common.migration import MigrationContext
from functions.utility_provider_service import bootstrap
from functions.utility_provider_service.model import (
    Adapter,
    AuthType,
    CustomerParam,
    ProviderFacts,
    ProviderId,
    ServiceType,
)


def providers(base_url: str) -> tuple[ProviderFacts, ...]:
    """The utilities below `base_url`, which has no slash at its end."""
    return (
        ProviderFacts(
            provider_id=ProviderId("prv_northwind_power"),
            name="Northwind Power",
            service_types=(ServiceType.ELECTRICITY,),
            country="US",
            currency="USD",
            time_zone="America/New_York",
            adapter=Adapter.OAUTH_JSON,
            base_url=f"{base_url}/electricity",
            auth_type=AuthType.OAUTH_CLIENT_CREDENTIALS,
            customer_params=(_account_number("Account number", "NP-[0-9]{8}", "NP-10024817"),),
        ),
        ProviderFacts(
            provider_id=ProviderId("prv_greenline_gas"),
            name="Greenline Gas",
            service_types=(ServiceType.GAS,),
            country="DE",
            currency="EUR",
            time_zone="Europe/Berlin",
            adapter=Adapter.GREEN_BUTTON,
            base_url=f"{base_url}/gas",
            auth_type=AuthType.BASIC,
            customer_params=(_account_number("Customer number", "[0-9]{10}", "4410029375"),),
        ),
        ProviderFacts(
            provider_id=ProviderId("prv_clearwater"),
            name="Clearwater Utility",
            service_types=(ServiceType.WATER,),
            country="GB",
            currency="GBP",
            time_zone="Europe/London",
            adapter=Adapter.BBPS,
            base_url=f"{base_url}/water",
            auth_type=AuthType.API_KEY,
            customer_params=(_account_number("Account number", "CW[0-9]{7}[A-Z]", "CW4819302K"),),
        ),
        ProviderFacts(
            provider_id=ProviderId("prv_fibernet"),
            name="Fibernet",
            service_types=(ServiceType.INTERNET,),
            country="IN",
            currency="INR",
            time_zone="Asia/Kolkata",
            adapter=Adapter.CSV_STATEMENT,
            base_url=f"{base_url}/internet",
            auth_type=AuthType.BASIC,
            customer_params=(_account_number("Subscriber id", "FN[0-9]{8}", "FN20481537"),),
        ),
    )


def _account_number(label: str, regex: str, example: str) -> CustomerParam:
    length = len(example)
    return CustomerParam(
        name="account_number", label=label, regex=regex, min_length=length, max_length=length, example=example
    )


def up(ctx: MigrationContext) -> None:
    if ctx.env.get("SANDBOX") != "true":
        ctx.log("no sandbox here")
        return
    for facts in providers(ctx.env["SANDBOX_BASE_URL"].rstrip("/")):
        bootstrap.registry().ensure_provider(facts)
        ctx.log(f"{facts.provider_id} is at {facts.base_url}")


def after(ctx: MigrationContext) -> None:
    """After every `make migrate`: a new deploy may have given the API, and so the sandbox, another address."""
    up(ctx)


def down(ctx: MigrationContext) -> None:
    for facts in providers(""):
        bootstrap.registry().delete_provider(facts.provider_id)
        ctx.log(f"{facts.provider_id} is gone")
