"""The registry's use cases."""

from dataclasses import replace
from datetime import timedelta

import pytest

from functions.common import cursor
from functions.common.errors import Conflict, InvalidInput, NotFound
from functions.utility_provider_service.model import ProviderId, ServiceType
from functions.utility_provider_service.service import Registry
from tests.support.fakes import FakeClock
from tests.unit.utility_provider_service.fakes import FACTS, SANDBOX_ORIGIN, FakeProviders, named


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def registry(clock: FakeClock) -> Registry:
    return Registry(FakeProviders(), clock, SANDBOX_ORIGIN)


@pytest.fixture
def listed(registry: Registry) -> Registry:
    registry.create_provider(named("prv_c", "citywater", ServiceType.WATER))
    registry.create_provider(named("prv_b", "Brook Gas", ServiceType.GAS))
    registry.create_provider(named("prv_b2", "Brook Gas", ServiceType.GAS, ServiceType.ELECTRICITY))
    registry.create_provider(named("prv_a", "Zoe\u0308 Power", ServiceType.ELECTRICITY))
    return registry


def ids(registry: Registry, service_type: ServiceType | None = None, q: str = "") -> list[str]:
    return [provider.facts.provider_id for provider in registry.list_providers(service_type, q).items]


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
    assert ids(listed, ServiceType.ELECTRICITY) == ["prv_b2", "prv_a"]
    assert ids(listed, q=" BROOK ") == ["prv_b", "prv_b2"]
    assert ids(listed, q="ZO\u00cb") == ["prv_a"]
    assert ids(listed, ServiceType.GAS, q="city") == []


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
    assert listed.list_providers(ServiceType.WATER, limit=1).next_cursor is None


@pytest.mark.parametrize("position", ["nonsense!", cursor.encode({"other": "x"}), cursor.encode({"after": ""})])
def test_a_foreign_cursor_is_refused(registry: Registry, position: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        registry.list_providers(position=position)
    assert refused.value.errors[0].field == "cursor"


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
