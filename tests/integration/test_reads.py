"""GET /bills: from the cache when warm, from the utilities when asked live, and honest about each source."""

import time
from collections.abc import Callable

from functions.bill_aggregation_service.live import LINKS_PER_CALL
from infra.client import Client
from tests.integration.household import GAS, INTERNET, POWER, WATER, Household
from tests.integration.problems import refused

WARM_SECONDS = 0.5
"""A warm read takes milliseconds of our own; the rest is the emulator's."""
SLOW_UTILITY_SECONDS = 4.0


def test_a_second_read_is_the_same_and_quick(settled: Household) -> None:
    first = settled.client.send("GET", "/bills")
    times = []
    for _ in range(5):
        begun = time.monotonic()
        again = settled.client.send("GET", "/bills")
        times.append(time.monotonic() - begun)
        assert again.json()["items"] == first.json()["items"]

    assert sorted(times)[2] < WARM_SECONDS


def test_new_bills_show_at_once_after_a_refresh(household: Household, next_month: Callable[[], str]) -> None:
    link_id = household.link(INTERNET)
    household.settle()
    before = household.client.bills()
    assert household.client.bills() == before

    next_month()
    assert household.refresh()["results"][0]["created"] == 1

    after = household.client.bills()
    assert len(after.of(link_id)) == len(before.of(link_id)) + 1


def test_a_new_link_shows_in_the_sources_at_once(household: Household) -> None:
    household.link(POWER)
    household.settle()
    assert len(household.client.bills().sources) == 1

    second = household.link(GAS)
    household.settle()

    assert household.client.bills().source(second)["outcome"] in {"fresh", "cached"}


def test_a_live_read_needs_no_refresh_before_and_costs_only_the_bad_sources(household: Household) -> None:
    good, refused_login, down = household.link(POWER), household.link(GAS, "bad_login"), household.link(WATER, "down")
    slow = household.link(INTERNET, "slow")

    begun = time.monotonic()
    live = household.client.bills(refresh="true")
    took = time.monotonic() - begun

    assert live.source(good)["outcome"] == "fresh"
    assert live.source(good).get("error") is None
    assert live.of(good)
    assert outcome(live.source(refused_login)) == ("action_required", "invalid_credentials")
    assert outcome(live.source(down)) == ("failed", "provider_unavailable")
    assert live.source(slow)["outcome"] == "fresh"
    assert live.of(slow)
    assert not live.of(refused_login) + live.of(down)
    # all at once: far less than one after the other, and no more than the slowest and some cold starts
    assert took < SLOW_UTILITY_SECONDS + 10


def test_a_live_read_of_more_links_than_one_call_reads(household: Household) -> None:
    """Two calls, and their records written together: each link has a row, the one made a moment ago as well."""
    good = [household.link(provider_id) for provider_id in (POWER, GAS, WATER, INTERNET) * 3]
    down = household.link(WATER, "down")
    household.settle()
    assert len(good) > LINKS_PER_CALL
    before = household.client.bills(limit=200)

    just_linked = household.link(POWER)
    live = household.client.bills(refresh="true", limit=200)

    assert {source["link_id"] for source in live.sources} == {*good, down, just_linked}
    assert [live.source(link_id)["outcome"] for link_id in good] == ["fresh"] * len(good)
    assert all(live.source(link_id)["as_of"] > before.source(link_id)["as_of"] for link_id in good)
    assert outcome(live.source(down)) == ("failed", "provider_unavailable")
    assert live.source(just_linked)["outcome"] == "fresh"
    assert [live.of(link_id) for link_id in good] == [before.of(link_id) for link_id in good]


def test_a_utility_that_goes_down_keeps_its_bills_on_show(household: Household, operator: Client) -> None:
    power, water = household.link(POWER), household.link(WATER)
    household.settle()
    before = household.client.bills()
    operator.call("POST", "/mock/outages", {"utility": "water", "down": True})
    try:
        live = household.client.bills(refresh="true")
    finally:
        operator.call("POST", "/mock/outages", {"utility": "water", "down": False})

    assert outcome(live.source(water)) == ("failed", "provider_unavailable")
    assert live.source(power)["outcome"] == "fresh"
    assert [bill["bill_id"] for bill in live.items] == [bill["bill_id"] for bill in before.items]


def test_filters_choose_bills(settled: Household) -> None:
    whole = settled.client.bills().items
    link_id = settled.client.accounts()[0]["link_id"]

    by_link = settled.client.bills(link_id=link_id).items
    by_provider = settled.client.bills(provider_id=WATER).items

    assert by_link == [bill for bill in whole if bill["link_id"] == link_id]
    assert by_provider == [bill for bill in whole if bill["provider_id"] == WATER]


def test_a_filter_that_does_not_validate_is_named(settled: Household) -> None:
    refused(settled.client.send("GET", "/bills", query={"status": "lost"}), 422, "status")
    refused(settled.client.send("GET", "/bills", query={"refresh": "perhaps"}), 422, "refresh")


def test_who_has_linked_nothing_has_no_bills_and_nothing_to_refresh(household: Household) -> None:
    empty = household.client.bills()

    assert (empty.items, empty.sources) == ([], [])
    refused(household.client.send("POST", "/refreshes"), 409)


def outcome(source: dict[str, object]) -> tuple[object, object]:
    error = source.get("error")
    return source.get("outcome"), error["code"] if isinstance(error, dict) else None
