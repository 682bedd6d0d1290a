"""Users, their sessions, codes and failed logins in DynamoDB.

UsersTable     user_id = usr_…                     the user
               user_id = email#<e-mail>            owner_id: who has that e-mail; makes it unique
SessionsTable  user_id = usr_…  ses_…              one login, with the hashes of its refresh tokens
               user_id = usr_…  code#<purpose>     hash of the code that was sent by mail last
               count#account#<hash>  all, <hash>   failed tries of an account: from strange addresses, from a known one
               count#address#<hash>  all           failed tries from an address
All of SessionsTable has the time to live `expires_at`, which is checked on each read. Hashes are of e-mails, addresses
and secrets.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from pynamodb.attributes import (
    BooleanAttribute,
    ListAttribute,
    MapAttribute,
    NumberAttribute,
    TTLAttribute,
    UnicodeAttribute,
    UnicodeSetAttribute,
)
from pynamodb.connection import Connection
from pynamodb.exceptions import DoesNotExist
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action
from pynamodb.indexes import GlobalSecondaryIndex, KeysOnlyProjection
from pynamodb.models import Model
from pynamodb.transactions import TransactWrite

from functions.common.clock import Clock, parse_rfc3339, rfc3339
from functions.common.outbox import OUTBOX_SHARDS, Pending
from functions.common.table import ConditionFailed, OutboxMixin, bind, forget_events, shard_of, translated, unsent
from functions.user_service.lockout import AccountKey, Count, Place
from functions.user_service.model import (
    Code,
    Email,
    Preferences,
    Purpose,
    Role,
    RoleGrant,
    Session,
    SessionId,
    User,
    UserId,
)

NOBODY = "usr_nobody"
ALL = "all"


class OutboxIndex(GlobalSecondaryIndex["UserItem"]):  # type: ignore[no-untyped-call]  # PynamoDB's own
    """Sparse: only users with unsent events."""

    class Meta:
        index_name = "outbox"
        projection = KeysOnlyProjection()

    outbox_shard = NumberAttribute(hash_key=True)
    updated_at = UnicodeAttribute(range_key=True)


class RoleGrantAttribute(MapAttribute[str, str]):
    role = UnicodeAttribute()
    at = UnicodeAttribute()


class UserItem(OutboxMixin, Model):
    class Meta:
        table_name = ""
        billing_mode = "PAY_PER_REQUEST"

    unsent = OutboxIndex()

    user_id = UnicodeAttribute(hash_key=True)
    email = UnicodeAttribute()
    email_verified = BooleanAttribute(null=True)
    name = UnicodeAttribute()
    currency = UnicodeAttribute(null=True)
    time_zone = UnicodeAttribute(null=True)
    reminder_days = NumberAttribute(null=True)
    reminder_repeat_days = NumberAttribute(null=True)
    password_hash = UnicodeAttribute()
    roles = UnicodeSetAttribute(null=True)
    role_grants = ListAttribute(of=RoleGrantAttribute, null=True)
    session_epoch = NumberAttribute(null=True)
    created_at = UnicodeAttribute()
    deleted_at = UnicodeAttribute(null=True)
    version = NumberAttribute()


class EmailItem(Model):
    """In the same table as `UserItem`."""

    class Meta:
        table_name = ""

    user_id = UnicodeAttribute(hash_key=True)
    owner_id = UnicodeAttribute()


class SessionItem(Model):
    class Meta:
        table_name = ""
        billing_mode = "PAY_PER_REQUEST"

    user_id = UnicodeAttribute(hash_key=True)
    session_id = UnicodeAttribute(range_key=True)
    family_hash = UnicodeAttribute()
    token_hash = UnicodeAttribute()
    previous_hash = UnicodeAttribute(null=True)
    epoch = NumberAttribute(null=True)
    created_at = UnicodeAttribute()
    refreshed_at = UnicodeAttribute()
    expires_at = TTLAttribute()


class CodeItem(Model):
    """In the same table as `SessionItem`."""

    class Meta:
        table_name = ""

    user_id = UnicodeAttribute(hash_key=True)
    session_id = UnicodeAttribute(range_key=True)
    code_hash = UnicodeAttribute()
    sent_at = UnicodeAttribute()
    expires_at = TTLAttribute()


class CountItem(Model):
    """In the same table as `SessionItem`."""

    class Meta:
        table_name = ""

    user_id = UnicodeAttribute(hash_key=True)
    session_id = UnicodeAttribute(range_key=True)
    failures = NumberAttribute()
    locked_until = UnicodeAttribute(null=True)
    known = BooleanAttribute(null=True)
    expires_at = TTLAttribute()


LIVING: Condition = UserItem.user_id.exists() & UserItem.deleted_at.does_not_exist()


class DynamoUsers:
    """Also the users' `OutboxStore`."""

    def __init__(self, table_name: str, clock: Clock) -> None:
        self._user = bind(UserItem, table_name)
        self._email = bind(EmailItem, table_name)
        self._connection = Connection()
        self._clock = clock

    def create(self, user: User) -> bool:
        chosen = user.preferences
        item = self._user(
            user.user_id,
            email=user.email,
            name=chosen.name,
            currency=chosen.currency,
            time_zone=chosen.time_zone,
            reminder_days=chosen.reminder_days,
            reminder_repeat_days=chosen.reminder_repeat_days,
            password_hash=user.password_hash,
            roles=set(user.roles) or None,
            created_at=rfc3339(user.created_at),
            updated_at=rfc3339(user.updated_at),
            version=user.version,
        )
        marker = self._email(_marker(user.email), owner_id=user.user_id)
        try:
            with translated(), TransactWrite(connection=self._connection) as transaction:
                transaction.save(item, condition=UserItem.user_id.does_not_exist())
                transaction.save(marker, condition=EmailItem.user_id.does_not_exist())
        except ConditionFailed:
            return False
        return True

    def get(self, user_id: UserId) -> User | None:
        user = self.get_even_deleted(user_id)
        return None if user is None or user.deleted_at else user

    def get_even_deleted(self, user_id: UserId) -> User | None:
        if not user_id.startswith("usr_"):
            return None  # a marker, or nothing
        with translated():
            try:
                return _user(self._user.get(user_id, consistent_read=True))
            except DoesNotExist:
                return None

    def find(self, email: Email) -> User | None:
        with translated():
            try:
                owner = self._email.get(_marker(email), consistent_read=True).owner_id
            except DoesNotExist:
                owner = NOBODY
        # Nobody is looked up as well: a login must take as long for an unknown e-mail as for a known one.
        return self.get(UserId(owner))

    def set_preferences(self, user_id: UserId, changes: Mapping[str, str | int | None], at: datetime) -> User | None:
        item = self._user(user_id)
        actions = [_set_or_remove(name, value) for name, value in changes.items()]
        return _user(item) if self._update(item, [*actions, *_changed(at)]) else None

    def rehash(self, user: User, password_hash: str) -> None:
        unchanged = UserItem.password_hash == user.password_hash
        self._update(self._user(user.user_id), [UserItem.password_hash.set(password_hash)], unchanged)

    def change_password(self, user: User, password_hash: str, at: datetime, *, email_verified: bool) -> bool:
        actions = [
            UserItem.password_hash.set(password_hash),
            UserItem.email_verified.set(email_verified),
            UserItem.session_epoch.add(1),
            *_changed(at),
        ]
        same = (UserItem.password_hash == user.password_hash) & (UserItem.version == user.version) & LIVING
        return self._update(self._user(user.user_id), actions, same)

    def end_sessions(self, user_id: UserId, at: datetime) -> None:
        self._update(self._user(user_id), [UserItem.session_epoch.add(1), *_changed(at)])

    def set_email_verified(self, user_id: UserId, at: datetime) -> None:
        self._update(self._user(user_id), [UserItem.email_verified.set(True), *_changed(at)])

    def grant_role(self, user: User, role: Role, at: datetime) -> None:
        grant = RoleGrantAttribute(role=role.value, at=rfc3339(at))  # type: ignore[no-untyped-call]  # PynamoDB's own
        actions = [
            UserItem.roles.add({role.value}),
            UserItem.role_grants.set((UserItem.role_grants | []).append([grant])),
            *_changed(at),
        ]
        self._update(self._user(user.user_id), actions)

    def mark_deleted(self, user_id: UserId, at: datetime, events: Sequence[str]) -> Pending | None:
        item = self._user(user_id)
        actions = [
            UserItem.deleted_at.set(rfc3339(at)),
            UserItem.session_epoch.add(1),
            UserItem.outbox.set((UserItem.outbox | []).append(list(events))),
            UserItem.outbox_shard.set(shard_of(user_id, OUTBOX_SHARDS)),
            *_changed(at),
        ]
        return _pending(item) if self._update(item, actions) else None

    def remove(self, user: User) -> None:
        marker, item = self._email(_marker(user.email)), self._user(user.user_id)
        try:
            with translated(), TransactWrite(connection=self._connection) as transaction:
                transaction.delete(marker, condition=EmailItem.owner_id == user.user_id)
                transaction.delete(item, condition=UserItem.deleted_at.exists())
        except ConditionFailed:
            return  # somebody else was as far

    def pending_events(self, limit: int) -> Sequence[Pending]:
        keys = [item.user_id for item in unsent(self._user.unsent, self._clock.now(), limit)]
        with translated():
            items = list(self._user.batch_get(keys, consistent_read=True)) if keys else []
        return [_pending(item) for item in items if item.outbox]

    def clear_outbox(self, pending: Pending) -> None:
        [user_id] = pending.key
        # changed since: its events go out again with the new ones
        self._update(self._user(user_id), forget_events(), UserItem.version == pending.version)

    def _update(self, item: UserItem, actions: Sequence[Action], condition: Condition = LIVING) -> bool:
        """False, and nothing is written, when the condition does not hold. Else `item` is as it is now."""
        try:
            with translated():
                item.update([*actions], condition=condition)
        except ConditionFailed:
            return False
        return True


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

    def newest(self, user_id: UserId, limit: int) -> Sequence[Session]:
        sessions = SessionItem.session_id.startswith("ses_")
        with translated():
            found = self._session.query(user_id, sessions, consistent_read=True, scan_index_forward=False, limit=limit)
            return [_session(item) for item in found]

    def rotate(self, seen: Session, rotated: Session) -> bool:
        changes = [
            SessionItem.token_hash.set(rotated.token_hash),
            SessionItem.previous_hash.set(seen.token_hash),
            SessionItem.refreshed_at.set(rfc3339(rotated.refreshed_at)),
            SessionItem.expires_at.set(rotated.expires_at),
        ]
        return self._update(seen.user_id, seen.session_id, changes, SessionItem.token_hash == seen.token_hash)

    def adopt(self, user_id: UserId, session_id: SessionId, epoch: int) -> None:
        if session_id:
            self._update(user_id, session_id, [SessionItem.epoch.set(epoch)], SessionItem.session_id.exists())

    def delete(self, user_id: UserId, session_id: SessionId) -> None:
        with translated():
            self._session(user_id, session_id).delete()

    def delete_all(self, user_id: UserId, keep: SessionId | None = None) -> int:
        return _delete_partition(self._session, user_id, keep or "")

    def _update(self, user_id: UserId, session_id: SessionId, actions: Sequence[Action], condition: Condition) -> bool:
        try:
            with translated():
                self._session(user_id, session_id).update([*actions], condition=condition)
        except ConditionFailed:
            return False
        return True


