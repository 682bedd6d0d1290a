"""The one way to what users gave. Stands in a function of its own, which alone may decrypt.

Where it opens a link, it tidies up: a login that was replaced, a data key that is old, and one that a former master key
wrapped end in one fresh box under a fresh key. What hinders that costs nobody the answer; the next call tries again.
"""

import contextvars
import logging
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Protocol, TypeVar

from functions.account_linking_service.credentials import (
    Login,
    MfaCode,
    OpenedLink,
    Sealed,
    SealedLink,
    Secrets,
    Unreadable,
)
from functions.account_linking_service.links import LINK
from functions.account_linking_service.model import LinkId, UserId
from functions.common import logs
from functions.common.clock import Clock
from functions.common.errors import AppError, FieldError, InvalidInput
from functions.common.ids import is_id

log = logging.getLogger(__name__)

MAX_OPENED = 200
KMS_THREADS = 10
"""As many as botocore keeps connections."""
READ_ATTEMPTS = 3
C = TypeVar("C", Secrets, Login, MfaCode)


class SealedLinks(Protocol):
    def sealed(self, user_id: UserId, link_ids: Sequence[LinkId]) -> Sequence[SealedLink]:
        """Cipher texts and keys are read one after the other: who changes both in between makes them not fit."""
        ...

    def reseal(self, seen: SealedLink, fresh: Sealed) -> bool:
        """Puts `fresh` in place of the link's box and replaced login, unless they are not as `seen` any more."""
        ...


class Vault(Protocol):
    def seal(self, link_id: LinkId, clear: Secrets) -> Sealed: ...

    def open(self, link_id: LinkId, sealed: Sealed, kind: type[C]) -> C:
        """Raises Unreadable."""
        ...

    def is_current(self, sealed: Sealed) -> bool: ...


class CredentialsDoor:
    def __init__(self, links: SealedLinks, vault: Vault, clock: Clock, max_key_age: timedelta) -> None:
        self._links = links
        self._vault = vault
        self._clock = clock
        self._max_key_age = max_key_age

    def open(self, user_id: UserId, link_ids: Iterable[str]) -> list[OpenedLink]:
        """Links that are unknown, unlinked or another user's are left out."""
        wanted = [LinkId(link_id) for link_id in dict.fromkeys(link_ids) if is_id(LINK, link_id)]
        if len(wanted) > MAX_OPENED:
            raise InvalidInput.of(FieldError("link_ids", "too_many", f"At most {MAX_OPENED} at once."))
        sealed = self._links.sealed(user_id, wanted) if user_id and wanted else []
        if not sealed:
            return []
        with ThreadPoolExecutor(min(KMS_THREADS, len(sealed)), thread_name_prefix="kms") as pool:
            opened = [pool.submit(contextvars.copy_context().run, self._open, link) for link in sealed]
            return [link for link in (future.result() for future in opened) if link is not None]

    def _open(self, link: SealedLink) -> OpenedLink | None:
        """None for a link that went meanwhile, or whose key or cipher text is damaged: it costs its own bills, not the
        other links'."""
        for _ in range(READ_ATTEMPTS):
            try:
                opened = self._opened(link)
            except Unreadable:
                again = self._links.sealed(link.user_id, [link.link_id])
                if list(again) == [link]:
                    log.exception("credentials_unreadable", extra=logs.fields(link_id=link.link_id))
                    return None
                if not again:
                    return None
                link = again[0]
            else:
                self._tidy(link, opened)
                return opened
        log.warning("credentials_keep_changing", extra=logs.fields(link_id=link.link_id))
        return None

    def _opened(self, link: SealedLink) -> OpenedLink:
        secrets = self._vault.open(link.link_id, link.sealed, Secrets)
        if link.login:
            secrets = secrets.with_login(self._vault.open(link.link_id, link.login, Login))
        code = self._vault.open(link.link_id, link.code, MfaCode) if link.code else None
        return OpenedLink(link.link_id, link.provider_id, secrets, code)

    def _tidy(self, link: SealedLink, opened: OpenedLink) -> None:
        sealed_at = link.sealed.sealed_at
        is_old = sealed_at is None or self._clock.now() - sealed_at > self._max_key_age
        if not (link.login or is_old or not self._vault.is_current(link.sealed)):
            return
        try:
            done = self._links.reseal(link, self._vault.seal(link.link_id, opened.secrets))
        except AppError as error:
            log.warning("credentials_not_resealed", extra=logs.fields(link_id=link.link_id, code=error.code))
        else:
            log.info("credentials_resealed", extra=logs.fields(link_id=link.link_id, done=done))
