"""Where a receiver of webhooks may be on this machine, and which LocalStack and which cache are used."""

import os
from pathlib import Path

import pytest

from infra import cache_server, engine, settings, target
from infra.settings import Settings

LOCALSTACK = {"TARGET": "localstack", "AWS_ENDPOINT_URL": "http://127.0.0.1:4588"}
DOCKER = """#!/bin/sh
# a container of ours publishes port 4620
for argument; do test "$argument" = publish=4620 && echo e8e1a6eeaff4; done
exit 0
"""


@pytest.mark.parametrize(("engine", "receiver"), [(4566, 14_566), (4701, 14_701), (60_000, 50_000)])
def test_a_receiver_s_port_follows_from_the_engine_s(engine: int, receiver: int) -> None:
    embedded = settings.load({"AWS_ENDPOINT_URL": f"http://127.0.0.1:{engine}"})

    assert target.receiver_origin(embedded) == f"http://127.0.0.1:{receiver}"


def test_on_aws_there_is_none() -> None:
    assert target.receiver_origin(settings.load({"TARGET": "aws", "STAGE": "prod"})) == ""


def test_nor_where_functions_run_in_containers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target, "in_docker", lambda _: True)

    assert target.receiver_origin(settings.load({"TARGET": "localstack"})) == ""


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> None:
    """A LocalStack at every port, which says that it is in a container."""
    monkeypatch.setattr(engine, "fetch", lambda url: b'{"is_docker": true}')


@pytest.mark.usefixtures("answering")
def test_in_docker_is_the_one_that_our_container_publishes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "docker").write_text(DOCKER)
    (tmp_path / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")

    ours = settings.load({**LOCALSTACK, "AWS_ENDPOINT_URL": "http://127.0.0.1:4620"})

    assert target.in_docker(ours)
    assert not target.in_docker(settings.load(LOCALSTACK)), "another one, beside it, is not"


@pytest.mark.usefixtures("answering")
def test_beside_localstack_a_cache_is_started_unless_one_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Settings] = []
    monkeypatch.setattr(target, "in_docker", lambda _: False)
    monkeypatch.setattr(cache_server, "start", started.append)
    chosen = settings.load(LOCALSTACK)

    for answers in (True, False):
        monkeypatch.setattr(cache_server, "answers", lambda _, answers=answers: answers)
        target.start(chosen)

    assert started == [chosen]
