"""What the tests of the common ground share: a real Redis, and the log as the code writes it."""

import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from functions.common import logs
from tests.support.redis_server import redis_server

Lines = Callable[[], list[dict[str, Any]]]  # Any: JSON


@pytest.fixture(scope="session")
def redis_process() -> Iterator[str]:
    with redis_server() as url:
        yield url


@pytest.fixture
def redis_url(redis_process: str) -> str:
    """A server that holds nothing."""
    redis.Redis.from_url(redis_process).flushall()
    return redis_process


@pytest.fixture
def log_lines(capsys: pytest.CaptureFixture[str]) -> Iterator[Lines]:
    """Configures logging anew; calling the fixture gives the lines written since the last call, each parsed as JSON."""
    root, ours = logging.getLogger(), logging.getLogger("functions")
    before = (root.handlers[:], root.level, ours.level)
    root.handlers[:] = []
    logs.configure("INFO")
    yield lambda: [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    ours.setLevel(before[2])
