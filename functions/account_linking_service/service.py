"""Use cases. Three objects, one per function, so that each is built with no more than it may use."""

import contextvars
import hashlib
import hmac
import logging
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Protocol, TypedDict

from functions.account_linking_service.customer_params import CustomerParam, identifier
from functions.account_linking_service.model import (
    FIRST_REFRESH_GRACE,
    PROVIDER_ID,
    AccountHash,
    AlreadyLinked,
    HeldLink,
    Link,
    LinkChanged,
    LinkId,
    OpenedLink,
    Outcome,
    ProviderId,
    Schedule,
    Sealed,
    SealedLink,
    Secrets,
    Unreadable,
    UserGone,
    UserId,
    mask,
    normalised,
)
from functions.common import cursor as cursors
from functions.common import logs, personal
from functions.common.clock import Clock
from functions.common.errors import Conflict, FieldError, InvalidInput, NotFound, Unauthenticated, Unavailable
from functions.common.ids import is_id, new_id
from functions.common.outbox import Outbox, Pending
from functions.common.patterns import UnusablePattern, compiled
from functions.contracts.events.accounts import AccountLinkedV1, AccountStateChangedV1, AccountUnlinkedV1
from functions.contracts.events.envelope import EventData, wrap

log = logging.getLogger(__name__)

LINK = "lnk"
WRITE_ATTEMPTS = 5
MAX_DUE = 200
MAX_LEASE = timedelta(hours=1)
MAX_FLUSH = 200
MAX_OPENED = 200
CLOCK_TOLERANCE = timedelta(minutes=5)
KMS_THREADS = 10
"""As many as botocore keeps connections."""


class LinkReader(Protocol):
    """Unlinked accounts are not there, for any of these."""

    def get(self, user_id: UserId, link_id: LinkId) -> Link | None: ...

    def page(self, user_id: UserId, after: str, limit: int) -> Sequence[Link]:
        """Oldest first, those whose id is greater than `after`."""
        ...


class LinkWriter(LinkReader, Protocol):
    """For the API function, which alone adds and removes links."""

    def add(self, link: Link, sealed: Sealed, events: Sequence[str]) -> Pending:
        """Raises AlreadyLinked when the user has linked the account before, UserGone when the user was deleted."""
        ...

    def remove(self, seen: Link, revoked: Link, events: Sequence[str]) -> Pending:
        """Shreds the key and what it encrypts, frees the account, leaves a tombstone. Raises LinkChanged."""
        ...

    def count(self, user_id: UserId) -> int: ...


class LinkRecorder(LinkReader, Protocol):
    """For the RPC function, which records what refreshes came to."""

    def owner_of(self, link_id: LinkId) -> UserId | None: ...

    def update(self, seen: Link, changed: Link, events: Sequence[str]) -> Pending:
        """One conditional write. Raises LinkChanged when the link is not as `seen` any more."""
        ...

    def lease_due(self, now: datetime, until: datetime, limit: int) -> tuple[Sequence[Link], bool]:
        """Links due at `now`, made due again at `until`; and whether there are more."""
        ...


class UserLinks(Protocol):
    """All that is kept of one user."""

    def held(self, user_id: UserId, after: str) -> Iterator[HeldLink]:
        """Unlinked ones too, oldest first, those whose id is greater than `after`."""
        ...

    def mark_gone(self, user_id: UserId) -> None:
        """From now on no link of the user is added."""
        ...

    def delete(self, user_id: UserId, limit: int) -> int:
        """Deletes at most `limit` items with their keys; answers how many."""
        ...


class SealedLinks(Protocol):
    def sealed(self, user_id: UserId, link_ids: Sequence[LinkId]) -> Sequence[SealedLink]: ...


class Providers(Protocol):
    def customer_params(self, provider_id: ProviderId) -> tuple[CustomerParam, ...]: ...


class Sealer(Protocol):
    def seal(self, link_id: LinkId, clear: Secrets) -> Sealed: ...


class Opener(Protocol):
    def open(self, link_id: LinkId, sealed: Sealed) -> Secrets: ...


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
        """What must be given to link an account there. Raises NotFound, or Unavailable when the provider's entry
        asks for something that cannot be checked: nobody links there until an administrator mends it."""
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
            account_hash=self._account_hash(provider_id, number),
            nickname=nickname,
            next_refresh_at=now + FIRST_REFRESH_GRACE,
            created_at=now,
            updated_at=now,
        )
        events = [_event(AccountLinkedV1(**_facts(link)), now)]
        try:
            pending = self._links.add(link, self._sealer.seal(link.link_id, secrets), events)
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
        return _known(self._links, user_id, link_id)

    def unlink_account(self, user_id: UserId, link_id: str) -> None:
        """Its credentials cannot be read by anybody from this moment on."""
        for _ in range(WRITE_ATTEMPTS):
            link = _known(self._links, user_id, link_id)
            now = self._clock.now()
            revoked = link.revoked(now)
            try:
                pending = self._links.remove(link, revoked, [_event(AccountUnlinkedV1(**_facts(revoked)), now)])
            except LinkChanged:
                continue
            log.info("account_unlinked", extra=logs.fields(link_id=link_id, provider_id=link.provider_id))
            self._outbox.send([pending])
            return
        raise _contended()

    def _account_hash(self, provider_id: ProviderId, number: str) -> AccountHash:
        """Finds an account by its number without the number being kept."""
        text = f"{provider_id}\0{normalised(number)}"
        return AccountHash(hmac.new(self._lookup_key, text.encode(), hashlib.sha256).hexdigest())


