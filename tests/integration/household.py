"""Who the integration tests act as: a household with its own user, and what it must never find in a log."""

import contextlib
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from infra.client import ApiError, Client, Json, example_params
from tests.integration.patience import await_value, patience, transactions_stand_alone

POWER, GAS, WATER, INTERNET = "prv_northwind_power", "prv_greenline_gas", "prv_clearwater", "prv_fibernet"
UTILITIES = (POWER, GAS, WATER, INTERNET)
JOB_SECONDS = 90.0
"""Upper bound for a refresh; the first one starts every function, each in up to a second."""

RENEWAL_SECONDS = 300.0
"""A third of what an access token lasts. On a slow engine the suite takes longer than that, and so may one test."""


class Member(Client):
    """A user who logs in again before the token runs out."""

    def __init__(self, nobody: Client, email: str, password: str, secret: list[str]) -> None:
        self._nobody, self._email, self._password, self._secret = nobody, email, password, secret
        super().__init__(nobody.base_url, self._logged_in(), nobody._session)

    @property
    def token(self) -> str:
        if time.monotonic() > self._until:
            with contextlib.suppress(ApiError):  # who has left since keeps the token that is left
                self.token = self._logged_in()
        return self._token

    @token.setter
    def token(self, token: str) -> None:
        self._token = token
        self._until: float = time.monotonic() + RENEWAL_SECONDS

    def _logged_in(self) -> str:
        token = self._nobody.login(self._email, self._password).token
        self._secret.append(token)
        return token


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
        made = self.client.link(provider_id, params, scenario, password)
        # There the first refreshes of links that are made at once would undo each other's writes.
        if not transactions_stand_alone():
            self.settle()
        return made

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
    secret.append(password)
    client = Member(nobody, email, password, secret)
    providers = {provider["provider_id"]: provider for provider in client.providers()}
    return Household(client, email, password, user["user_id"], providers, secret)
