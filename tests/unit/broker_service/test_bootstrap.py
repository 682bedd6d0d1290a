from collections.abc import Callable, Iterator

import pytest

from functions.broker_service import bootstrap
from functions.broker_service.announcements import Announcements
from functions.broker_service.emitter import Emitter
from functions.broker_service.service import Jobs, Refreshes
from functions.common.settings import SettingsError

BUILDERS: tuple[Callable[[], object], ...] = (
    bootstrap.jobs, bootstrap.emitter, bootstrap.refreshes, bootstrap._table, bootstrap.version,
    bootstrap.announcements,
)  # fmt: skip


@pytest.fixture(autouse=True)
def _nothing_built() -> Iterator[None]:
    _forget()
    yield
    _forget()


def _forget() -> None:
    for builder in BUILDERS:
        builder.cache_clear()  # type: ignore[attr-defined]


def test_everything_is_built_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBS_TABLE", "jobs")
    monkeypatch.setenv("EVENTS_TOPIC", "arn:aws:sns:us-east-1:123456789012:events")
    monkeypatch.setenv("RPC_ACCOUNTS", "lambda:accounts")
    monkeypatch.setenv("RPC_PROVIDERS", "lambda:providers")
    monkeypatch.setenv("VERSION", "1a2b3c")

    assert isinstance(bootstrap.refreshes(), Refreshes)
    assert isinstance(bootstrap.announcements(), Announcements)
    assert isinstance(bootstrap.jobs(), Jobs)
    assert isinstance(bootstrap.emitter(), Emitter)
    assert bootstrap.version() == "1a2b3c"


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("JOBS_TABLE", "EVENTS_TOPIC", "RPC_ACCOUNTS"):
        monkeypatch.delenv(name, raising=False)

    with pytest.raises(SettingsError, match=r"JOBS_TABLE.*EVENTS_TOPIC.*RPC_ACCOUNTS"):
        bootstrap.refreshes()
