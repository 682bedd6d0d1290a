"""HTTP with utilities: https only, one origin, no redirects, no proxies, a size cap, and an end in time.

Errors are raised `from None`, and say neither the URL, which may hold an account number, nor what came back.
"""

import base64
import http.client
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from functions.bill_aggregation_service.adapters.base import (
    Access,
    AccountUnknown,
    BadCredentials,
    ConsentExpired,
    DocumentUnusable,
    Headers,
    Locked,
    ProviderDown,
    ProviderError,
    ProviderMalformed,
    ProviderMisconfigured,
    ProviderRedirects,
    ProviderThrottled,
    ProviderTimeout,
    Refusal,
    whole_number,
)
from functions.common.connection import CheckedConnection
from functions.common.context import TRACE_HEADER, traceparent
from functions.common.egress import Refused, Resolve, Target, parsed

MAX_BODY_BYTES = 10_000_000
MAX_REFUSAL_BYTES = 65_536
CHUNK_BYTES = 65_536
MAX_RETRY_AFTER_SECONDS = 86_400
USER_AGENT = "billing-aggregator"
ERRORS: Mapping[int, type[ProviderError]] = {
    401: BadCredentials,
    403: ConsentExpired,
    404: AccountUnknown,
    408: ProviderTimeout,
    423: Locked,
    429: ProviderThrottled,
}


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What a file must be."""

    media_type: str
    max_bytes: int

    def check(self, response: http.client.HTTPResponse) -> None:
        if response.headers.get_content_type() != self.media_type:
            raise DocumentUnusable("the answer is of another media type")


class UtilityClient:
    """The HttpClient of one fetch from `base_url`, over after `seconds`; a single call takes at most `call_seconds`."""

    def __init__(
        self,
        base_url: str,
        seconds: float,
        *,
        call_seconds: float,
        sandbox_origin: str = "",
        resolve: Resolve | None = None,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        target = checked_target(base_url, sandbox_origin)
        self._path = _path(base_url)
        self._now = now
        self._sleep = sleep
        self._deadline = now() + seconds
        self._call_seconds = call_seconds
        self._call_ends = self._deadline
        self._connection = CheckedConnection(target, self._left_of_call, resolve)

    def get(self, path: str, *, query: Headers | None = None, headers: Headers | None = None) -> bytes:
        return self._send("GET", f"{path}?{urlencode(query)}" if query else path, None, headers or {})

    def post(self, path: str, body: bytes, *, content_type: str, headers: Headers | None = None) -> bytes:
        return self._send("POST", path, body, {"Content-Type": content_type, **(headers or {})})

    def download(self, path: str, *, media_type: str, max_bytes: int, headers: Headers | None = None) -> bytes:
        wanted = _Wanted(media_type, max_bytes)
        return self._send("GET", path, None, {"Accept": media_type, **(headers or {})}, wanted)

    def pause(self, seconds: float) -> None:
        if seconds >= self._left():
            raise ProviderTimeout("no time left to ask again")
        self._sleep(seconds)

    def close(self) -> None:
        self._connection.close()

    def _send(
        self, method: str, path: str, body: bytes | None, headers: Headers, wanted: _Wanted | None = None
    ) -> bytes:
        self._call_ends = self._now() + min(self._call_seconds, self._left())
        # Compressed answers are refused: nothing a utility sends can grow after it was counted.
        sent = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity", TRACE_HEADER: traceparent(), **headers}
        try:
            return self._exchange(method, path, body, sent, wanted)
        except TimeoutError:
            raise ProviderTimeout("the utility did not answer in time") from None
        except Refused as refused:
            raise ProviderMisconfigured(f"the utility may not be called: {refused.code}") from None
        except (http.client.HTTPException, OSError) as error:
            raise ProviderDown(f"the utility cannot be reached: {type(error).__name__}") from None
        except ValueError:
            # Only credentials stand in headers as they were given.
            raise BadCredentials("the credentials cannot be sent") from None

    def _exchange(self, method: str, path: str, body: bytes | None, headers: Headers, wanted: _Wanted | None) -> bytes:
        try:
            self._connection.request(method, self._path + path, body, headers)
            with self._connection.getresponse() as response:
                _check(response)
                if wanted is None:
                    return _read(response, MAX_BODY_BYTES, ProviderMalformed)
                wanted.check(response)
                return _read(response, wanted.max_bytes, DocumentUnusable)
        except Exception:
            # What was not read would be taken for the next answer.
            self.close()
            raise

    def _left(self) -> float:
        left = self._deadline - self._now()
        if left <= 0:
            raise ProviderTimeout("the fetch took too long")
        return left

    def _left_of_call(self) -> float:
        left = self._call_ends - self._now()
        if left <= 0:
            raise TimeoutError
        return left


def checked_target(base_url: str, sandbox_origin: str) -> Target:
    """Raises ProviderMisconfigured unless `base_url` is an https origin with a path, or in the sandbox. Where its name
    leads is judged when the connection is made."""
    try:
        target = parsed(base_url, sandbox_origin)
    except Refused as refused:
        raise ProviderMisconfigured(f"the base URL cannot be used: {refused.code}") from None
    if "?" in base_url:
        raise ProviderMisconfigured("the base URL must be an origin and a path")
    return target


def basic(username: str, password: str) -> dict[str, str]:
    """RFC 7617, in UTF-8."""
    return {"Authorization": "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()}


def mfa_headers(access: Access) -> dict[str, str]:
    """The user's answer to a challenge, for utilities that take it in headers."""
    if not access.mfa_code:
        return {}
    return {"X-MFA-Token": access.mfa_reference, "X-MFA-Code": access.mfa_code}


def _path(base_url: str) -> str:
    _, slash, path = base_url.partition("://")[2].partition("/")
    return (slash + path).rstrip("/")


def _check(response: http.client.HTTPResponse) -> None:
    status = response.status
    if 200 <= status < 300:
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise ProviderMalformed("the answer is compressed")
        return
    if 300 <= status < 400:
        raise ProviderRedirects(f"the utility answered {status}: redirects are not followed")
    error = ERRORS.get(status, ProviderDown if status >= 500 else ProviderMalformed)
    refusal = Refusal(status, dict(response.headers.items()), response.read(MAX_REFUSAL_BYTES))
    raise error(f"the utility answered {status}", retry_after=_retry_after(response), refusal=refusal)


def _read(response: http.client.HTTPResponse, max_bytes: int, too_large: type[ProviderError]) -> bytes:
    parts: list[bytes] = []
    size = 0
    while part := response.read1(CHUNK_BYTES):
        size += len(part)
        if size > max_bytes:
            raise too_large("the answer is too large")
        parts.append(part)
    if response.length:
        raise http.client.IncompleteRead(b"", response.length)
    return b"".join(parts)


def _retry_after(response: http.client.HTTPResponse) -> int:
    return min(whole_number(response.headers.get("Retry-After", "")), MAX_RETRY_AFTER_SECONDS)
