"""All that stands in a user's partition: to show it to its user, and to end it."""

from collections.abc import Iterator

from functions.account_linking_service.items_table import CODE, FIRST, LAST, LinkItem, LinkKeyItem, held_of
from functions.account_linking_service.model import HeldLink, UserId
from functions.common.clock import Clock
from functions.common.personal import GONE, GONE_LIFETIME
from functions.common.table import bind, translated, updated


class UserLinkTable:
    def __init__(self, links_table: str, link_keys_table: str, clock: Clock) -> None:
        self._links = bind(LinkItem, links_table)
        self._keys = bind(LinkKeyItem, link_keys_table)
        self._clock = clock

    def held(self, user_id: UserId, after: str) -> Iterator[HeldLink]:
        start = f"{after}!" if after else FIRST
        lives = LinkItem.expires_at.does_not_exist() | (LinkItem.expires_at > self._clock.now())
        with translated():
            found = self._links.query(user_id, LinkItem.link_id.between(start, LAST), lives, consistent_read=True)
            yield from map(held_of, found)

    def mark_gone(self, user_id: UserId) -> None:
        mark = self._links(user_id, GONE)
        ends = self._clock.now() + GONE_LIFETIME
        # unless a run before has marked it
        updated(mark, [LinkItem.expires_at.set(ends)], LinkItem.link_id.does_not_exist())

    def delete(self, user_id: UserId, limit: int) -> int:
        with translated():
            found = self._links.query(
                user_id, consistent_read=True, attributes_to_get=["user_id", "link_id"], limit=limit + 1
            )
            items = [item for item in found if item.link_id != GONE][:limit]
            links = [item.link_id for item in items if item.link_id.startswith(FIRST)]
            # Keys first: a run that is cut off in between finds the links again, which nobody can open any more.
            with self._keys.batch_write() as batch:
                for link_id in links:
                    batch.delete(self._keys(link_id))
                    batch.delete(self._keys(link_id + CODE))
            with self._links.batch_write() as batch:
                for item in items:
                    batch.delete(item)
        return len(items)