class DynamoCodes:
    def __init__(self, table_name: str) -> None:
        self._code = bind(CodeItem, table_name)

    def get(self, user_id: UserId, purpose: Purpose) -> Code | None:
        with translated():
            try:
                item = self._code.get(user_id, _code_key(purpose), consistent_read=True)
            except DoesNotExist:
                return None
        return Code(
            purpose=purpose,
            code_hash=item.code_hash,
            sent_at=parse_rfc3339(item.sent_at),
            expires_at=item.expires_at,
        )

    def replace(self, user_id: UserId, seen: Code | None, code: Code) -> bool:
        item = self._code(
            user_id,
            _code_key(code.purpose),
            code_hash=code.code_hash,
            sent_at=rfc3339(code.sent_at),
            expires_at=code.expires_at,
        )
        as_seen = CodeItem.code_hash == seen.code_hash if seen else CodeItem.session_id.does_not_exist()
        return _saved(item, as_seen)

    def use(self, user_id: UserId, code: Code) -> bool:
        try:
            with translated():
                self._code(user_id, _code_key(code.purpose)).delete(CodeItem.code_hash == code.code_hash)
        except ConditionFailed:
            return False
        return True


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
            return _saved(item, CountItem.session_id.does_not_exist())
        return _saved(item, (CountItem.failures == seen.failures) & (CountItem.expires_at == seen.expires_at))

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
        return _delete_partition(self._count, _account_partition(account))


