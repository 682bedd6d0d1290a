"""The audit in one table: keys `user_id` and `sk`, time to live `expires_at`.

sk                      what
<time>#<event id>       an event, by when it happened
user#gone               mark: the user was purged, nothing of them is kept any more
"""

from collections.abc import Iterator
from datetime import UTC, datetime

from pynamodb.attributes import NumberAttribute, UnicodeAttribute
from pynamodb.models import Model

from functions.common.clock import Clock, parse_rfc3339, rfc3339
from functions.common.personal import GONE, GONE_LIFETIME
from functions.common.table import bind, saved, translated, updated
from functions.listener_service.model import PLATFORM, Entry, EventId, UserId

AFTER_ALL = ":"
"""Greater than the key of any entry, which begins with a digit; smaller than the mark."""


class AuditItem(Model):
    class Meta:
        table_name = ""
        billing_mode = "PAY_PER_REQUEST"

    user_id = UnicodeAttribute(hash_key=True)
    sk = UnicodeAttribute(range_key=True)
    at = UnicodeAttribute()
    event_id = UnicodeAttribute()
    type = UnicodeAttribute()
    subject = UnicodeAttribute()
    summary = UnicodeAttribute()
    actor = UnicodeAttribute()
    address = UnicodeAttribute()
    correlation_id = UnicodeAttribute()
    data = UnicodeAttribute()
    expires_at = NumberAttribute()


class MarkItem(Model):
    class Meta:
        table_name = ""
        billing_mode = "PAY_PER_REQUEST"

    user_id = UnicodeAttribute(hash_key=True)
    sk = UnicodeAttribute(range_key=True)
    expires_at = NumberAttribute()


class DynamoAuditTable:
    def __init__(self, table_name: str, clock: Clock) -> None:
        self._audit = bind(AuditItem, table_name)
        self._mark = bind(MarkItem, table_name)
        self._clock = clock

    def append(self, entry: Entry) -> None:
        """Written first, and the mark looked for afterwards: a purge marks first and deletes afterwards, so whichever
        comes later sees the other. No transaction: all events of a user would meet on their mark's key."""
        item = self._item(entry)
        # if it was delivered before, nobody knows whether the mark was looked for then
        saved(item, AuditItem.sk.does_not_exist())
        if entry.user_id != PLATFORM and self._is_gone(entry.user_id):
            with translated():
                item.delete()

    def newest(self, user_id: UserId, before: str, page: int) -> Iterator[Entry]:
        keys = AuditItem.sk < (before or AFTER_ALL)
        with translated():
            for item in self._audit.query(user_id, keys, scan_index_forward=False, page_size=page):
                yield _entry(item)

    def held(self, user_id: UserId, after: str) -> Iterator[Entry]:
        with translated():
            found = self._audit.query(user_id, AuditItem.sk.between(f"{after}!", AFTER_ALL), consistent_read=True)
            yield from map(_entry, found)

    def mark_gone(self, user_id: UserId) -> None:
        mark = self._mark(user_id, GONE)
        ends = int((self._clock.now() + GONE_LIFETIME).timestamp())
        # unless a run before has marked it
        updated(mark, [MarkItem.expires_at.set(ends)], MarkItem.sk.does_not_exist())

    def delete(self, user_id: UserId, limit: int) -> int:
        with translated(), self._audit.batch_write() as batch:
            found = self._audit.query(
                user_id,
                AuditItem.sk < AFTER_ALL,
                consistent_read=True,
                attributes_to_get=["user_id", "sk"],
                limit=limit,
            )
            items = list(found)
            for item in items:
                batch.delete(item)
        return len(items)

    def _is_gone(self, user_id: UserId) -> bool:
        with translated():
            try:
                self._mark.get(user_id, GONE, consistent_read=True)
            except MarkItem.DoesNotExist:
                return False
        return True

    def _item(self, entry: Entry) -> AuditItem:
        return self._audit(
            entry.user_id,
            entry.key,
            at=rfc3339(entry.at),
            event_id=entry.event_id,
            type=entry.type,
            subject=entry.subject,
            summary=entry.summary,
            actor=entry.actor,
            address=entry.address,
            correlation_id=entry.correlation_id,
            data=entry.data,
            expires_at=int(entry.expires_at.timestamp()),
        )


def _entry(item: AuditItem) -> Entry:
    return Entry(
        user_id=UserId(item.user_id),
        at=parse_rfc3339(item.at),
        event_id=EventId(item.event_id),
        type=item.type,
        subject=item.subject,
        summary=item.summary,
        actor=item.actor,
        address=item.address,
        correlation_id=item.correlation_id,
        data=item.data,
        expires_at=datetime.fromtimestamp(int(item.expires_at), UTC),
    )
