"""Use cases of a user who brings a link back: another login, or the code that the utility waits for."""

import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from functions.account_linking_service.credentials import Login, MfaCode, Sealed
from functions.account_linking_service.links import LinkReader, changing, events_of
from functions.account_linking_service.model import Link, LinkId, LinkKind, MfaChallenge, UserId
from functions.account_linking_service.states import LinkEvent, NoTransition
from functions.common import logs
from functions.common.clock import Clock
from functions.common.errors import Conflict
from functions.common.outbox import Outbox, Pending

log = logging.getLogger(__name__)

CODE_LIFETIME = timedelta(minutes=10)
"""Of a code for a challenge of which the utility did not say when it ends."""


class RepairedLinks(LinkReader, Protocol):
    """Each of these is one transaction of the link and its box; raises LinkChanged when the link is not as `seen`."""

    def replace_login(self, seen: Link, changed: Link, login: Sealed, events: Sequence[str]) -> Pending: ...

    def keep_code(
        self, seen: Link, changed: Link, code: Sealed, expires_at: datetime, events: Sequence[str]
    ) -> Pending: ...


class RepairSealer(Protocol):
    def seal(self, link_id: LinkId, clear: Login | MfaCode) -> Sealed: ...


class LinkRepair:
    def __init__(self, links: RepairedLinks, sealer: RepairSealer, outbox: Outbox, clock: Clock) -> None:
        self._links = links
        self._sealer = sealer
        self._outbox = outbox
        self._clock = clock

    def replace_credentials(
        self, user_id: UserId, link_id: str, login: Login, check: Callable[[Link], None] = lambda _: None
    ) -> Link:
        """The link, which is read with the new login at once. `check` raises what forbids it for the link as it is."""

        def replace(link: Link) -> tuple[Link, Pending]:
            check(link)
            if link.kind is LinkKind.MANUAL:
                raise Conflict("Files feed this account: it has no credentials.", code="link_is_manual")
            now = self._clock.now()
            changed = link.repaired(LinkEvent.CREDENTIALS_REPLACED, now)
            events = events_of(link, changed, LinkEvent.CREDENTIALS_REPLACED, now)
            return changed, self._links.replace_login(link, changed, self._sealer.seal(link.link_id, login), events)

        return self._done("credentials_replaced", changing(self._links, user_id, link_id, replace))

    def submit_mfa(self, user_id: UserId, link_id: str, code: str) -> Link:
        """The link, which is read with the code at once. Raises Conflict when nobody waits for a code any more."""

        def submit(link: Link) -> tuple[Link, Pending]:
            now = self._clock.now()
            try:
                changed = link.repaired(LinkEvent.MFA_SUBMITTED, now)
            except NoTransition as error:
                raise Conflict("The utility waits for no code.", code="mfa_not_required") from error
            challenge = link.mfa or MfaChallenge()
            expires_at = challenge.expires_at or now + CODE_LIFETIME
            if expires_at <= now:
                raise Conflict("The code came too late: refresh to get another.", code="mfa_expired")
            events = events_of(link, changed, LinkEvent.MFA_SUBMITTED, now)
            box = self._sealer.seal(link.link_id, MfaCode(code, challenge.reference))
            return changed, self._links.keep_code(link, changed, box, expires_at, events)

        return self._done("mfa_submitted", changing(self._links, user_id, link_id, submit))

    def _done(self, what: str, repaired: tuple[Link, Pending]) -> Link:
        link, pending = repaired
        log.info("link_repaired", extra=logs.fields(link_id=link.link_id, provider_id=link.provider_id, by=what))
        self._outbox.send([pending])
        return link
