"""One signed POST to a receiver: Standard Webhooks' headers, https to a public address, no redirect, an end in time.

Nothing of the answer but its status is read: what a receiver says may hold its own secrets, and helps nobody here.
"""

import http.client
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol
from urllib.parse import urlsplit

from standardwebhooks import Webhook as Signer

from functions.broker_service.webhook_model import Attempt, Delivery, Failure, SealedSecret, Webhook, WebhookId
from functions.common.clock import Clock
from functions.common.connection import CheckedConnection
from functions.common.context import TRACE_HEADER, traceparent
from functions.common.egress import Refused, Resolve, parsed

USER_AGENT = "billing-aggregator-webhooks"


class Opener(Protocol):
    def open(self, webhook_id: WebhookId, secret: SealedSecret) -> str:
        """Raises Unavailable when it cannot be opened now."""
        ...


class WebhookSender:
    """`sandbox_origin`: the one origin that may be plain HTTP and on this machine; empty: none."""

    def __init__(
        self,
        opener: Opener,
        clock: Clock,
        sandbox_origin: str = "",
        resolve: Resolve | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._opener = opener
        self._clock = clock
        self._sandbox_origin = sandbox_origin
        self._resolve = resolve
        self._now = now

    def send(self, webhook: Webhook, delivery: Delivery, seconds: float) -> Attempt:
        at, started = self._clock.now(), self._now()
        secrets = [self._opener.open(webhook.webhook_id, secret) for secret in webhook.signing(at)]
        status, failure = self._post(webhook.url, delivery.body, signed(delivery, at, secrets), seconds)
        milliseconds = round((self._now() - started) * 1000)
        return Attempt(at=at, status=status, failure=failure, milliseconds=milliseconds)

    def _post(self, url: str, body: str, headers: dict[str, str], seconds: float) -> tuple[int, Failure | None]:
        ends = self._now() + seconds

        def left() -> float:
            if (seconds_left := ends - self._now()) <= 0:
                raise TimeoutError
            return seconds_left

        connection: CheckedConnection | None = None
        try:
            connection = CheckedConnection(parsed(url, self._sandbox_origin), left, self._resolve)
            connection.request("POST", _path(url), body.encode(), headers)
            with connection.getresponse() as response:
                return response.status, _failure(response.status)
        except Refused:
            return 0, Failure.NOT_ALLOWED
        except TimeoutError:
            return 0, Failure.TIMEOUT
        except (http.client.HTTPException, OSError):
            return 0, Failure.UNREACHABLE
        finally:
            if connection:
                connection.close()


def signed(delivery: Delivery, at: datetime, secrets: Sequence[str]) -> dict[str, str]:
    """Headers of an attempt, with a signature for each secret: a receiver needs to know one of them."""
    signatures = [Signer(secret).sign(delivery.delivery_id, at, delivery.body) for secret in secrets]
    return {
        "Content-Type": "application/json",
        "User-Agent": USER_AGENT,
        "webhook-id": delivery.delivery_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(signatures),
        TRACE_HEADER: traceparent(),
    }


def _failure(status: int) -> Failure | None:
    if 200 <= status < 300:
        return None
    return Failure.REDIRECT if 300 <= status < 400 else Failure.REFUSED


def _path(url: str) -> str:
    parts = urlsplit(url)
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
