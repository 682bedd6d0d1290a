"""Who the integration tests act as: a household with its own user, and what it must never find in a log."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

from infra.client import Client, Json, example_params
from tests.integration.patience import await_value, patience

POWER, GAS, WATER, INTERNET = "prv_northwind_power", "prv_greenline_gas", "prv_clearwater", "prv_fibernet"
UTILITIES = (POWER, GAS, WATER, INTERNET)
JOB_SECONDS = 90.0
"""Upper bound for a refresh; the first one starts every function, each in up to a second."""


@dataclass
class Household:
    client: Client
    email: str
    password: str
    user_id: str
    providers: Mapping[str, Json]
    secret: list[str] = field(repr=False)
    """Grows with each password, token and account number in use; the test of the logs looks for all of them."""

    def link(self, provider_id: str, scenario: str = "good") -> str:
        """Links an account that the sandbox treats as `scenario` says. Answers its link_id."""
        return str(self.link_with(provider_id, scenario, example_params(self.providers[provider_id]))["link_id"])

    def link_with(self, provider_id: str, scenario: str, params: Mapping[str, str]) -> Json:
        password = secrets.token_urlsafe(15)
        self.secret += [password, *params.values()]
        return self.client.link(provider_id, params, scenario, password)

    def settle(self) -> None:
        """Until the first refresh of every link, which linking itself asks for, has ended."""

        def settled() -> bool:
            return all(account["last_attempt_at"] for account in self.client.accounts())

        await_value(settled, JOB_SECONDS, "the first refresh of every link")

    def refresh(self, *link_ids: str) -> Json:
        """Refreshes through events. Answers the ended job."""
        return self.await_job(self.client.refresh(*link_ids))

    def await_job(self, job_id: str) -> Json:
        return self.client.await_job(job_id, JOB_SECONDS * patience())


def register(nobody: Client, secret: list[str]) -> Household:
    email, password = f"it-{secrets.token_hex(8)}@example.com", secrets.token_urlsafe(18)
    user = nobody.register(email, password, "Integration Test")
    client = nobody.login(email, password)
    secret += [password, client.token]
    providers = {provider["provider_id"]: provider for provider in client.providers()}
    return Household(client, email, password, user["user_id"], providers, secret)
