"""Failed logins, counted in SessionsTable (session_table.py)."""

from collections.abc import Sequence
from datetime import datetime

from pynamodb.attributes import BooleanAttribute, NumberAttribute, UnicodeAttribute

from functions.common.clock import parse_rfc3339, rfc3339
from functions.common.table import bind, saved, translated
from functions.user_service.lockout import AccountKey, Count, Place
from functions.user_service.session_table import KeptItem, delete_partition

ALL = "all"


class CountItem(KeptItem):
    class Meta:
        table_name = ""

    failures = NumberAttribute()
    locked_until = UnicodeAttribute(null=True)
    known = BooleanAttribute(null=True)


class DynamoCounts:
    def __init__(self, table_name: str) -> None:
        self._count = bind(CountItem, table_name)

    def read(self, places: Sequence[Place]) -> Sequence[Count]:
        keys = [_count_key(place) for place in places]
        with translated():
            found = {
                (item.user_id, item.session_id): item for item in self._count.batch_get(keys, consistent_read=True)
            }
        return [_count(found[key]) if key in found else Count() for key in keys]

    def write(self, place: Place, seen: Count, count: Count) -> bool:
        item = self._count(
            *_count_key(place),
            failures=count.failures,
            locked_until=rfc3339(count.locked_until) if count.locked_until else None,
            known=count.known or None,
            expires_at=count.expires_at,
        )
        if seen.expires_at is None:
            return saved(item, CountItem.session_id.does_not_exist())
        return saved(item, (CountItem.failures == seen.failures) & (CountItem.expires_at == seen.expires_at))

    def add_failure(self, place: Place, expires_at: datetime) -> int:
        item = self._count(*_count_key(place))
        with translated():
            item.update([CountItem.failures.add(1), CountItem.expires_at.set(expires_at)])
        return int(item.failures)

    def lock(self, place: Place, until: datetime) -> None:
        with translated():
            self._count(*_count_key(place)).update([CountItem.locked_until.set(rfc3339(until))])

    def delete(self, place: Place) -> None:
        with translated():
            self._count(*_count_key(place)).delete()

    def delete_account(self, account: AccountKey) -> int:
        return delete_partition(self._count, _account_partition(account))


def _account_partition(account: AccountKey) -> str:
    return f"count#account#{account}"


def _count_key(place: Place) -> tuple[str, str]:
    if place.account is None:
        return f"count#address#{place.address}", ALL
    return _account_partition(place.account), place.address or ALL


def _count(item: CountItem) -> Count:
    return Count(
        failures=int(item.failures),
        locked_until=parse_rfc3339(item.locked_until) if item.locked_until else None,
        expires_at=item.expires_at,
        known=bool(item.known),
    )
