"""Links, the marks that make an account linkable once, and the wrapped keys.

LinksTable     user_id  lnk_…         a link, or the tombstone of one
LinksTable     user_id  acct#<hash>   says which link holds this account of this user
LinksTable     user_id  user#gone     the user was deleted: no link is added any more (ends by `expires_at`)
LinkKeysTable  link_id                the link's data key, wrapped; deleting it shreds the link's credentials
"""

import random
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta

from pynamodb.attributes import BinaryAttribute, NumberAttribute, TTLAttribute, UnicodeAttribute
from pynamodb.exceptions import DoesNotExist, TransactWriteError
from pynamodb.expressions.update import Action
from pynamodb.indexes import GlobalSecondaryIndex, KeysOnlyProjection
from pynamodb.models import Model
from pynamodb.transactions import TransactWrite

from functions.account_linking_service.model import (
    TOMBSTONE_LIFETIME,
    AccountHash,
    AlreadyLinked,
    HeldLink,
    Link,
    LinkChanged,
    LinkId,
    LinkState,
    ProviderId,
    Sealed,
    SealedLink,
    UserGone,
    UserId,
)
from functions.common.clock import Clock, parse_rfc3339, rfc3339
from functions.common.errors import Unavailable
from functions.common.outbox import OUTBOX_SHARDS, Pending
from functions.common.personal import GONE, GONE_LIFETIME
from functions.common.table import ConditionFailed, OutboxMixin, bind, translated

DUE_SHARDS = 16
UNSENT_AFTER = timedelta(seconds=15)
"""Younger events are still being sent by the request that wrote them."""
TRANSACTION_PAUSES = (0.02, 0.06, 0.2)
FIRST, LAST = "lnk_", "lnk_~"
MARK = "acct#"


class ByLinkIndex(GlobalSecondaryIndex["LinkItem"]):  # type: ignore[no-untyped-call]  # PynamoDB's own
    class Meta:
        index_name = "by_link"
        projection = KeysOnlyProjection()

    link_id = UnicodeAttribute(hash_key=True)


class DueIndex(GlobalSecondaryIndex["LinkItem"]):  # type: ignore[no-untyped-call]  # PynamoDB's own
    """Sparse: tombstones have no shard."""

    class Meta:
        index_name = "due"
        projection = KeysOnlyProjection()

    due_shard = NumberAttribute(hash_key=True)
    next_refresh_at = UnicodeAttribute(range_key=True)


class OutboxIndex(GlobalSecondaryIndex["LinkItem"]):  # type: ignore[no-untyped-call]  # PynamoDB's own
    """Sparse: only items with unsent events."""

    class Meta:
        index_name = "outbox"
        projection = KeysOnlyProjection()

    outbox_shard = NumberAttribute(hash_key=True)
    updated_at = UnicodeAttribute(range_key=True)


class LinkItem(OutboxMixin, Model):
    class Meta:
        table_name = ""
        billing_mode = "PAY_PER_REQUEST"

    by_link = ByLinkIndex()
    due = DueIndex()
    unsent = OutboxIndex()

    user_id = UnicodeAttribute(hash_key=True)
    link_id = UnicodeAttribute(range_key=True)
    provider_id = UnicodeAttribute()
    account_identifier = UnicodeAttribute(null=True)
    account_hash = UnicodeAttribute(null=True)
    nickname = UnicodeAttribute(null=True)
    state = UnicodeAttribute()
    status_detail = UnicodeAttribute(null=True)
    last_success_at = UnicodeAttribute(null=True)
    last_attempt_at = UnicodeAttribute(null=True)
    due_shard = NumberAttribute(null=True)
    next_refresh_at = UnicodeAttribute(null=True)
    consecutive_failures = NumberAttribute()
    bill_count = NumberAttribute()
    created_at = UnicodeAttribute()
    version = NumberAttribute()
    ciphertext = BinaryAttribute(legacy_encoding=False, null=True)
    expires_at = TTLAttribute(null=True)


class MarkItem(Model):
    class Meta:
        table_name = ""

    user_id = UnicodeAttribute(hash_key=True)
    link_id = UnicodeAttribute(range_key=True)
    held_by = UnicodeAttribute()


class LinkKeyItem(Model):
    class Meta:
        table_name = ""
        billing_mode = "PAY_PER_REQUEST"

    link_id = UnicodeAttribute(hash_key=True)
    wrapped_key = BinaryAttribute(legacy_encoding=False)


