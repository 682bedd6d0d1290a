"""The registry's use cases."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from functions.common import cursor
from functions.common.errors import Conflict, InvalidInput, NotFound, PreconditionFailed, Unavailable
from functions.utility_provider_service.model import Health, HealthState, ProviderChanges, ProviderId, ServiceType
from functions.utility_provider_service.service import Precondition, Registry, Search
from tests.support.fakes import FakeClock
from tests.unit.utility_provider_service.fakes import FACTS, SANDBOX_ORIGIN, FakeProviders, named, public


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def repository() -> FakeProviders:
    return FakeProviders()


@pytest.fixture
def registry(repository: FakeProviders, clock: FakeClock) -> Registry:
    return Registry(repository, clock, SANDBOX_ORIGIN, public)


@pytest.fixture
def listed(registry: Registry) -> Registry:
    registry.create_provider(named("prv_c", "citywater", ServiceType.WATER))
    registry.create_provider(named("prv_b", "Brook Gas", ServiceType.GAS))
    registry.create_provider(named("prv_b2", "Brook Gas", ServiceType.GAS, ServiceType.ELECTRICITY))
    registry.create_provider(named("prv_a", "Zoe\u0308 Power", ServiceType.ELECTRICITY))
    return registry


def ids(registry: Registry, **search: Any) -> list[str]:  # Any: values of Search
    return [provider.facts.provider_id for provider in registry.list_providers(Search(**search)).items]


def test_a_provider_is_entered_once(registry: Registry) -> None:
    assert registry.get_provider(registry.create_provider(FACTS).facts.provider_id).facts == FACTS
    with pytest.raises(Conflict) as refused:
        registry.create_provider(replace(FACTS, name="Impostor"))
    assert refused.value.code == "provider_exists"
    assert registry.get_provider("prv_river_water").facts.name == "River Water"


def test_what_breaks_a_rule_is_not_entered(registry: Registry) -> None:
    with pytest.raises(InvalidInput):
        registry.create_provider(replace(FACTS, base_url="https://10.0.0.1"))
    assert not registry.provider_exists(FACTS.provider_id)


@pytest.mark.parametrize("provider_id", ["prv_unknown", "", "PRV_RIVER_WATER", "river", "prv_x/../y"])
def test_unknown_and_ill_formed_ids_are_not_found(registry: Registry, provider_id: str) -> None:
    assert not registry.provider_exists(provider_id)
    with pytest.raises(NotFound) as refused:
        registry.get_provider(provider_id)
    assert refused.value.code == "provider_not_found"


def test_the_list_is_by_name(listed: Registry) -> None:
    assert ids(listed) == ["prv_b", "prv_b2", "prv_c", "prv_a"]


def test_the_list_is_filtered(listed: Registry) -> None:
    assert ids(listed, service_type=ServiceType.ELECTRICITY) == ["prv_b2", "prv_a"]
    assert ids(listed, q=" BROOK ") == ["prv_b", "prv_b2"]
    assert ids(listed, q="ZO\u00cb") == ["prv_a"]
    assert ids(listed, service_type=ServiceType.GAS, q="city") == []


def test_the_list_is_filtered_by_country(listed: Registry) -> None:
    listed.create_provider(replace(named("prv_de", "Isar"), country="DE"))
    assert ids(listed, country="DE") == ["prv_de"]
    assert ids(listed, country="FR") == []
    assert "prv_de" not in ids(listed, country="GB")


def test_pages_join_to_the_whole_list(listed: Registry) -> None:
    seen, position = [], ""
    for _ in range(10):
        page = listed.list_providers(limit=1, position=position)
        seen += [provider.facts.provider_id for provider in page.items]
        if page.next_cursor is None:
            break
        position = page.next_cursor
    assert seen == ids(listed)


def test_a_full_last_page_has_no_next(listed: Registry) -> None:
    assert listed.list_providers(limit=4).next_cursor is None
    assert listed.list_providers(Search(service_type=ServiceType.WATER), limit=1).next_cursor is None


@pytest.mark.parametrize("position", ["nonsense!", cursor.encode({"other": "x"}), cursor.encode({"after": ""})])
def test_a_foreign_cursor_is_refused(registry: Registry, position: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        registry.list_providers(position=position)
    assert refused.value.errors[0].field == "cursor"


def test_what_is_changed_is_changed_and_the_rest_stays(registry: Registry, clock: FakeClock) -> None:
    registry.create_provider(FACTS)
    clock.advance(timedelta(hours=1))
    changed = registry.update_provider(FACTS.provider_id, ProviderChanges(name="Stream Water", country="IE"))
    assert changed.facts == replace(FACTS, name="Stream Water", country="IE")
    assert (changed.version, changed.updated_at - changed.created_at) == (2, timedelta(hours=1))
    assert registry.get_provider(FACTS.provider_id) == changed
    assert ids(registry, q="stream") == ["prv_river_water"]


@pytest.mark.parametrize("changes", [ProviderChanges(), ProviderChanges(name=FACTS.name, active=True)])
def test_a_change_of_nothing_writes_nothing(registry: Registry, clock: FakeClock, changes: ProviderChanges) -> None:
    before = registry.create_provider(FACTS)
    clock.advance(timedelta(hours=1))
    assert registry.update_provider(FACTS.provider_id, changes) == before


def test_a_change_keeps_to_the_rules(registry: Registry) -> None:
    before = registry.create_provider(FACTS)
    with pytest.raises(InvalidInput) as refused:
        registry.update_provider(
            FACTS.provider_id, ProviderChanges(base_url="https://a.inside.example.com", country="x")
        )
    assert [error.field for error in refused.value.errors] == ["country", "base_url"]
    assert registry.get_provider(FACTS.provider_id) == before


def test_changing_what_is_not_there_is_not_found(registry: Registry) -> None:
    with pytest.raises(NotFound):
        registry.update_provider("prv_unknown", ProviderChanges(name="x"))
    with pytest.raises(NotFound):
        registry.deactivate_provider("nonsense")


def seen(version: str) -> Precondition:
    def check(newest: str) -> None:
        if newest != version:
            raise PreconditionFailed("Stale.")

    return check


def test_who_has_seen_an_older_version_changes_nothing(registry: Registry) -> None:
    registry.create_provider(FACTS)
    registry.update_provider(FACTS.provider_id, ProviderChanges(country="IE"), seen("1"))
    with pytest.raises(PreconditionFailed):
        registry.update_provider(FACTS.provider_id, ProviderChanges(country="FR"), seen("1"))
    with pytest.raises(PreconditionFailed):
        registry.deactivate_provider(FACTS.provider_id, seen("1"))
    assert registry.get_provider(FACTS.provider_id).facts.country == "IE"


def test_of_two_changes_in_one_moment_none_is_lost(registry: Registry, repository: FakeProviders) -> None:
    registry.create_provider(FACTS)
    repository.interruptions = [lambda: registry.update_provider(FACTS.provider_id, ProviderChanges(country="IE"))]
    changed = registry.update_provider(FACTS.provider_id, ProviderChanges(name="Stream Water"))
    assert changed.facts == replace(FACTS, name="Stream Water", country="IE")
    assert changed.version == 3


def test_of_two_who_have_seen_the_same_version_the_second_is_refused(
    registry: Registry, repository: FakeProviders
) -> None:
    """Also when the other comes between the check and the write."""
    registry.create_provider(FACTS)
    repository.interruptions = [lambda: registry.update_provider(FACTS.provider_id, ProviderChanges(country="IE"))]
    with pytest.raises(PreconditionFailed):
        registry.update_provider(FACTS.provider_id, ProviderChanges(name="Stream Water"), seen("1"))
    assert registry.get_provider(FACTS.provider_id).facts == replace(FACTS, country="IE")


def test_whoever_is_always_second_is_asked_to_try_again(registry: Registry, repository: FakeProviders) -> None:
    registry.create_provider(FACTS)

    def grow() -> None:
        provider = repository.providers[FACTS.provider_id]
        repository.providers[FACTS.provider_id] = replace(provider, version=provider.version + 1)

    repository.interruptions = [grow] * 10
    with pytest.raises(Unavailable) as refused:
        registry.update_provider(FACTS.provider_id, ProviderChanges(name="Stream Water"))
    assert (refused.value.code, refused.value.retry_after) == ("contended", 1)


def test_out_of_service_it_is_hidden_and_can_come_back(registry: Registry) -> None:
    registry.create_provider(FACTS)
    for _ in range(2):
        assert registry.deactivate_provider(FACTS.provider_id).version == 2
    assert not registry.provider_exists(FACTS.provider_id)
    assert registry.get_provider(FACTS.provider_id).active is False
    with pytest.raises(NotFound):
        registry.get_provider(FACTS.provider_id, deactivated=False)
    assert ids(registry) == []
    assert ids(registry, deactivated=True) == ["prv_river_water"]

    assert registry.update_provider(FACTS.provider_id, ProviderChanges(active=True)).version == 3
    assert registry.provider_exists(FACTS.provider_id)
    assert ids(registry) == ["prv_river_water"]


def test_what_no_longer_keeps_to_the_rules_can_be_taken_out_of_service(repository: FakeProviders) -> None:
    """The sandbox's utilities, where there is no sandbox any more."""
    Registry(repository, FakeClock(), SANDBOX_ORIGIN).create_provider(replace(FACTS, base_url=f"{SANDBOX_ORIGIN}/x"))
    assert not Registry(repository, FakeClock()).deactivate_provider(FACTS.provider_id).active


