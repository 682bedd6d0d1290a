"""What the function that decrypts reads, and the one thing that it writes: boxes sealed anew."""

from collections.abc import Sequence

from pynamodb.expressions.update import Action
from pynamodb.transactions import TransactWrite

from functions.account_linking_service.credentials import Sealed, SealedLink
from functions.account_linking_service.items_table import CODE, LinkItem, LinkKeyItem, instant
from functions.account_linking_service.model import LinkId, ProviderId, UserId
from functions.account_linking_service.states import LinkState
from functions.common.clock import Clock, rfc3339
from functions.common.table import ConditionFailed, bind, transact, translated


class SealedLinkTable:
    def __init__(self, links_table: str, link_keys_table: str, clock: Clock) -> None:
        self._links = bind(LinkItem, links_table)
        self._keys = bind(LinkKeyItem, link_keys_table)
        self._clock = clock

    def sealed(self, user_id: UserId, link_ids: Sequence[LinkId]) -> Sequence[SealedLink]:
        with translated():
            items = [
                item
                for item in self._links.batch_get([(user_id, link_id) for link_id in link_ids], consistent_read=True)
                if item.ciphertext and item.state != LinkState.REVOKED
            ]
            wanted = [item.link_id for item in items] + [item.link_id + CODE for item in items if item.code_waits]
            found = self._keys.batch_get(wanted, consistent_read=True) if wanted else ()
            keys = {key.link_id: key for key in found}
        return [
            self._sealed(item, keys[item.link_id], keys.get(item.link_id + CODE))
            for item in items
            if item.link_id in keys
        ]

    def reseal(self, seen: SealedLink, fresh: Sealed) -> bool:
        """Leaves the link's version as it is: nobody else sees a difference."""
        link, key = self._links(seen.user_id, seen.link_id), self._keys(seen.link_id)
        as_seen = LinkItem.ciphertext == seen.sealed.ciphertext
        same_key = LinkKeyItem.wrapped_key == seen.sealed.wrapped_key
        if seen.login:
            as_seen &= LinkItem.login_ciphertext == seen.login.ciphertext
            same_key &= LinkKeyItem.login_wrapped_key == seen.login.wrapped_key
        else:
            as_seen &= LinkItem.login_ciphertext.does_not_exist()
            same_key &= LinkKeyItem.login_wrapped_key.does_not_exist()
        box: list[Action] = [LinkItem.ciphertext.set(fresh.ciphertext), LinkItem.login_ciphertext.remove()]
        wrapped: list[Action] = [
            LinkKeyItem.wrapped_key.set(fresh.wrapped_key),
            LinkKeyItem.master_key.set(fresh.master_key),
            LinkKeyItem.sealed_at.set(rfc3339(fresh.sealed_at or self._clock.now())),
            LinkKeyItem.login_wrapped_key.remove(),
            LinkKeyItem.login_master_key.remove(),
        ]

        def write(transaction: TransactWrite) -> None:
            transaction.update(link, box, condition=as_seen)
            transaction.update(key, wrapped, condition=same_key)

        try:
            transact(self._links, write)
        except ConditionFailed:
            return False
        return True

    def _sealed(self, item: LinkItem, key: LinkKeyItem, code: LinkKeyItem | None) -> SealedLink:
        login = None
        if item.login_ciphertext:
            login = Sealed(key.login_wrapped_key or b"", item.login_ciphertext, key.login_master_key or "")
        return SealedLink(
            UserId(item.user_id),
            LinkId(item.link_id),
            ProviderId(item.provider_id),
            _box(key, item.ciphertext),
            login,
            # DynamoDB deletes late
            _box(code, code.ciphertext) if code and code.expires_at > self._clock.now() else None,
        )


def _box(key: LinkKeyItem, ciphertext: bytes) -> Sealed:
    return Sealed(key.wrapped_key, ciphertext, key.master_key or "", instant(key.sealed_at))
