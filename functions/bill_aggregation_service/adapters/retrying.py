"""Asks a utility again within a fetch, where that may help: it was down, too slow, or says itself when to come back."""

import random
from collections.abc import Callable

from functions.bill_aggregation_service.adapters.base import (
    Headers,
    HttpClient,
    ProviderDown,
    ProviderError,
    ProviderThrottled,
    ProviderTimeout,
)

MAX_RETRIES = 2
"""Of one call."""
FIRST_PAUSE_SECONDS = 0.25


class Retrying:
    """An HttpClient that asks again. Pauses are random, so that those who were refused together do not come back
    together; they end with the fetch, as everything does."""

    def __init__(self, http: HttpClient, rand: Callable[[], float] = random.random) -> None:
        self._http = http
        self._random = rand

    def get(self, path: str, *, query: Headers | None = None, headers: Headers | None = None) -> bytes:
        return self._tried(lambda: self._http.get(path, query=query, headers=headers))

    def post(self, path: str, body: bytes, *, content_type: str, headers: Headers | None = None) -> bytes:
        return self._tried(lambda: self._http.post(path, body, content_type=content_type, headers=headers))

    def download(self, path: str, *, media_type: str, max_bytes: int, headers: Headers | None = None) -> bytes:
        return self._tried(
            lambda: self._http.download(path, media_type=media_type, max_bytes=max_bytes, headers=headers)
        )

    def pause(self, seconds: float) -> None:
        self._http.pause(seconds)

    def _tried(self, call: Callable[[], bytes]) -> bytes:
        for retry in range(MAX_RETRIES):
            try:
                return call()
            except (ProviderDown, ProviderTimeout, ProviderThrottled) as error:
                self._wait(error, retry)
        return call()

    def _wait(self, error: ProviderError, retry: int) -> None:
        """Raises `error` when there is no time to ask again, or the utility wants to be left alone."""
        if isinstance(error, ProviderThrottled) and not error.retry_after:
            raise error
        pause = FIRST_PAUSE_SECONDS * 2**retry
        try:
            self._http.pause(error.retry_after + pause / 2 + pause / 2 * self._random())
        except ProviderTimeout:
            raise error from None
