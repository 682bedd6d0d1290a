"""Users with an account at each utility of the sandbox, to measure with."""

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from infra import admin, local
from infra.client import Client, await_value, example_params
from infra.settings import Settings

UTILITIES = ("prv_northwind_power", "prv_greenline_gas", "prv_clearwater", "prv_fibernet")
SECONDS = 120.0


@dataclass(frozen=True)
class Household:
    user_id: str
    client: Client
    operator: Client
    link_ids: tuple[str, ...]

    def read(self) -> int:
        """Bytes of the first page of bills."""
        return len(self.client.send("GET", "/bills").content)

    def next_month(self) -> None:
        """New bills exist at the sandbox's utilities."""
        self.operator.move_clock(advance_months=1)


@contextmanager
def households(settings: Settings, count: int) -> Iterator[Sequence[Household]]:
    """New ones, their bills read. Deleted afterwards, and the sandbox's clock set back."""
    nobody = Client(local.url(settings))
    operator_email, operator = _user(nobody)[1:]
    admin.grant(settings, operator_email)
    operator = nobody.login(operator_email, _password(operator_email))
    operator.move_clock(reset=True)
    homes = []
    try:
        for _ in range(count):
            user_id, _, own = _user(nobody)
            providers = {provider["provider_id"]: provider for provider in own.providers()}
            links = [own.link(name, example_params(providers[name]), "good", "any")["link_id"] for name in UTILITIES]
            homes.append(Household(user_id, own, operator, tuple(map(str, links))))
        for home in homes:
            await_value(lambda home=home: _read_once(home), SECONDS, "the first read of every link")  # type: ignore[misc]
        yield homes
    finally:
        operator.move_clock(reset=True)
        for home in homes:
            home.client.call("DELETE", "/users/me")
        nobody.close()


def _read_once(home: Household) -> bool:
    return all(account["last_attempt_at"] for account in home.client.accounts())


def _user(nobody: Client) -> tuple[str, str, Client]:
    email = f"measured-{secrets.token_hex(6)}@example.com"
    user = nobody.register(email, _password(email), "Measured")
    return str(user["user_id"]), email, nobody.login(email, _password(email))


def _password(email: str) -> str:
    """A user of the sandbox who lives for minutes: theirs need not be kept anywhere."""
    return f"long enough for {email}"