class LinkTable:
    """Reads links, records outcomes, keeps the outbox (`OutboxStore`)."""

    def __init__(self, links_table: str, clock: Clock) -> None:
        self._links = bind(LinkItem, links_table)
        self._clock = clock

    def get(self, user_id: UserId, link_id: LinkId) -> Link | None:
        with translated():
            try:
                item = self._links.get(user_id, link_id, consistent_read=True)
            except DoesNotExist:
                return None
        return None if item.state == LinkState.REVOKED else _link(item)

    def page(self, user_id: UserId, after: str, limit: int) -> Sequence[Link]:
        start = f"{after}!" if after else FIRST  # "!" sorts before every character of an id
        with translated():
            items = self._links.query(
                user_id,
                LinkItem.link_id.between(start, LAST),
                filter_condition=LinkItem.state != LinkState.REVOKED.value,
                consistent_read=True,
                limit=limit,
            )
            return [_link(item) for item in items]

    def owner_of(self, link_id: LinkId) -> UserId | None:
        with translated():
            return next((UserId(item.user_id) for item in self._links.by_link.query(link_id, limit=1)), None)

    def update(self, seen: Link, changed: Link, events: Sequence[str]) -> Pending:
        """The version alone says that the link is as it was seen, and so that no newer outcome is recorded."""
        item = self._links(seen.user_id, seen.link_id)
        actions: list[Action] = [
            LinkItem.state.set(changed.state.value),
            LinkItem.status_detail.set(changed.status_detail),
            LinkItem.next_refresh_at.set(rfc3339(changed.next_refresh_at)),
            LinkItem.consecutive_failures.set(changed.consecutive_failures),
            LinkItem.bill_count.set(changed.bill_count),
            *_changed(changed, events),
        ]
        if changed.last_attempt_at:
            actions.append(LinkItem.last_attempt_at.set(rfc3339(changed.last_attempt_at)))
        if changed.last_success_at:
            actions.append(LinkItem.last_success_at.set(rfc3339(changed.last_success_at)))
        try:
            with translated():
                item.update(actions, condition=LinkItem.version == seen.version)
        except ConditionFailed as error:
            raise LinkChanged from error
        return _pending(item)

    def lease_due(self, now: datetime, until: datetime, limit: int) -> tuple[Sequence[Link], bool]:
        """Shards in random order: however many links are due, none of them waits behind always the same others."""
        leased: list[Link] = []
        more = False
        for shard in random.sample(range(DUE_SHARDS), DUE_SHARDS):
            wanted = limit - len(leased)
            if wanted <= 0:
                more = True
                break
            with translated():
                due = list(self._links.due.query(shard, LinkItem.next_refresh_at <= rfc3339(now), limit=wanted))
            more = more or len(due) == wanted
            leased += [link for link in (self._lease(item, until) for item in due) if link]
        return leased, more and bool(leased)

    def pending_events(self, limit: int) -> Sequence[Pending]:
        before = rfc3339(self._clock.now() - UNSENT_AFTER)
        keys: list[tuple[str, str]] = []
        with translated():
            for shard in random.sample(range(OUTBOX_SHARDS), OUTBOX_SHARDS):
                if len(keys) >= limit:
                    break
                found = self._links.unsent.query(shard, LinkItem.updated_at <= before, limit=limit - len(keys))
                keys += [(item.user_id, item.link_id) for item in found]
            items = list(self._links.batch_get(keys, consistent_read=True)) if keys else []
        return [_pending(item) for item in items if item.outbox]

    def clear_outbox(self, pending: Pending) -> None:
        user_id, link_id = pending.key
        item = self._links(user_id, link_id)
        try:
            with translated():
                item.update(
                    [LinkItem.outbox.remove(), LinkItem.outbox_shard.remove()],
                    condition=LinkItem.version == pending.version,
                )
        except ConditionFailed:
            return  # changed since: its events go out again with the new ones

    def _lease(self, due: LinkItem, until: datetime) -> Link | None:
        """None when somebody else was faster, or the link is not what the index said. Leaves the version as it is: a
        lease is no change that anybody but other lessees must see."""
        seen = due.next_refresh_at
        try:
            with translated():
                due.update(
                    [LinkItem.next_refresh_at.set(rfc3339(until))],
                    condition=(LinkItem.next_refresh_at == seen) & LinkItem.due_shard.exists(),
                )
        except ConditionFailed:
            return None
        return _link(due)


