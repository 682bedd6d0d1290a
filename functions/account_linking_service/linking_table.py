"""Adds, repairs and removes links in DynamoDB: link, mark and keys in one transaction, so that none is ever there
without the others."""

from collections.abc import Sequence
from datetime import datetime

from pynamodb.exceptions import DoesNotExist
from pynamodb.expressions.update import Action
from pynamodb.transactions import TransactWrite

from functions.account_linking_service.credentials import Sealed
from functions.account_linking_service.items_table import (
    CODE,
    FIRST,
    LAST,
    MARK,
    LinkItem,
    LinkKeyItem,
    MarkItem,
    due_shard,
    outbox_shard,
    pending_of,
)
from functions.account_linking_service.model import (
    TOMBSTONE_LIFETIME,
    AccountHash,
    AlreadyLinked,
    Link,
    LinkId,
    UserGone,
    UserId,
)
from functions.account_linking_service.states import LinkState
from functions.account_linking_service.table import LinkTable, changes
from functions.common.clock import Clock, rfc3339
from functions.common.errors import Unavailable
from functions.common.outbox import Pending
from functions.common.personal import GONE
from functions.common.table import ConditionFailed, bind, transact, translated


class LinkingTable(LinkTable):
    def __init__(self, links_table: str, link_keys_table: str, clock: Clock) -> None:
        super().__init__(links_table, link_keys_table, clock)
        self._marks = bind(MarkItem, links_table)

    def count(self, user_id: UserId) -> int:
        with translated():
            return self._links.count(
                user_id,
                LinkItem.link_id.between(FIRST, LAST),
                filter_condition=LinkItem.state != LinkState.REVOKED.value,
                consistent_read=True,
            )

    def holder(self, user_id: UserId, account: AccountHash) -> LinkId | None:
        with translated():
            try:
                mark = self._marks.get(user_id, MARK + account, consistent_read=True)
            except DoesNotExist:
                return None
        return LinkId(mark.held_by)

    def add(self, link: Link, sealed: Sealed | None, events: Sequence[str]) -> Pending:
        """A link that is never due stands in no shard of the index."""
        item = self._links(
            link.user_id,
            link.link_id,
            provider_id=link.provider_id,
            kind=link.kind.value,
            account_identifier=link.account_identifier,
            account_hash=link.account_hash,
            nickname=link.nickname,
            state=link.state.value,
            status_detail=link.status_detail,
            due_shard=due_shard(link.link_id) if link.next_refresh_at else None,
            next_refresh_at=rfc3339(link.next_refresh_at) if link.next_refresh_at else None,
            consecutive_failures=link.consecutive_failures,
            bill_count=link.bill_count,
            created_at=rfc3339(link.created_at),
            updated_at=rfc3339(link.updated_at),
            version=link.version,
            ciphertext=sealed.ciphertext if sealed else None,
            outbox=list(events),
            outbox_shard=outbox_shard(link.link_id),
        )
        mark = self._marks(link.user_id, MARK + link.account_hash, held_by=link.link_id)

        def write(transaction: TransactWrite) -> None:
            transaction.condition_check(self._links, link.user_id, GONE, condition=LinkItem.link_id.does_not_exist())
            transaction.save(mark, condition=MarkItem.link_id.does_not_exist())
            transaction.save(item, condition=LinkItem.link_id.does_not_exist())
            if sealed:
                key = self._sealed_key(link.link_id, sealed)
                transaction.save(key, condition=LinkKeyItem.link_id.does_not_exist())

        try:
            transact(self._links, write)
        except ConditionFailed as error:
            raise self._held(link) from error
        return pending_of(item)

    def replace_login(self, seen: Link, changed: Link, login: Sealed, events: Sequence[str]) -> Pending:
        item = self._links(seen.user_id, seen.link_id)
        actions = [LinkItem.login_ciphertext.set(login.ciphertext), *changes(seen, changed, events)]
        key: list[Action] = [
            LinkKeyItem.login_wrapped_key.set(login.wrapped_key),
            LinkKeyItem.login_master_key.set(login.master_key),
        ]

        def write(transaction: TransactWrite) -> None:
            transaction.update(item, actions, condition=LinkItem.version == seen.version)
            # Not for a user whose keys are being purged in this moment.
            transaction.update(self._keys(seen.link_id), key, condition=LinkKeyItem.link_id.exists())
            if seen.code_waits:
                transaction.delete(self._keys(seen.link_id + CODE))

        return self._transacted(item, write)

    def keep_code(
        self, seen: Link, changed: Link, code: Sealed, expires_at: datetime, events: Sequence[str]
    ) -> Pending:
        item = self._links(seen.user_id, seen.link_id)
        box = self._sealed_key(seen.link_id + CODE, code)
        box.ciphertext, box.expires_at = code.ciphertext, expires_at

        def write(transaction: TransactWrite) -> None:
            transaction.update(item, changes(seen, changed, events), condition=LinkItem.version == seen.version)
            transaction.condition_check(self._keys, seen.link_id, condition=LinkKeyItem.link_id.exists())
            transaction.save(box)

        return self._transacted(item, write)

    def remove(self, seen: Link, revoked: Link, events: Sequence[str]) -> Pending:
        item = self._links(seen.user_id, seen.link_id)
        actions: list[Action] = [
            LinkItem.expires_at.set(revoked.updated_at + TOMBSTONE_LIFETIME),
            *changes(seen, revoked, events),
            *(
                attribute.remove()
                for attribute in (
                    LinkItem.ciphertext,
                    LinkItem.login_ciphertext,
                    LinkItem.account_hash,
                    LinkItem.account_identifier,
                    LinkItem.due_shard,
                )
            ),
        ]

        def write(transaction: TransactWrite) -> None:
            transaction.update(item, actions, condition=LinkItem.version == seen.version)
            transaction.delete(self._marks(seen.user_id, MARK + seen.account_hash))
            transaction.delete(self._keys(seen.link_id))
            transaction.delete(self._keys(seen.link_id + CODE))

        return self._transacted(item, write)

    def _held(self, link: Link) -> Exception:
        """Who holds the account; somebody who let go of it in this very moment is worth another try by the caller."""
        with translated():
            if any(self._links.query(link.user_id, LinkItem.link_id == GONE, consistent_read=True)):
                return UserGone(link.user_id)
        held_by = self.holder(link.user_id, link.account_hash)
        if held_by is None:
            return Unavailable("The account was being unlinked; try again.", code="contended", retry_after=1)
        return AlreadyLinked(held_by)

    def _sealed_key(self, key: str, sealed: Sealed) -> LinkKeyItem:
        at = rfc3339(sealed.sealed_at) if sealed.sealed_at else None
        return self._keys(key, wrapped_key=sealed.wrapped_key, master_key=sealed.master_key, sealed_at=at)
