"""`Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header): same key and same request are carried out once.

A record stands for one key of one caller. It is put before the work begins, in progress, and its `expires_at` is then
the end of a lease a little longer than the function may run; with the answer in it, it is kept for 24 hours. So one
condition decides who may begin: there is no record, or it has expired. A crash leaves a lease that ends.

What is kept: keyed hashes of who asked with which key and of the request, and the answer. No secret of a request can
be found in it; a route whose answer holds a secret must not be idempotent.
"""

import hashlib
import hmac
import logging
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from functions.common.context import remaining_seconds
from functions.common.errors import Conflict, FieldError, InvalidHeader, InvalidInput, Unavailable
from functions.common.ids import new_id
from functions.common.logs import fields

log = logging.getLogger(__name__)

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
KEPT_SECONDS = 86_400
LEASE_MARGIN_SECONDS = 2
"""The function ends at most a second after nobody waits for its answer any more."""
PATIENCE_SECONDS = 2.0
"""How long a second request waits for the first one's answer before it is told to come again."""
PAUSES = (0.05, 0.1, 0.2, 0.3)
NOT_KEPT = frozenset({401, 403, 429})
"""A retry with a new token, role or quota is to be carried out. So is one after a failure of ours, 500 and above."""
_KEY = re.compile(r"[\x21-\x7e]{1,255}")


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    status: int
    headers: Mapping[str, str]
    body: str


@dataclass(frozen=True, slots=True)
class Record:
    key: str
    """Keyed hash of the caller and the caller's key."""
    request: str
    """Keyed hash of what was asked for."""
    attempt: str
    """Who holds the lease."""
    expires_at: int
    """Unix time from which the record counts for nothing: the end of the lease, or of the 24 hours."""
    answer: KeptAnswer | None = None
    """None while in progress."""


class Records(Protocol):
    """Raises Unavailable where the store does not answer."""

    def take(self, record: Record, now: int) -> bool:
        """Puts `record`, unless there is one for its key that has not expired at `now`. Whether it was put."""
        ...

    def find(self, key: str) -> Record | None: ...

    def complete(self, record: Record) -> bool:
        """Puts `record` in place of the one of the same attempt. Whether that was still there."""
        ...

    def remove(self, record: Record) -> None:
        """Deletes the record of this attempt, if it is still there."""
        ...


class Idempotency:
    def __init__(
        self,
        records: Records,
        secret: bytes,
        now: Callable[[], float] = time.time,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._records = records
        self._secret = secret
        self._now = now
        self._pause = pause

    def once(
        self, caller: str, key: str, request: Sequence[str | bytes], perform: Callable[[], KeptAnswer]
    ) -> KeptAnswer:
        """What `perform` answers, or answered when `caller` used this `key` before; then with `Idempotency-Replayed`.

        Raises InvalidHeader for a key that is none, InvalidInput when it stood for another request, and Conflict while
        the first is still in progress.
        """
        if not _KEY.fullmatch(key):
            raise invalid_key()
        mine = Record(
            key=self._hash("key", caller, key),
            request=self._hash("request", *request),
            attempt=new_id("att"),
            expires_at=int(self._now() + remaining_seconds()) + LEASE_MARGIN_SECONDS,
        )
        if (known := self._take(mine)) is not None:
            return replace(known, headers={**known.headers, REPLAYED: "true"})
        answer = perform()
        self._settle(mine, answer)
        return answer

    def _take(self, mine: Record) -> KeptAnswer | None:
        """None once `mine` stands; else the answer to the same request."""
        began, pauses = self._now(), iter(PAUSES)
        while not self._records.take(mine, int(self._now())):
            found = self._records.find(mine.key)
            if found and not hmac.compare_digest(found.request, mine.request):
                raise key_reused()
            if found and found.answer:
                return found.answer
            if self._now() - began >= PATIENCE_SECONDS:
                raise Conflict(
                    "A request with this Idempotency-Key is still in progress; see Retry-After.",
                    code="idempotency_in_progress",
                    retry_after=2,
                )
            self._pause(next(pauses, PAUSES[-1]))
        return None

    def _settle(self, mine: Record, answer: KeptAnswer) -> None:
        """Keeps the answer, or frees the key. The work is done: a store that fails now must not hide that."""
        try:
            if answer.status >= 500 or answer.status in NOT_KEPT:
                self._records.remove(mine)
            elif not self._records.complete(replace(mine, answer=answer, expires_at=int(self._now()) + KEPT_SECONDS)):
                log.warning("idempotency_lease_lost", extra=fields(status=answer.status))
        except Unavailable:
            log.warning("idempotency_not_settled", extra=fields(status=answer.status), exc_info=True)

    def _hash(self, *parts: str | bytes) -> str:
        """Of the parts, each with its length before it, so that no two sequences look the same."""
        digest = hmac.new(self._secret, digestmod=hashlib.sha256)
        for part in parts:
            raw = part.encode() if isinstance(part, str) else part
            digest.update(len(raw).to_bytes(8, "big") + raw)
        return digest.hexdigest()


def invalid_key() -> InvalidHeader:
    message = "It has 1 to 255 visible ASCII characters."
    return InvalidHeader(
        f"The header {HEADER} does not validate. {message}", errors=[FieldError(HEADER, "invalid", message)]
    )


def key_reused() -> InvalidInput:
    message = "This key was used for another request. Use a new one for each."
    return InvalidInput(message, code="idempotency_key_reused", errors=[FieldError(HEADER, "reused", message)])