def _delete_partition(model: type[SessionItem] | type[CountItem], key: str, keep: str = "") -> int:
    """Deletes what stands under the hash key, but for `keep`. Answers how many items that were."""
    deleted = 0
    with translated(), model.batch_write() as batch:
        for item in model.query(key, consistent_read=True, attributes_to_get=["user_id", "session_id"]):
            if item.session_id != keep:
                batch.delete(item)
                deleted += 1
    return deleted


def _saved(item: CodeItem | CountItem, condition: Condition) -> bool:
    try:
        with translated():
            item.save(condition=condition)
    except ConditionFailed:
        return False
    return True


def _set_or_remove(name: str, value: str | int | None) -> Action:
    attribute = UserItem.get_attributes()[name]
    return attribute.remove() if value is None else attribute.set(value)


def _changed(at: datetime) -> list[Action]:
    return [UserItem.updated_at.set(rfc3339(at)), UserItem.version.add(1)]


def _pending(item: UserItem) -> Pending:
    return Pending((item.user_id,), int(item.version), tuple(item.outbox or ()))


def _marker(email: Email) -> str:
    return f"email#{email}"


def _code_key(purpose: Purpose) -> str:
    return f"code#{purpose.value}"


def _account_partition(account: AccountKey) -> str:
    return f"count#account#{account}"


