"""How `make start-api` ends: with its child, and without a complaint when it was told to."""

import os
import signal
import subprocess
import sys
import threading

from infra.start_api import until_told

CHILD = "import time; print('up', flush=True); time.sleep(30)"


def started(code: str) -> "subprocess.Popen[bytes]":
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert process.stdout
    process.stdout.readline()
    return process


def test_a_child_that_ends_by_itself_says_how() -> None:
    with started("import sys; print('up', flush=True); sys.exit(4)") as process:
        assert until_told(process) == 4


def test_a_signal_to_end_is_passed_on_and_is_no_failure() -> None:
    with started(CHILD) as process:
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM)).start()

        assert until_told(process) == 0
        assert process.returncode == -signal.SIGTERM


def test_what_ctrl_c_has_told_the_child_it_is_not_told_twice() -> None:
    with started(CHILD) as process:
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
        threading.Timer(0.4, process.kill).start()  # no signal came from us, so it has run on

        assert until_told(process) == 0
        assert process.returncode == -signal.SIGKILL


def test_signals_mean_afterwards_what_they_meant_before() -> None:
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = [signal.getsignal(number) for number in numbers]
    with started("print('up', flush=True)") as process:
        until_told(process)

    assert [signal.getsignal(number) for number in numbers] == before