class LinkingTable(LinkTable):
    """Adds and removes links: link, mark and key in one transaction, so that none is ever there without the others."""

    def __init__(self, links_table: str, link_keys_table: str, clock: Clock) -> None:
        super().__init__(links_table, clock)
        self._marks = bind(MarkItem, links_table)
        self._keys = bind(LinkKeyItem, link_keys_table)

    def count(self, user_id: UserId) -> int:
        with translated():
            return self._links.count(
                user_id,
                LinkItem.link_id.between(FIRST, LAST),
                filter_condition=LinkItem.state != LinkState.REVOKED.value,
                consistent_read=True,
            )

    def add(self, link: Link, sealed: Sealed, events: Sequence[str]) -> Pending:
        item = self._links(
            link.user_id,
            link.link_id,
            provider_id=link.provider_id,
            account_identifier=link.account_identifier,
            account_hash=link.account_hash,
            nickname=link.nickname,
            state=link.state.value,
            status_detail=link.status_detail,
            due_shard=_shard(link.link_id, DUE_SHARDS),
            next_refresh_at=rfc3339(link.next_refresh_at),
            consecutive_failures=link.consecutive_failures,
            bill_count=link.bill_count,
            created_at=rfc3339(link.created_at),
            updated_at=rfc3339(link.updated_at),
            version=link.version,
            ciphertext=sealed.ciphertext,
            outbox=list(events),
            outbox_shard=_shard(link.link_id, OUTBOX_SHARDS),
        )
        mark = self._marks(link.user_id, MARK + link.account_hash, held_by=link.link_id)
        key = self._keys(link.link_id, wrapped_key=sealed.wrapped_key)

        def write(transaction: TransactWrite) -> None:
            transaction.condition_check(self._links, link.user_id, GONE, condition=LinkItem.link_id.does_not_exist())
            transaction.save(mark, condition=MarkItem.link_id.does_not_exist())
            transaction.save(item, condition=LinkItem.link_id.does_not_exist())
            transaction.save(key, condition=LinkKeyItem.link_id.does_not_exist())

        try:
            self._write(write)
        except ConditionFailed as error:
            raise self._held(link) from error
        return _pending(item)

    def remove(self, seen: Link, revoked: Link, events: Sequence[str]) -> Pending:
        item = self._links(seen.user_id, seen.link_id)
        actions: list[Action] = [
            LinkItem.state.set(revoked.state.value),
            LinkItem.expires_at.set(revoked.updated_at + TOMBSTONE_LIFETIME),
            *_changed(revoked, events),
            *(
                attribute.remove()
                for attribute in (
                    LinkItem.ciphertext,
                    LinkItem.account_hash,
                    LinkItem.account_identifier,
                    LinkItem.nickname,
                    LinkItem.status_detail,
                    LinkItem.due_shard,
                    LinkItem.next_refresh_at,
                )
            ),
        ]

        def write(transaction: TransactWrite) -> None:
            transaction.update(item, actions, condition=LinkItem.version == seen.version)
            transaction.delete(self._marks(seen.user_id, MARK + seen.account_hash))
            transaction.delete(self._keys(seen.link_id))

        try:
            self._write(write)
        except ConditionFailed as error:
            raise LinkChanged from error
        with translated():
            item.refresh(consistent_read=True)  # with what was still unsent before
        return _pending(item)

    def _held(self, link: Link) -> Exception:
        """Who holds the account; somebody who let go of it in this very moment is worth another try by the caller."""
        with translated():
            if any(self._links.query(link.user_id, LinkItem.link_id == GONE, consistent_read=True)):
                return UserGone(link.user_id)
            try:
                mark = self._marks.get(link.user_id, MARK + link.account_hash, consistent_read=True)
            except DoesNotExist:
                return Unavailable("The account was being unlinked; try again.", code="contended", retry_after=1)
        return AlreadyLinked(LinkId(mark.held_by))

    def _write(self, fill: Callable[[TransactWrite], None]) -> None:
        """Raises ConditionFailed. Two transactions on one item in the same moment: DynamoDB cancels one of them without
        having judged its conditions, so it is tried again."""
        # The model's own connection, although private: every other one costs a further client at cold start.
        connection = self._links._get_connection().connection  # noqa: SLF001
        with translated():
            for pause in (*TRANSACTION_PAUSES, None):
                try:
                    with TransactWrite(connection=connection) as transaction:
                        fill(transaction)
                except TransactWriteError as error:
                    if pause is None or not _met_another(error):
                        raise
                    time.sleep(pause * (1 + random.random()))  # noqa: S311  # jitter
                else:
                    return


