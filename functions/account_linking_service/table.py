"""Links in DynamoDB: read, changed on condition of their version, leased when due; and their unsent events."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from pynamodb.exceptions import DoesNotExist
from pynamodb.expressions.update import Action
from pynamodb.transactions import TransactWrite

from functions.account_linking_service.items_table import (
    CODE,
    DUE_SHARDS,
    FIRST,
    LAST,
    LinkItem,
    LinkKeyItem,
    history_maps,
    link_of,
    outbox_shard,
    pending_of,
)
from functions.account_linking_service.model import AccountHash, Link, LinkChanged, LinkId, UserId
from functions.account_linking_service.states import LinkState
from functions.common.clock import Clock, rfc3339
from functions.common.outbox import Pending
from functions.common.table import (
    ConditionFailed,
    Fill,
    bind,
    forget_events,
    lease,
    transact,
    translated,
    unsent,
    updated,
)


class LinkTable:
    def __init__(self, links_table: str, link_keys_table: str, clock: Clock) -> None:
        self._links = bind(LinkItem, links_table)
        self._keys = bind(LinkKeyItem, link_keys_table)
        self._clock = clock

    def get(self, user_id: UserId, link_id: LinkId) -> Link | None:
        with translated():
            try:
                item = self._links.get(user_id, link_id, consistent_read=True)
            except DoesNotExist:
                return None
        return None if item.state == LinkState.REVOKED else link_of(item)

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
            return [link_of(item) for item in items]

    def owner_of(self, link_id: LinkId) -> UserId | None:
        with translated():
            return next((UserId(item.user_id) for item in self._links.by_link.query(link_id, limit=1)), None)

    def of_account(self, account: AccountHash) -> Sequence[Link]:
        with translated():
            keys = [(item.user_id, item.link_id) for item in self._links.by_account.query(account)]
            items = list(self._links.batch_get(keys, consistent_read=True)) if keys else []
        return [link_of(item) for item in items if item.account_hash == account]

    def update(self, seen: Link, changed: Link, events: Sequence[str]) -> Pending:
        """The version alone says that the link is as it was seen, and so that nothing newer is recorded. A code that
        waits no more goes with it."""
        item, actions = self._links(seen.user_id, seen.link_id), changes(seen, changed, events)
        condition = LinkItem.version == seen.version
        if seen.code_waits and not changed.code_waits:

            def fill(transaction: TransactWrite) -> None:
                transaction.update(item, actions, condition=condition)
                transaction.delete(self._keys(seen.link_id + CODE))

            return self._transacted(item, fill)
        try:
            with translated():
                item.update(actions, condition=condition)
        except ConditionFailed as error:
            raise LinkChanged from error
        return pending_of(item)

    def lease_due(self, now: datetime, until: datetime, limit: int) -> tuple[Sequence[Link], bool]:
        due = LinkItem.next_refresh_at <= rfc3339(now)
        return lease(self._links.due, DUE_SHARDS, due, limit, lambda item: self._lease(item, until))

    def pending_events(self, limit: int) -> Sequence[Pending]:
        keys = [(item.user_id, item.link_id) for item in unsent(self._links.unsent, self._clock.now(), limit)]
        with translated():
            items = list(self._links.batch_get(keys, consistent_read=True)) if keys else []
        return [pending_of(item) for item in items if item.outbox]

    def clear_outbox(self, pending: Pending) -> None:
        user_id, link_id = pending.key
        # if it changed since, its events go out again with the new ones
        updated(self._links(user_id, link_id), forget_events(), LinkItem.version == pending.version)

    def _lease(self, due: LinkItem, until: datetime) -> Link | None:
        """None when somebody else was faster, or the link is not what the index said. Leaves the version as it is: a
        lease is no change that anybody but other lessees must see."""
        as_seen = (LinkItem.next_refresh_at == due.next_refresh_at) & LinkItem.due_shard.exists()
        return link_of(due) if updated(due, [LinkItem.next_refresh_at.set(rfc3339(until))], as_seen) else None

    def _transacted(self, item: LinkItem, fill: Fill) -> Pending:
        """Raises LinkChanged when a condition does not hold."""
        try:
            transact(self._links, fill)
        except ConditionFailed as error:
            raise LinkChanged from error
        with translated():
            item.refresh(consistent_read=True)  # with what was still unsent before
        return pending_of(item)


def changes(seen: Link, changed: Link, events: Sequence[str]) -> list[Action]:
    """What a change of a link writes: version, time, what differs and, behind those still unsent, its events.

    Only what differs: the link may have been leased since it was seen, which must stand.
    """
    before, after = _attributes(seen), _attributes(changed)
    actions: list[Action] = [
        LinkItem.version.set(changed.version),
        LinkItem.updated_at.set(rfc3339(changed.updated_at)),
    ]
    for name, value in after.items():
        if value != before[name]:
            attribute = getattr(LinkItem, name)
            actions.append(attribute.remove() if value is None else attribute.set(value))
    if changed.history != seen.history:
        actions.append(LinkItem.history.set(history_maps(changed.history)))
    if events:
        actions.append(LinkItem.outbox.set((LinkItem.outbox | []).append(list(events))))
        actions.append(LinkItem.outbox_shard.set(outbox_shard(changed.link_id)))
    return actions


def _attributes(link: Link) -> Mapping[str, object]:
    """What may change, by the item's attribute; None where it has no such attribute."""
    mfa = link.mfa
    return {
        "nickname": link.nickname,
        "state": link.state.value,
        "status_detail": link.status_detail,
        "mfa_methods": list(mfa.methods) if mfa else None,
        "mfa_expires_at": _text(mfa.expires_at) if mfa else None,
        "mfa_reference": (mfa.reference or None) if mfa else None,
        "code_waits": True if link.code_waits else None,
        "last_success_at": _text(link.last_success_at),
        "last_attempt_at": _text(link.last_attempt_at),
        "repaired_at": _text(link.repaired_at),
        "next_refresh_at": _text(link.next_refresh_at),
        "consecutive_failures": link.consecutive_failures,
        "bill_count": link.bill_count,
    }


def _text(instant: datetime | None) -> str | None:
    return rfc3339(instant) if instant else None
