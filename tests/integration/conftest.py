"""The platform under test is the one that the environment names (TARGET, AWS_ENDPOINT_URL; BASE_URL for its API)."""

import os
import time
from collections.abc import Callable, Iterator

import pytest
import redis

from infra import admin, engine, local, settings
from infra.client import Client
from infra.console import Failure
from tests.integration.household import UTILITIES, Household, Member, register
from tests.integration.patience import transactions_stand_alone
from tests.integration.platform import Platform

LAST = ("test_journey", "test_logs", "test_key_rotation", "test_policies", "test_restart")
"""The journey leaves much data behind; logs, and what was done under which policy, are judged when all else has run; a
rotation deploys; a restart ends it."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: LAST.index(item.path.stem) if item.path.stem in LAST else -1)


@pytest.fixture(scope="session")
def platform() -> Platform:
    chosen = settings.load()
    try:
        base_url = os.environ.get("BASE_URL") or local.url(chosen)
    except Failure as failure:
        pytest.exit(f"The integration tests need a running platform. {failure.format_message()}", returncode=3)
    engine.rights_notes(chosen).unlink(missing_ok=True)  # what functions do is noted from here on
    return Platform(chosen, base_url, int(time.time() * 1000) - 1000)


@pytest.fixture(scope="session")
def atomic() -> None:
    """For what lives by transactions that come at the same moment."""
    if not transactions_stand_alone():
        pytest.skip(
            "LocalStack runs with moto's DynamoDB: a transaction that fails there puts back the tables as it found"
            " them, and so undoes what others have written meanwhile"
        )


@pytest.fixture(scope="session")
def secret() -> list[str]:
    """Everything that no log may hold."""
    return []


@pytest.fixture(scope="session")
def cache(platform: Platform) -> "redis.Redis | None":
    """The cache that the functions use, if it can be reached from here."""
    url = platform.settings.cache_url
    return redis.Redis.from_url(url, socket_timeout=5) if url else None


@pytest.fixture(autouse=True)
def _in_good_repute(cache: "redis.Redis | None") -> Iterator[None]:
    """No test's failures keep the next one from a utility: what its circuit breaker remembers ends with the test."""
    yield
    if cache:
        for provider_id in UTILITIES:
            cache.delete(*(f"{{{provider_id}}}:{name}" for name in ("probing", "latest", "circuit")))


@pytest.fixture(scope="session")
def nobody(platform: Platform) -> Iterator[Client]:
    client = Client(platform.base_url)
    yield client
    client.close()


@pytest.fixture(scope="session")
def operator(platform: Platform, nobody: Client, secret: list[str]) -> Iterator[Client]:
    """Holds the role admin. The sandbox's clock stands on today before and after the tests."""
    user = register(nobody, secret)
    admin.grant(platform.settings, user.email)
    client = Member(nobody, user.email, user.password, secret)
    client.move_clock(reset=True)
    yield client
    client.move_clock(reset=True)


@pytest.fixture
def next_month(operator: Client) -> Iterator[Callable[[], str]]:
    """Moves the sandbox's clock a month on, until the test is over."""
    yield lambda: operator.move_clock(advance_months=1)
    operator.move_clock(reset=True)


@pytest.fixture
def household(nobody: Client, secret: list[str]) -> Iterator[Household]:
    """A new user without links. Takes its bills along when it goes: some engines get slow with the size of a table."""
    user = register(nobody, secret)
    yield user
    for account in user.client.accounts():
        user.client.unlink(account["link_id"])


@pytest.fixture(scope="session")
def settled(nobody: Client, operator: Client, secret: list[str]) -> Household:
    """One user with a good account at each utility, its bills read. For tests that only read."""
    user = register(nobody, secret)
    for provider_id in UTILITIES:
        user.link(provider_id)
    user.settle()
    return user


@pytest.fixture(scope="session")
def stranger(nobody: Client, secret: list[str]) -> Household:
    """Another user, whose things nobody else may see and who sees nobody else's."""
    return register(nobody, secret)
