import pytest

from tests.unit.listener_service.fakes import World


@pytest.fixture
def world() -> World:
    return World()
