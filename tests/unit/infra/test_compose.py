"""`make localstack-up` and `-down`: at the ports that the settings name."""

import shutil
import subprocess
from pathlib import Path

import pytest

from infra import compose, engine, settings
from infra.console import Failure

MOVED = settings.load(
    {"TARGET": "localstack", "AWS_ENDPOINT_URL": "http://127.0.0.1:4620", "CACHE_URL": "redis://127.0.0.1:6420/0"}
)


class Docker:
    """Notes what it is asked for; `refused` is the command that does not work."""

    def __init__(self, refused: str = "") -> None:
        self.refused = refused
        self.listed = ""
        self.calls: list[tuple[list[str], dict[str, str]]] = []

    def __call__(
        self, command: list[str], *, cwd: Path | None = None, env: dict[str, str] | None = None, **_: object
    ) -> "subprocess.CompletedProcess[str]":
        self.calls.append((command, env or {}))
        said = self.listed if "ps" in command else ""
        return subprocess.CompletedProcess(command, int(bool(self.refused) and self.refused in command), said, "")


@pytest.fixture
def docker(monkeypatch: pytest.MonkeyPatch) -> Docker:
    made = Docker()
    monkeypatch.setattr(subprocess, "run", made)
    monkeypatch.setattr(shutil, "which", lambda _: "docker")
    return made


def test_it_starts_where_the_settings_look_for_it(docker: Docker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "answers", lambda _: True)

    compose.up(MOVED)

    command, env = docker.calls[-1]
    assert "up" in command
    assert (env["LOCALSTACK_PORT"], env["VALKEY_PORT"]) == ("4620", "6420")


def test_that_it_starts_is_not_enough(docker: Docker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "answers", lambda _: False)

    with pytest.raises(Failure, match=r"does not answer at .*:4620"):
        compose.up(MOVED)


def test_what_localstack_started_goes_before_the_network_that_it_is_in(docker: Docker) -> None:
    docker.listed = "one\ntwo\n"

    compose.down(MOVED)

    commands = [command for command, _ in docker.calls]
    removed = commands.index(["docker", "rm", "--force", "one", "two"])
    stopped = next(at for at, command in enumerate(commands) if "stop" in command)
    down = next(at for at, command in enumerate(commands) if "down" in command)
    assert stopped < removed < down


def test_nothing_is_removed_where_nothing_was_started(docker: Docker) -> None:
    compose.down(MOVED)

    assert not any("rm" in command for command, _ in docker.calls)


@pytest.mark.parametrize(
    ("refused", "says"),
    [("info", "no Docker engine answers"), ("version", "no `compose` command"), ("down", "docker compose failed")],
)
def test_what_is_missing_is_named(docker: Docker, refused: str, says: str) -> None:
    docker.refused = refused

    with pytest.raises(Failure, match=says):
        compose.down(MOVED)
