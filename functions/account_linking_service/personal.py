"""Use cases of a user's rights on everything that is kept of their links."""

import logging
from collections.abc import Iterator
from typing import Protocol

from functions.account_linking_service.model import HeldLink, UserId
from functions.common import logs, personal

log = logging.getLogger(__name__)


class UserLinks(Protocol):
    """All that is kept of one user."""

    def held(self, user_id: UserId, after: str) -> Iterator[HeldLink]:
        """Unlinked ones too, oldest first, those whose id is greater than `after`."""
        ...

    def mark_gone(self, user_id: UserId) -> None:
        """From now on no link of the user is added."""
        ...

    def delete(self, user_id: UserId, limit: int) -> int:
        """Deletes at most `limit` items with their keys and codes; answers how many."""
        ...


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
