"""`provider.health_changed.v1`: told once for each change, and not lost while the broker is away."""

from datetime import timedelta

import pytest

from functions.common.clock import rfc3339
from functions.common.outbox import Outbox
from functions.contracts.events.envelope import unwrap
from functions.contracts.events.providers import ProviderHealthChangedV1
from functions.utility_provider_service.model import HealthState, ProviderChanges
from functions.utility_provider_service.service import Registry
from tests.support.fakes import FakeClock, FakePublisher
from tests.unit.utility_provider_service.fakes import FACTS, FakeProviders, public

WATER = FACTS.provider_id


class World:
    def __init__(self) -> None:
        self.clock, self.publisher, self.providers = FakeClock(), FakePublisher(), FakeProviders()
        outbox = Outbox(self.providers, self.publisher)
        self.registry = Registry(self.providers, self.clock, resolve=public, outbox=outbox)
        self.registry.create_provider(FACTS)

    def report(self, state: HealthState) -> str:
        """A minute later. Answers when."""
        self.clock.advance(timedelta(minutes=1))
        self.registry.report_health(WATER, state, self.clock.now())
        return rfc3339(self.clock.now())

    @property
    def told(self) -> list[ProviderHealthChangedV1]:
        return [unwrap(event, ProviderHealthChangedV1) for event in self.publisher.events]


@pytest.fixture
def world() -> World:
    return World()


def change(previous: str, state: str, since: str) -> ProviderHealthChangedV1:
    return ProviderHealthChangedV1(provider_id=WATER, previous=previous, state=state, since=since)


def test_each_change_is_told_once(world: World) -> None:
    first = world.report(HealthState.DOWN)
    world.report(HealthState.DOWN)
    second = world.report(HealthState.UP)

    assert world.told == [change("up", "down", first), change("down", "up", second)]
    assert [event.subject for event in world.publisher.events] == [WATER, WATER]
    assert world.registry.get_provider(WATER).unsent == ()


def test_the_first_call_is_no_change_when_it_went_well(world: World) -> None:
    world.report(HealthState.UP)

    assert world.told == []
    assert world.registry.get_provider(WATER).health.since == world.clock.now()


def test_what_comes_late_is_not_told(world: World) -> None:
    world.report(HealthState.DEGRADED)
    world.registry.report_health(WATER, HealthState.DOWN, world.clock.now() - timedelta(minutes=5))

    assert [data.state for data in world.told] == ["degraded"]


def test_a_broker_that_is_away_loses_nothing(world: World) -> None:
    world.publisher.down = True
    first = world.report(HealthState.DOWN)
    world.registry.update_provider(WATER, ProviderChanges(name="Stream Water"))  # as an admin does meanwhile
    second = world.report(HealthState.UP)
    assert world.told == []

    world.publisher.down = False

    assert world.registry.flush_outbox(100) == (1, False)
    assert world.told == [change("up", "down", first), change("down", "up", second)]
    assert world.registry.flush_outbox(100) == (0, False)


def test_where_nobody_reports_there_is_nothing_to_flush(world: World) -> None:
    assert Registry(world.providers, world.clock).flush_outbox(100) == (0, False)
