"""Use cases of the other services: they ask for links, and tell what became of them."""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol

from functions.account_linking_service.links import LINK, LinkReader, changing, events_of, known, linked_event, unknown
from functions.account_linking_service.lookup import account_hash, manual_hash
from functions.account_linking_service.model import (
    PROVIDER_ID,
    AccountHash,
    AlreadyLinked,
    Link,
    LinkId,
    LinkKind,
    Outcome,
    ProviderId,
    Schedule,
    UserGone,
    UserId,
    mask,
    normalised,
)
from functions.account_linking_service.states import LinkState
from functions.common import logs
from functions.common.clock import Clock
from functions.common.errors import FieldError, InvalidInput, NotFound, Unauthenticated
from functions.common.ids import is_id, new_id
from functions.common.outbox import Outbox, Pending

log = logging.getLogger(__name__)

MAX_LISTED = 200
MAX_DUE = 200
MAX_LEASE = timedelta(hours=1)
MAX_FLUSH = 200
CLOCK_TOLERANCE = timedelta(minutes=5)


class LinkRecorder(LinkReader, Protocol):
    def owner_of(self, link_id: LinkId) -> UserId | None: ...

    def holder(self, user_id: UserId, account: AccountHash) -> LinkId | None:
        """The user's link of this account."""
        ...

    def of_account(self, account: AccountHash) -> Sequence[Link]:
        """Every user's. One just made may not be there yet."""
        ...

    def add(self, link: Link, sealed: None, events: Sequence[str]) -> Pending:
        """Raises AlreadyLinked, UserGone."""
        ...

    def update(self, seen: Link, changed: Link, events: Sequence[str]) -> Pending:
        """One conditional write. Raises LinkChanged when the link is not as `seen` any more."""
        ...

    def lease_due(self, now: datetime, until: datetime, limit: int) -> tuple[Sequence[Link], bool]:
        """Links due at `now`, made due again at `until`; and whether there are more."""
        ...


class LinkRegister:
    def __init__(
        self, links: LinkRecorder, outbox: Outbox, clock: Clock, schedule: Schedule, *, lookup_key: bytes
    ) -> None:
        self._links = links
        self._outbox = outbox
        self._clock = clock
        self._schedule = schedule
        self._lookup_key = lookup_key

    def get_linked_accounts(self, user_id: UserId) -> Sequence[Link]:
        return self._links.page(user_id, "", MAX_LISTED)

    def get_linked_account(self, link_id: str, user_id: str) -> Link:
        """`user_id` may be empty: then whoever owns it."""
        owner = UserId(user_id) if user_id else self._owner_of(link_id)
        return known(self._links, owner, link_id)

    def find_links(self, provider_id: str, account_number: str) -> Sequence[Link]:
        """Every user's live links of one account."""
        if not PROVIDER_ID.fullmatch(provider_id) or not normalised(account_number):
            return ()
        return self._links.of_account(account_hash(self._lookup_key, ProviderId(provider_id), account_number))

    def list_due(self, limit: int, lease: timedelta) -> tuple[Sequence[Link], bool]:
        """Links that are due, given to nobody else for the time of the lease; and whether there are more."""
        now = self._clock.now()
        return self._links.lease_due(now, now + min(lease, MAX_LEASE), min(limit, MAX_DUE))

    def record_outcome(self, user_id: UserId, link_id: str, outcome: Outcome) -> Link:
        """The link after it. An outcome that is not newer than what is known already changes nothing."""
        now = self._clock.now()
        if outcome.attempted_at > now + CLOCK_TOLERANCE:
            raise InvalidInput.of(FieldError("attempted_at", "invalid", "This lies in the future."))

        def record(link: Link) -> tuple[Link, Pending | None]:
            changed = link if link.supersedes(outcome) else link.after(outcome, self._schedule, now)
            if changed is link:
                return link, None
            events = events_of(link, changed, outcome.event, now)
            pending = self._links.update(link, changed, events)
            return changed, pending if events else None

        link, pending = changing(self._links, user_id, link_id, record)
        if pending:
            self._outbox.send([pending])
        return link

    def ensure_manual_link(self, user_id: UserId, provider_id: str) -> Link:
        """The user's one link there that files feed, made when it is missing."""
        if not PROVIDER_ID.fullmatch(provider_id):
            raise NotFound("There is no such provider.", code="provider_not_found")
        wanted = self._manual_link(user_id, ProviderId(provider_id))
        if held_by := self._links.holder(user_id, wanted.account_hash):
            return known(self._links, user_id, held_by)
        try:
            pending = self._links.add(wanted, None, [linked_event(wanted, wanted.created_at)])
        except AlreadyLinked as error:  # by another request in the same moment
            return known(self._links, user_id, error.link_id)
        except UserGone as error:
            raise Unauthenticated("This user was deleted.", code="user_gone") from error
        log.info("manual_link_made", extra=logs.fields(link_id=wanted.link_id, provider_id=provider_id))
        self._outbox.send([pending])
        return wanted

    def flush_outbox(self, limit: int) -> tuple[int, bool]:
        return self._outbox.flush(max(1, min(limit, MAX_FLUSH)))

    def _manual_link(self, user_id: UserId, provider_id: ProviderId) -> Link:
        now = self._clock.now()
        return Link(
            link_id=LinkId(new_id(LINK)),
            user_id=user_id,
            provider_id=provider_id,
            kind=LinkKind.MANUAL,
            account_identifier=mask(""),
            account_hash=manual_hash(self._lookup_key, provider_id, user_id),
            nickname=None,
            state=LinkState.ACTIVE,
            next_refresh_at=None,
            created_at=now,
            updated_at=now,
        )

    def _owner_of(self, link_id: str) -> UserId:
        owner = self._links.owner_of(LinkId(link_id)) if is_id(LINK, link_id) else None
        if owner is None:
            raise unknown()
        return owner