UP, DEGRADED, DOWN = HealthState


def minutes(number: int) -> datetime:
    return FakeClock().now() + timedelta(minutes=number)


def test_a_utility_is_up_until_a_call_says_otherwise(registry: Registry) -> None:
    assert registry.create_provider(FACTS).health == Health(UP, None)


def test_the_first_report_tells_since_when(registry: Registry) -> None:
    registry.create_provider(FACTS)
    provider, changed = registry.report_health(FACTS.provider_id, UP, minutes(0))
    assert (provider.health, changed) == (Health(UP, minutes(0)), True)


def test_only_a_change_of_health_writes(registry: Registry, clock: FakeClock) -> None:
    created = registry.create_provider(FACTS)
    clock.advance(timedelta(hours=1))
    told = [(UP, 1), (UP, 2), (DOWN, 3), (DOWN, 4), (DOWN, 3), (DEGRADED, 5), (UP, 6)]
    seen = [registry.report_health(FACTS.provider_id, state, minutes(at)) for state, at in told]
    assert [changed for _, changed in seen] == [True, False, True, False, False, True, True]
    last = registry.get_provider(FACTS.provider_id)
    assert last.health == Health(UP, minutes(6))
    assert (last.version, last.updated_at) == (5, created.updated_at)


@pytest.mark.parametrize("at", [9, 10])
def test_a_late_report_changes_nothing(registry: Registry, clock: FakeClock, at: int) -> None:
    registry.create_provider(FACTS)
    clock.advance(timedelta(hours=1))
    registry.report_health(FACTS.provider_id, DOWN, minutes(10))
    provider, changed = registry.report_health(FACTS.provider_id, UP, minutes(at))
    assert (provider.health, changed) == (Health(DOWN, minutes(10)), False)