class LinkRegister:
    """What the other services ask and tell about links."""

    def __init__(self, links: LinkRecorder, outbox: Outbox, clock: Clock, schedule: Schedule) -> None:
        self._links = links
        self._outbox = outbox
        self._clock = clock
        self._schedule = schedule

    def get_linked_accounts(self, user_id: UserId) -> Sequence[Link]:
        return self._links.page(user_id, "", MAX_OPENED)

    def get_linked_account(self, link_id: str, user_id: str) -> Link:
        """`user_id` may be empty: then whoever owns it."""
        owner = UserId(user_id) if user_id else self._owner_of(link_id)
        return _known(self._links, owner, link_id)

    def list_due(self, limit: int, lease: timedelta) -> tuple[Sequence[Link], bool]:
        """Links that are due, given to nobody else for the time of the lease; and whether there are more."""
        now = self._clock.now()
        return self._links.lease_due(now, now + min(lease, MAX_LEASE), min(limit, MAX_DUE))

    def record_outcome(self, user_id: UserId, link_id: str, outcome: Outcome) -> Link:
        """The link after it. An outcome that is not newer than the last one recorded changes nothing."""
        now = self._clock.now()
        if outcome.attempted_at > now + CLOCK_TOLERANCE:
            raise InvalidInput.of(FieldError("attempted_at", "invalid", "This lies in the future."))
        for _ in range(WRITE_ATTEMPTS):
            link = _known(self._links, user_id, link_id)
            if link.supersedes(outcome):
                return link
            changed = link.after(outcome, self._schedule, now)
            events = _state_changed(link, changed, now)
            try:
                pending = self._links.update(link, changed, events)
            except LinkChanged:
                continue
            if events:
                self._outbox.send([pending])
            return changed
        raise _contended()

    def flush_outbox(self, limit: int) -> tuple[int, bool]:
        return self._outbox.flush(max(1, min(limit, MAX_FLUSH)))

    def _owner_of(self, link_id: str) -> UserId:
        owner = self._links.owner_of(LinkId(link_id)) if is_id(LINK, link_id) else None
        if owner is None:
            raise _unknown()
        return owner


class PersonalData:
    """What users may ask of everything that is kept of them: to see it, and to have it deleted."""

    def __init__(self, links: UserLinks) -> None:
        self._links = links

    def export_user(self, user_id: UserId, cursor: str) -> personal.ExportPage:
        """Never what the user gave to link: only the door to credentials may read it, and only to call the utility."""
        held = self._links.held(user_id, personal.after(cursor))
        return personal.export_page(["links"], (personal.Record(link.link_id, "links", link) for link in held))

    def purge_user(self, user_id: UserId) -> tuple[int, bool]:
        """How many items went, and whether there are more. Marked first: a link that is added later is refused."""
        self._links.mark_gone(user_id)
        deleted = self._links.delete(user_id, personal.PURGED_AT_ONCE)
        log.info("user_purged", extra=logs.fields(items=deleted))
        return deleted, deleted == personal.PURGED_AT_ONCE


class CredentialsDoor:
    """The one way to what users gave. Stands in a function of its own, which alone may decrypt."""

    def __init__(self, links: SealedLinks, opener: Opener) -> None:
        self._links = links
        self._opener = opener

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
        """None for a link whose key or cipher text is damaged: it costs its own bills, not the other links'."""
        try:
            return OpenedLink(link.link_id, link.provider_id, self._opener.open(link.link_id, link.sealed))
        except Unreadable:
            log.exception("credentials_unreadable", extra=logs.fields(link_id=link.link_id))
            return None


def _known(links: LinkReader, user_id: UserId, link_id: str) -> Link:
    link = links.get(user_id, LinkId(link_id)) if user_id and is_id(LINK, link_id) else None
    if link is None:
        raise _unknown()
    return link


def _unknown() -> NotFound:
    return NotFound("There is no such linked account.", code="link_not_found")


def _contended() -> Unavailable:
    return Unavailable("The linked account is being changed by others; try again.", code="contended", retry_after=1)


def _position(cursor: str) -> str:
    link_id = cursors.decode(cursor).get("link_id", "")
    if not is_id(LINK, link_id):
        raise InvalidInput.of(FieldError("cursor", "invalid", "This is no cursor that this list gave out."))
    return link_id


class _Facts(TypedDict):
    user_id: str
    link_id: str
    provider_id: str
    state: str
    status_detail: str
    version: int


def _facts(link: Link) -> _Facts:
    """What every event says of a link: never its identifier, not even masked."""
    return {
        "user_id": link.user_id,
        "link_id": link.link_id,
        "provider_id": link.provider_id,
        "state": link.state.value,
        "status_detail": link.status_detail,
        "version": link.version,
    }


def _state_changed(before: Link, after: Link, now: datetime) -> list[str]:
    if before.state is after.state:
        return []
    return [_event(AccountStateChangedV1(previous_state=before.state.value, **_facts(after)), now)]


def _event(data: EventData, now: datetime) -> str:
    return wrap(data, now).to_json()
