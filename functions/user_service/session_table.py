"""Sessions in DynamoDB. SessionsTable also holds what else of a user ends by itself:

user_id = usr_…           ses_…           one login, with the hashes of its refresh tokens
user_id = usr_…           code#<purpose>  hash of the code that was sent by mail last (code_table.py)
count#account#<hash>      all, <hash>     failed tries of an account: from strange addresses, from a known one
count#address#<hash>      all             failed tries from an address (count_table.py)

All of it has the time to live `expires_at`, which is checked on each read. Hashes are of e-mails, addresses and
secrets.
"""

from collections.abc import Sequence

from pynamodb.attributes import NumberAttribute, TTLAttribute, UnicodeAttribute
from pynamodb.exceptions import DoesNotExist
from pynamodb.expressions.condition import Condition
from pynamodb.models import Model

from functions.common.clock import parse_rfc3339, rfc3339
from functions.common.table import bind, translated, updated
from functions.user_service.model import Session, SessionId, UserId


class KeptItem(Model):
    """What all items of SessionsTable have."""

    user_id = UnicodeAttribute(hash_key=True)
    session_id = UnicodeAttribute(range_key=True)
    expires_at = TTLAttribute()


class SessionItem(KeptItem):
    class Meta:
        table_name = ""
        billing_mode = "PAY_PER_REQUEST"

    family_hash = UnicodeAttribute()
    token_hash = UnicodeAttribute()
    previous_hash = UnicodeAttribute(null=True)
    epoch = NumberAttribute(null=True)
    created_at = UnicodeAttribute()
    refreshed_at = UnicodeAttribute()


class DynamoSessions:
    def __init__(self, table_name: str) -> None:
        self._session = bind(SessionItem, table_name)

    def create(self, session: Session) -> None:
        item = self._session(
            session.user_id,
            session.session_id,
            family_hash=session.family_hash,
            token_hash=session.token_hash,
            previous_hash=session.previous_hash,
            epoch=session.epoch,
            created_at=rfc3339(session.created_at),
            refreshed_at=rfc3339(session.refreshed_at),
            expires_at=session.expires_at,
        )
        with translated():
            item.save(condition=SessionItem.session_id.does_not_exist())

    def get(self, user_id: UserId, session_id: SessionId) -> Session | None:
        with translated():
            try:
                return _session(self._session.get(user_id, session_id, consistent_read=True))
            except DoesNotExist:
                return None

    def newest(self, user_id: UserId, limit: int, before: str = "") -> Sequence[Session]:
        sessions: Condition = SessionItem.session_id.startswith("ses_")
        if before:  # a range has both its ends among it
            sessions, limit = SessionItem.session_id.between("ses_", before), limit + 1
        with translated():
            found = self._session.query(user_id, sessions, consistent_read=True, scan_index_forward=False, limit=limit)
            return [_session(item) for item in found if item.session_id != before][:limit]

    def rotate(self, seen: Session, rotated: Session) -> bool:
        changes = [
            SessionItem.token_hash.set(rotated.token_hash),
            SessionItem.previous_hash.set(seen.token_hash),
            SessionItem.refreshed_at.set(rfc3339(rotated.refreshed_at)),
            SessionItem.expires_at.set(rotated.expires_at),
        ]
        return updated(self._session(seen.user_id, seen.session_id), changes, SessionItem.token_hash == seen.token_hash)

    def adopt(self, user_id: UserId, session_id: SessionId, epoch: int) -> None:
        if session_id:
            updated(self._session(user_id, session_id), [SessionItem.epoch.set(epoch)], SessionItem.session_id.exists())

    def delete(self, user_id: UserId, session_id: SessionId) -> None:
        with translated():
            self._session(user_id, session_id).delete()

    def delete_all(self, user_id: UserId, keep: SessionId | None = None) -> int:
        return delete_partition(self._session, user_id, keep or "")


def delete_partition(model: type[KeptItem], key: str, keep: str = "") -> int:
    """Deletes what stands under the hash key in SessionsTable, but for `keep`. Answers how many items that were."""
    deleted = 0
    with translated(), model.batch_write() as batch:
        for item in model.query(key, consistent_read=True, attributes_to_get=["user_id", "session_id"]):
            if item.session_id != keep:
                batch.delete(item)
                deleted += 1
    return deleted


def _session(item: SessionItem) -> Session:
    return Session(
        user_id=UserId(item.user_id),
        session_id=SessionId(item.session_id),
        family_hash=item.family_hash,
        token_hash=item.token_hash,
        previous_hash=item.previous_hash,
        epoch=int(item.epoch or 0),
        created_at=parse_rfc3339(item.created_at),
        refreshed_at=parse_rfc3339(item.refreshed_at),
        expires_at=item.expires_at,
    )