def _count_key(place: Place) -> tuple[str, str]:
    if place.account is None:
        return f"count#address#{place.address}", ALL
    return _account_partition(place.account), place.address or ALL


def _user(item: UserItem) -> User:
    return User(
        user_id=UserId(item.user_id),
        email=Email(item.email),
        email_verified=bool(item.email_verified),
        preferences=Preferences(
            name=item.name,
            currency=item.currency,
            time_zone=item.time_zone,
            reminder_days=_whole(item.reminder_days),
            reminder_repeat_days=_whole(item.reminder_repeat_days),
        ),
        password_hash=item.password_hash,
        roles=frozenset(Role(role) for role in item.roles or ()),
        role_grants=tuple(RoleGrant(Role(grant.role), parse_rfc3339(grant.at)) for grant in item.role_grants or ()),
        session_epoch=int(item.session_epoch or 0),
        created_at=parse_rfc3339(item.created_at),
        updated_at=parse_rfc3339(item.updated_at),
        deleted_at=parse_rfc3339(item.deleted_at) if item.deleted_at else None,
        version=int(item.version),
    )


def _whole(number: float | None) -> int | None:
    return None if number is None else int(number)


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


def _count(item: CountItem) -> Count:
    return Count(
        failures=int(item.failures),
        locked_until=parse_rfc3339(item.locked_until) if item.locked_until else None,
        expires_at=item.expires_at,
        known=bool(item.known),
    )
