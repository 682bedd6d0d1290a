"""Use cases of a user's links: link, list, name, unlink. Repairing one stands in `repair.py`, what other services ask
and tell in `register.py`, opening credentials in `door.py`; each is built with no more than its function may use."""

import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from functions.account_linking_service.credentials import Sealed, Secrets
from functions.account_linking_service.customer_params import CustomerParam, identifier
from functions.account_linking_service.links import (
    LINK,
    LinkReader,
    changing,
    known,
    linked_event,
    unlinked_event,
)
from functions.account_linking_service.lookup import account_hash
from functions.account_linking_service.model import (
    FIRST_REFRESH_GRACE,
    PROVIDER_ID,
    AlreadyLinked,
    Link,
    LinkId,
    ProviderId,
    UserGone,
    UserId,
    mask,
)
from functions.common import cursor as cursors
from functions.common import logs
from functions.common.clock import Clock
from functions.common.errors import Conflict, FieldError, InvalidInput, NotFound, Unauthenticated, Unavailable
from functions.common.ids import is_id, new_id
from functions.common.outbox import Outbox, Pending
from functions.common.patterns import UnusablePattern, compiled

log = logging.getLogger(__name__)


class LinkWriter(LinkReader, Protocol):
    """For the API function, which alone adds and removes links."""

    def add(self, link: Link, sealed: Sealed, events: Sequence[str]) -> Pending:
        """Raises AlreadyLinked when the user has linked the account before, UserGone when the user was deleted."""
        ...

    def update(self, seen: Link, changed: Link, events: Sequence[str]) -> Pending:
        """One conditional write. Raises LinkChanged when the link is not as `seen` any more."""
        ...

    def remove(self, seen: Link, revoked: Link, events: Sequence[str]) -> Pending:
        """Shreds the keys and what they encrypt, frees the account, leaves a tombstone. Raises LinkChanged."""
        ...

    def count(self, user_id: UserId) -> int: ...


class Providers(Protocol):
    def customer_params(self, provider_id: ProviderId) -> tuple[CustomerParam, ...]:
        """Raises NotFound where there is no such provider in service, Conflict where nobody can link."""
        ...


class Sealer(Protocol):
    def seal(self, link_id: LinkId, clear: Secrets) -> Sealed: ...


class AccountLinking:
    """What users do with their links."""

    def __init__(
        self,
        links: LinkWriter,
        providers: Providers,
        sealer: Sealer,
        outbox: Outbox,
        clock: Clock,
        *,
        lookup_key: bytes,
        max_links: int,
    ) -> None:
        self._links = links
        self._providers = providers
        self._sealer = sealer
        self._outbox = outbox
        self._clock = clock
        self._lookup_key = lookup_key
        self._max_links = max_links

    def customer_params(self, provider_id: str) -> tuple[CustomerParam, ...]:
        """What must be given to link an account there. Raises NotFound; Conflict where nobody can link; Unavailable
        when the provider's entry asks for something that cannot be checked: nobody links there until it is mended."""
        if not PROVIDER_ID.fullmatch(provider_id):
            raise NotFound("There is no such provider.", code="provider_not_found")
        wanted = self._providers.customer_params(ProviderId(provider_id))
        try:
            for param in wanted:
                compiled(param.regex, param.longest)
        except UnusablePattern as error:
            log.exception("provider_pattern_unusable", extra=logs.fields(provider_id=provider_id))
            detail = "Accounts at this provider cannot be linked at the moment."
            raise Unavailable(detail, code="provider_misconfigured") from error
        return wanted

    def link_account(
        self,
        user_id: UserId,
        provider_id: ProviderId,
        wanted: Sequence[CustomerParam],
        secrets: Secrets,
        nickname: str | None,
    ) -> Link:
        """Raises Conflict when the user has linked this account before, or too many.

        The limit is soft: links added in the same moment do not see each other.
        """
        if self._links.count(user_id) >= self._max_links:
            raise Conflict(f"At most {self._max_links} accounts can be linked.", code="too_many_links")
        now = self._clock.now()
        number = identifier(wanted, secrets.params, secrets.username)
        link = Link(
            link_id=LinkId(new_id(LINK)),
            user_id=user_id,
            provider_id=provider_id,
            account_identifier=mask(number),
            account_hash=account_hash(self._lookup_key, provider_id, number),
            nickname=nickname,
            next_refresh_at=now + FIRST_REFRESH_GRACE,
            created_at=now,
            updated_at=now,
        )
        try:
            pending = self._links.add(link, self._sealer.seal(link.link_id, secrets), [linked_event(link, now)])
        except AlreadyLinked as error:
            detail = f"This account is linked already, as {error.link_id}."
            raise Conflict(detail, code="already_linked") from error
        except UserGone as error:
            raise Unauthenticated("This user was deleted.", code="user_gone") from error
        log.info("account_linked", extra=logs.fields(link_id=link.link_id, provider_id=provider_id))
        self._outbox.send([pending])
        return link

    def list_accounts(self, user_id: UserId, limit: int, cursor: str) -> tuple[Sequence[Link], str | None]:
        """One page and the cursor of the next, if there is one. Raises InvalidInput for a cursor that is none."""
        after = _position(cursor) if cursor else ""
        found = self._links.page(user_id, after, limit + 1)
        page = found[:limit]
        return page, cursors.encode({"link_id": page[-1].link_id}) if len(found) > limit else None

    def get_account(self, user_id: UserId, link_id: str) -> Link:
        return known(self._links, user_id, link_id)

    def rename_account(
        self, user_id: UserId, link_id: str, nickname: str | None, check: Callable[[Link], None]
    ) -> Link:
        """`check` sees the link that the name is given to, and raises what forbids it. The same name costs no write."""

        def rename(link: Link) -> Link:
            check(link)
            if link.nickname == nickname:
                return link
            renamed = link.renamed(nickname, self._clock.now())
            self._links.update(link, renamed, [])
            return renamed

        return changing(self._links, user_id, link_id, rename)

    def unlink_account(self, user_id: UserId, link_id: str) -> None:
        """Its credentials cannot be read by anybody from this moment on."""

        def unlink(link: Link) -> Pending:
            now = self._clock.now()
            revoked = link.revoked(now)
            pending = self._links.remove(link, revoked, [unlinked_event(revoked, now)])
            log.info("account_unlinked", extra=logs.fields(link_id=link_id, provider_id=link.provider_id))
            return pending

        self._outbox.send([changing(self._links, user_id, link_id, unlink)])


def _position(cursor: str) -> str:
    link_id = cursors.decode(cursor).get("link_id", "")
    if not is_id(LINK, link_id):
        raise InvalidInput.of(FieldError("cursor", "invalid", "This is no cursor that this list gave out."))
    return link_id
