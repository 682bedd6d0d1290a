"""A utility that is down for many is left in peace, the registry says so, and it comes back by itself."""

from collections.abc import Iterator

import pytest

from infra.client import Client, Json
from tests.integration.household import INTERNET, POWER, Household
from tests.integration.patience import await_value

LINKS = 8
"""More than half of the links that other tests may have used at the same utility within the last minute."""
OPEN_SECONDS, CLOSED_SECONDS = 120.0, 60.0


@pytest.fixture
def outage(operator: Client) -> Iterator[None]:
    operator.call("POST", "/mock/outages", {"utility": "internet", "down": True})
    yield
    operator.call("POST", "/mock/outages", {"utility": "internet", "down": False})


@pytest.fixture
def linked(household: Household) -> Household:
    household.link(POWER)
    for _ in range(LINKS):
        household.link(INTERNET)
    household.settle()
    return household


def codes(household: Household) -> list[str]:
    """Why the utility's links could not be read, of a live read."""
    live = household.client.bills(refresh="true").sources
    return [(source.get("error") or {}).get("code", "") for source in live if source["provider_id"] == INTERNET]


def health(household: Household) -> Json:
    found: Json = household.client.call("GET", f"/providers/{INTERNET}")["health"]
    return found


def test_the_circuit_opens_and_closes_and_the_registry_follows(
    linked: Household, operator: Client, outage: None
) -> None:
    assert set(codes(linked)) <= {"provider_unavailable", "circuit_open"}
    await_value(lambda: set(codes(linked)) == {"circuit_open"}, OPEN_SECONDS, "a live read that touches no utility")
    live = linked.client.bills(refresh="true")
    refused = [source for source in live.sources if source["provider_id"] == INTERNET]
    assert {(source["outcome"], source["error"]["retryable"]) for source in refused} == {("failed", True)}
    assert all(source["outcome"] == "fresh" for source in live.sources if source["provider_id"] == POWER)
    assert {bill["provider_id"] for bill in live.items} == {POWER, INTERNET}
    down = await_value(lambda: found if (found := health(linked))["state"] == "down" else None, 60, "the bad news")
    assert down["since"]

    operator.call("POST", "/mock/outages", {"utility": "internet", "down": False})

    await_value(lambda: set(codes(linked)) == {""}, CLOSED_SECONDS, "a live read of all links")
    await_value(lambda: health(linked)["state"] == "up", 60, "the good news")