class UserLinkTable:
    """All that stands in a user's partition: to show it to its user, and to end it."""

    def __init__(self, links_table: str, link_keys_table: str, clock: Clock) -> None:
        self._links = bind(LinkItem, links_table)
        self._keys = bind(LinkKeyItem, link_keys_table)
        self._clock = clock

    def held(self, user_id: UserId, after: str) -> Iterator[HeldLink]:
        start = f"{after}!" if after else FIRST
        lives = LinkItem.expires_at.does_not_exist() | (LinkItem.expires_at > self._clock.now())
        with translated():
            found = self._links.query(user_id, LinkItem.link_id.between(start, LAST), lives, consistent_read=True)
            yield from map(_held, found)

    def mark_gone(self, user_id: UserId) -> None:
        mark = self._links(user_id, GONE)
        ends = self._clock.now() + GONE_LIFETIME
        try:
            with translated():
                mark.update([LinkItem.expires_at.set(ends)], condition=LinkItem.link_id.does_not_exist())
        except ConditionFailed:
            return  # marked by a run before

    def delete(self, user_id: UserId, limit: int) -> int:
        with translated():
            found = self._links.query(
                user_id, consistent_read=True, attributes_to_get=["user_id", "link_id"], limit=limit + 1
            )
            items = [item for item in found if item.link_id != GONE][:limit]
            # Keys first: a run that is cut off in between finds the links again, which nobody can open any more.
            with self._keys.batch_write() as batch:
                for item in items:
                    if not item.link_id.startswith(MARK):
                        batch.delete(self._keys(item.link_id))
            with self._links.batch_write() as batch:
                for item in items:
                    batch.delete(item)
        return len(items)


class SealedLinkTable:
    """What the function that decrypts reads; it never writes."""

    def __init__(self, links_table: str, link_keys_table: str) -> None:
        self._links = bind(LinkItem, links_table)
        self._keys = bind(LinkKeyItem, link_keys_table)

    def sealed(self, user_id: UserId, link_ids: Sequence[LinkId]) -> Sequence[SealedLink]:
        with translated():
            items = [
                item
                for item in self._links.batch_get([(user_id, link_id) for link_id in link_ids], consistent_read=True)
                if item.ciphertext and item.state != LinkState.REVOKED
            ]
            found = self._keys.batch_get([item.link_id for item in items], consistent_read=True) if items else ()
            keys = {item.link_id: item.wrapped_key for item in found}
        return [
            SealedLink(
                LinkId(item.link_id),
                ProviderId(item.provider_id),
                Sealed(keys[item.link_id], item.ciphertext),
            )
            for item in items
            if item.link_id in keys
        ]


def _met_another(error: TransactWriteError) -> bool:
    """Whether it was cancelled for that alone: a condition that failed is final."""
    reasons = {reason.code for reason in error.cancellation_reasons if reason is not None}
    return reasons == {"TransactionConflict"}


def _changed(link: Link, events: Sequence[str]) -> list[Action]:
    """What every change of a link writes: version, time and, behind those still unsent, its events."""
    actions: list[Action] = [LinkItem.version.set(link.version), LinkItem.updated_at.set(rfc3339(link.updated_at))]
    if events:
        actions.append(LinkItem.outbox.set((LinkItem.outbox | []).append(list(events))))
        actions.append(LinkItem.outbox_shard.set(_shard(link.link_id, OUTBOX_SHARDS)))
    return actions


def _pending(item: LinkItem) -> Pending:
    return Pending((item.user_id, item.link_id), int(item.version), tuple(item.outbox or ()))


def _shard(link_id: str, shards: int) -> int:
    return zlib.crc32(link_id.encode()) % shards


def _link(item: LinkItem) -> Link:
    return Link(
        link_id=LinkId(item.link_id),
        user_id=UserId(item.user_id),
        provider_id=ProviderId(item.provider_id),
        account_identifier=item.account_identifier,
        account_hash=AccountHash(item.account_hash),
        nickname=item.nickname,
        state=LinkState(item.state),
        status_detail=item.status_detail or "",
        last_success_at=_instant(item.last_success_at),
        last_attempt_at=_instant(item.last_attempt_at),
        next_refresh_at=parse_rfc3339(item.next_refresh_at),
        consecutive_failures=int(item.consecutive_failures),
        bill_count=int(item.bill_count),
        created_at=parse_rfc3339(item.created_at),
        updated_at=parse_rfc3339(item.updated_at),
        version=int(item.version),
    )


def _held(item: LinkItem) -> HeldLink:
    return HeldLink(
        link_id=LinkId(item.link_id),
        provider_id=ProviderId(item.provider_id),
        account_identifier=item.account_identifier,
        nickname=item.nickname,
        state=item.state,
        status_detail=item.status_detail or None,
        last_success_at=item.last_success_at,
        last_attempt_at=item.last_attempt_at,
        next_refresh_at=item.next_refresh_at,
        consecutive_failures=int(item.consecutive_failures),
        bill_count=int(item.bill_count),
        created_at=item.created_at,
        updated_at=item.updated_at,
        version=int(item.version),
    )


def _instant(text: str | None) -> datetime | None:
    return parse_rfc3339(text) if text else None
