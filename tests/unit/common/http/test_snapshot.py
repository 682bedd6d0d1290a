"""When a function prepares for a snapshot, and what copies of it do not share."""

import random
import sys
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from functions.common.http import snapshot

SNAP_START = {"AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start"}


@pytest.fixture
def hooks(monkeypatch: pytest.MonkeyPatch) -> dict[str, Callable[[], None]]:
    """What was registered with Lambda's Python, which is not here."""
    found: dict[str, Callable[[], None]] = {}
    runtime = SimpleNamespace(
        register_before_snapshot=lambda hook: found.update(before=hook),
        register_after_restore=lambda hook: found.update(after=hook),
    )
    monkeypatch.setitem(sys.modules, "snapshot_restore_py", runtime)
    return found


@pytest.mark.parametrize("environ", [{}, {"AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand"}])
def test_without_snapstart_nothing_is_prepared(environ: dict[str, str], hooks: dict[str, Callable[[], None]]) -> None:
    snapshot.prepare(environ)

    assert hooks == {}


def test_before_the_snapshot_everything_is_imported(hooks: dict[str, Callable[[], None]]) -> None:
    snapshot.prepare(SNAP_START)

    assert hooks["before"] is snapshot.import_everything


def test_copies_do_not_spread_their_retries_alike(hooks: dict[str, Callable[[], None]]) -> None:
    snapshot.prepare(SNAP_START)
    state = random.getstate()
    drawn = []
    for _copy in range(2):
        random.setstate(state)
        hooks["after"]()
        drawn.append(random.random())

    assert drawn[0] != drawn[1]
