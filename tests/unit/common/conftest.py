"""What the tests of the common ground share: a real Redis."""

from collections.abc import Iterator

import pytest
import redis

from tests.support.redis_server import redis_server


@pytest.fixture(scope="session")
def redis_process() -> Iterator[str]:
    with redis_server() as url:
        yield url


@pytest.fixture
def redis_url(redis_process: str) -> str:
    """A server that holds nothing."""
    redis.Redis.from_url(redis_process).flushall()
    return redis_process
