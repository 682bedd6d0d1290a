"""Commands to a Redis-protocol server, over redis-py's connections and without its client: that has a method for each
command there is, three quarters of what the package takes to load and to ship, and a cached read needs one command."""

import threading
from typing import Any

from redis.connection import ConnectionPool
from redis.exceptions import ConnectionError as Disconnected


class RedisServer:
    """One per process and time limit. The thread that answers requests has a connection of its own, which is a quarter
    faster than to take one out of the pool each time; threads of a fan-out share the pool."""

    def __init__(self, url: str, seconds: float) -> None:
        self._pool = ConnectionPool.from_url(url, socket_timeout=seconds, socket_connect_timeout=max(seconds, 0.2))
        self._own = self._pool.make_connection()

    def ask(self, *command: str | bytes | int) -> Any:  # Any: replies, untyped
        """The reply to one command. Raises redis.RedisError."""
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
    except Disconnected:
        connection.disconnect()
        connection.send_command(*command)
        return connection.read_response()
