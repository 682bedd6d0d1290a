"""For all tests: property tests are not timed, because machines are shared; and the log as the code writes it."""

import json
import logging
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from functions.common import logs
from tests.support.logs import Lines

settings.register_profile("untimed", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


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
