"""HTTP with utilities, by requests: https only, one origin, no redirects, no proxies, a size cap, and an end in time.

Errors are raised `from None`: requests' own say the URL, which may hold an account number.
"""

import base64
import time
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

import requests
import urllib3

from functions.bill_aggregation_service.adapters.base import (
    AccountUnknown,
    BadCredentials,
    ConsentExpired,
    Headers,
    Locked,
    ProviderDown,
    ProviderError,
    ProviderMalformed,
    ProviderMisconfigured,
    ProviderThrottled,
    ProviderTimeout,
)

MAX_BODY_BYTES = 10_000_000
CHUNK_BYTES = 65_536
MAX_RETRY_AFTER_SECONDS = 86_400
ERRORS: Mapping[int, type[ProviderError]] = {
    401: BadCredentials,
    403: ConsentExpired,
    404: AccountUnknown,
    408: ProviderTimeout,
    423: Locked,
    429: ProviderThrottled,
}


class RequestsClient:
    """The HttpClient of one fetch from `base_url`, over after `seconds`; a single call takes at most `call_seconds`."""

    def __init__(
        self,
        base_url: str,
        seconds: float,
        *,
        call_seconds: float,
        sandbox_origin: str = "",
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._base_url = checked_base_url(base_url, sandbox_origin)
        self._now = now
        self._sleep = sleep
        self._deadline = now() + seconds
        self._call_seconds = call_seconds
        self._session = requests.Session()
        self._session.trust_env = False  # neither a proxy nor a .netrc has a say in who gets the credentials

    def get(self, path: str, *, query: Headers | None = None, headers: Headers | None = None) -> bytes:
        return self._send("GET", path, query, None, headers or {})

    def post(self, path: str, body: bytes, *, content_type: str, headers: Headers | None = None) -> bytes:
        return self._send("POST", path, None, body, {"Content-Type": content_type, **(headers or {})})

    def pause(self, seconds: float) -> None:
        if seconds >= self._left():
            raise ProviderTimeout("no time left to ask again")
        self._sleep(seconds)

    def _send(self, method: str, path: str, query: Headers | None, body: bytes | None, headers: Headers) -> bytes:
        ends_at = self._now() + min(self._call_seconds, self._left())
        try:
            with self._session.request(
                method,
                self._base_url + path,
                params=query,
                data=body,
                # Compressed answers are refused: nothing a utility sends can grow after it was counted.
                headers={"Accept-Encoding": "identity", **headers},
                timeout=ends_at - self._now(),
                allow_redirects=False,
                stream=True,
            ) as response:
                _check(response)
                return self._read(response, ends_at)
        except (requests.Timeout, urllib3.exceptions.TimeoutError):
            raise ProviderTimeout("the utility did not answer in time") from None
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise ProviderDown(f"the utility cannot be reached: {type(error).__name__}") from None

    def _read(self, response: requests.Response, ends_at: float) -> bytes:
        parts: list[bytes] = []
        size = 0
        # read1, because iter_content waits for whole chunks: a utility that drips would never be found out.
        while part := response.raw.read1(CHUNK_BYTES):
            size += len(part)
            if size > MAX_BODY_BYTES:
                raise ProviderMalformed("the answer is too large")
            if self._now() > ends_at:
                raise ProviderTimeout("the answer did not end in time")
            parts.append(part)
        return b"".join(parts)

    def _left(self) -> float:
        left = self._deadline - self._now()
        if left <= 0:
            raise ProviderTimeout("the fetch took too long")
        return left


def checked_base_url(base_url: str, sandbox_origin: str) -> str:
    """`base_url` without a trailing slash. Raises ProviderMisconfigured unless it is https or in the sandbox."""
    try:
        url = urlsplit(base_url)
        origin = f"{url.scheme}://{url.hostname or ''}" + (f":{url.port}" if url.port else "")
    except ValueError:
        raise ProviderMisconfigured("the base URL is none") from None
    if not url.hostname or "@" in url.netloc or url.query or url.fragment:
        raise ProviderMisconfigured("the base URL must be an origin and a path")
    if url.scheme != "https" and not (sandbox_origin and origin == sandbox_origin.rstrip("/")):
        raise ProviderMisconfigured("the base URL must be https")
    return base_url.rstrip("/")


def basic(username: str, password: str) -> dict[str, str]:
    """RFC 7617, in UTF-8."""
    return {"Authorization": "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()}


def _check(response: requests.Response) -> None:
    status = response.status_code
    if 200 <= status < 300:
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise ProviderMalformed("the answer is compressed")
        return
    error = ERRORS.get(status, ProviderDown if status >= 500 else ProviderMalformed)
    raise error(f"the utility answered {status}", retry_after=_retry_after(response))


def _retry_after(response: requests.Response) -> int:
    text = response.headers.get("Retry-After", "")
    return min(int(text), MAX_RETRY_AFTER_SECONDS) if text.isascii() and text.isdigit() else 0
