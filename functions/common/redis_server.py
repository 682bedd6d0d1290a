"""Runs the cache's scripts in a Redis-protocol server, over redis-py's connections and without its client: that has a
method for each command there is, three quarters of what the package takes to load and to ship."""

import functools
import hashlib
import threading
from collections.abc import Sequence
from typing import Any

from redis import exceptions
from redis.connection import ConnectionPool

from functions.common.cache import NoReply


class RedisServer:
    """One per process and time limit. The thread that answers requests has a connection of its own, which is a quarter
    faster than to take one out of the pool each time; threads of a fan-out share the pool."""

    def __init__(self, url: str, seconds: float) -> None:
        self._pool = ConnectionPool.from_url(url, socket_timeout=seconds, socket_connect_timeout=max(seconds, 0.2))
        self._own = self._pool.make_connection()

    def run(self, script: str, keys: Sequence[str], args: Sequence[str | bytes | int]) -> Any:  # Any: replies, untyped
        """What the Lua script answers. Raises NoReply."""
        try:
            try:
                return self._ask("EVALSHA", _digest(script), len(keys), *keys, *args)
            except exceptions.NoScriptError:
                return self._ask("EVAL", script, len(keys), *keys, *args)
        except exceptions.RedisError as error:
            raise NoReply(type(error).__name__) from error

    def _ask(self, *command: str | bytes | int) -> Any:  # Any: as above
        if threading.current_thread() is threading.main_thread():
            return _asked(self._own, command)
        connection = self._pool.get_connection()
        try:
            return _asked(connection, command)
        finally:
            self._pool.release(connection)


def _asked(connection: Any, command: tuple[str | bytes | int, ...]) -> Any:  # Any: redis-py's own, untyped
    """A connection that broke while the function slept is made anew; what takes too long is not tried again."""
    try:
        connection.send_command(*command)
        return connection.read_response()
    except exceptions.ConnectionError:
        connection.disconnect()
        connection.send_command(*command)
        return connection.read_response()


@functools.cache
def _digest(script: str) -> str:
    """By which Redis knows it."""
    return hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()
