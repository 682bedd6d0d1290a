"""What the use cases share: finding a link, changing it although others do too, and what to tell of it."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol, TypedDict, TypeVar

from functions.account_linking_service.model import Link, LinkChanged, LinkId, UserId
from functions.account_linking_service.states import USER_EVENTS, LinkEvent
from functions.common.errors import NotFound, Unavailable
from functions.common.ids import is_id
from functions.contracts.events.accounts import AccountLinkedV1, AccountStateChangedV1, AccountUnlinkedV1
from functions.contracts.events.bills import BillsRefreshRequestedV1
from functions.contracts.events.envelope import EventData, wrap

LINK = "lnk"
WRITE_ATTEMPTS = 5
T = TypeVar("T")


class LinkReader(Protocol):
    """Unlinked accounts are not there, for any of these."""

    def get(self, user_id: UserId, link_id: LinkId) -> Link | None: ...

    def page(self, user_id: UserId, after: str, limit: int) -> Sequence[Link]:
        """Oldest first, those whose id is greater than `after`."""
        ...


def known(links: LinkReader, user_id: UserId, link_id: str) -> Link:
    """Raises NotFound for what is unknown, ill-formed or another user's."""
    link = links.get(user_id, LinkId(link_id)) if user_id and is_id(LINK, link_id) else None
    if link is None:
        raise unknown()
    return link


def unknown() -> NotFound:
    return NotFound("There is no such linked account.", code="link_not_found")


def changing(links: LinkReader, user_id: UserId, link_id: str, change: Callable[[Link], T]) -> T:
    """What `change` makes of the link as it stands; again while somebody else is faster (LinkChanged)."""
    for _ in range(WRITE_ATTEMPTS):
        try:
            return change(known(links, user_id, link_id))
        except LinkChanged:
            continue
    raise Unavailable("The linked account is being changed by others; try again.", code="contended", retry_after=1)


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


def linked_event(link: Link, now: datetime) -> str:
    return _event(AccountLinkedV1(**_facts(link)), now)


def unlinked_event(link: Link, now: datetime) -> str:
    return _event(AccountUnlinkedV1(**_facts(link)), now)


def events_of(before: Link, after: Link, event: LinkEvent, now: datetime) -> list[str]:
    """That the state changed, if it did; and that the link is to be read at once, after what the user did for that."""
    told: list[str] = []
    if before.state is not after.state:
        told.append(_event(AccountStateChangedV1(previous_state=before.state.value, **_facts(after)), now))
    if event in USER_EVENTS:
        told.append(_event(BillsRefreshRequestedV1(user_id=after.user_id, link_id=after.link_id, reason="user"), now))
    return told


def _event(data: EventData, now: datetime) -> str:
    return wrap(data, now).to_json()
