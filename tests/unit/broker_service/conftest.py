import pytest

from tests.unit.broker_service.fakes import World


@pytest.fixture
def world() -> World:
    return World()