def test_a_report_from_the_future_is_refused(registry: Registry) -> None:
    registry.create_provider(FACTS)
    with pytest.raises(InvalidInput) as refused:
        registry.report_health(FACTS.provider_id, DOWN, minutes(6))
    assert refused.value.errors[0].field == "at"
    with pytest.raises(NotFound):
        registry.report_health("prv_unknown", DOWN, minutes(0))


def test_health_and_a_change_in_one_moment_are_both_kept(registry: Registry, repository: FakeProviders) -> None:
    registry.create_provider(FACTS)
    repository.interruptions = [lambda: registry.update_provider(FACTS.provider_id, ProviderChanges(country="IE"))]
    provider, _ = registry.report_health(FACTS.provider_id, DOWN, minutes(1))
    assert (provider.facts.country, provider.health.state) == ("IE", DOWN)


def test_ensuring_enters_then_moves_then_does_nothing(registry: Registry, clock: FakeClock) -> None:
    moved = replace(FACTS, base_url=f"{SANDBOX_ORIGIN}/elsewhere", name="Ignored")
    registry.ensure_provider(FACTS)
    clock.advance(timedelta(hours=1))
    for _ in range(2):
        registry.ensure_provider(moved)
    provider = registry.get_provider(FACTS.provider_id)
    assert provider.facts == replace(FACTS, base_url=moved.base_url)
    assert (provider.version, provider.updated_at - provider.created_at) == (2, timedelta(hours=1))


def test_ensuring_keeps_to_the_rules(registry: Registry) -> None:
    registry.ensure_provider(FACTS)
    with pytest.raises(InvalidInput):
        registry.ensure_provider(replace(FACTS, base_url="http://localhost:1/x"))


def test_a_provider_is_deleted_for_good(registry: Registry) -> None:
    registry.create_provider(FACTS)
    for _ in range(2):
        registry.delete_provider(ProviderId(FACTS.provider_id))
    assert not registry.provider_exists(FACTS.provider_id)
