"""Background processes: a stale process file is the same as none, a taken port is named."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from infra.console import Failure
from infra.process import Daemon, free_port, port_open, require_free
from infra.settings import ROOT

SLEEPER = [sys.executable, "-c", "import time; time.sleep(60)"]


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    daemon = Daemon("sleeper", tmp_path)
    yield daemon
    daemon.stop(10)


def start(daemon: Daemon, command: list[str] = SLEEPER) -> int:
    daemon.start(command, cwd=daemon.run_dir, env=os.environ)
    return int(json.loads(daemon.file.read_text())["pid"])


def test_a_started_process_is_found_again_and_stopped(daemon: Daemon) -> None:
    pid = start(daemon)

    found = Daemon("sleeper", daemon.run_dir).process()

    assert found is not None
    assert found.pid == pid
    assert daemon.stop(10)
    assert daemon.process() is None
    assert not psutil.pid_exists(pid)
    assert not daemon.file.exists()


def test_another_process_than_the_one_that_started_it_can_stop_it(daemon: Daemon) -> None:
    start(daemon)  # and, being its parent, do not wait for it: once ended it stays as a zombie
    code = "import sys, pathlib, infra.process as p; p.Daemon('sleeper', pathlib.Path(sys.argv[1])).stop(5)"

    subprocess.run([sys.executable, "-c", code, str(daemon.run_dir)], cwd=ROOT, check=True, timeout=20)

    assert daemon.process() is None


def test_stopping_what_never_ran_is_no_error(daemon: Daemon) -> None:
    assert not daemon.stop(1)


@pytest.mark.parametrize("content", ["", "{", "[]", '"12"', '{"pid": 999999999, "created": 1.0}', '{"created": 1.0}'])
def test_a_file_that_names_no_running_process_counts_as_none(daemon: Daemon, content: str) -> None:
    daemon.file.write_text(content)

    assert daemon.process() is None


def test_a_process_id_used_again_by_another_process_is_not_ours_and_is_left_alone(daemon: Daemon) -> None:
    with subprocess.Popen(SLEEPER) as stranger:
        daemon.file.write_text(json.dumps({"pid": stranger.pid, "created": 12345.0}))

        assert daemon.process() is None
        assert not daemon.stop(1)
        assert stranger.poll() is None
        stranger.kill()


def test_a_process_that_dies_at_once_is_reported_with_its_last_words(daemon: Daemon) -> None:
    start(daemon, [sys.executable, "-c", "print('no such option'); raise SystemExit(2)"])

    with pytest.raises(Failure, match="no such option"):
        daemon.await_ready(lambda: False, timeout=10)


def test_a_process_that_does_not_answer_is_not_waited_for_without_end(daemon: Daemon) -> None:
    start(daemon)

    with pytest.raises(Failure, match="did not answer within"):
        daemon.await_ready(lambda: False, timeout=0.2)


@pytest.mark.usefixtures("socket_enabled")
def test_a_taken_port_is_named_with_what_to_change() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        with pytest.raises(Failure) as failure:
            require_free(port, "the engine", "AWS_ENDPOINT_URL=http://127.0.0.1:4567")

    assert f"Port {port}" in failure.value.message
    assert "AWS_ENDPOINT_URL" in failure.value.todo


@pytest.mark.usefixtures("socket_enabled")
def test_a_free_port_is_free() -> None:
    port = free_port()

    assert not port_open(port)
    require_free(port, "the engine", "")
