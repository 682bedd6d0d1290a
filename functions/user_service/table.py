"""Users in DynamoDB, in UsersTable.

user_id = usr_…           the user
user_id = email#<e-mail>  owner_id: who has that e-mail; makes it unique
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from pynamodb.attributes import (
    BooleanAttribute,
    ListAttribute,
    MapAttribute,
    NumberAttribute,
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
from functions.common.table import (
    ConditionFailed,
    OutboxMixin,
    bind,
    forget_events,
    shard_of,
    translated,
    unsent,
    updated,
)
from functions.user_service.model import (
    Email,
    Preferences,
    Role,
    RoleGrant,
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
        return _user(item) if updated(item, [*actions, *_changed(at)], LIVING) else None

    def rehash(self, user: User, password_hash: str) -> None:
        unchanged = UserItem.password_hash == user.password_hash
        updated(self._user(user.user_id), [UserItem.password_hash.set(password_hash)], unchanged)

    def change_password(self, user: User, password_hash: str, at: datetime, *, verifies_email: bool) -> User | None:
        item = self._user(user.user_id)
        actions = [UserItem.password_hash.set(password_hash), UserItem.session_epoch.add(1), *_changed(at)]
        if verifies_email:
            actions.append(UserItem.email_verified.set(True))
        same = (UserItem.password_hash == user.password_hash) & LIVING
        return _user(item) if updated(item, actions, same) else None

    def end_sessions(self, user_id: UserId, at: datetime) -> None:
        updated(self._user(user_id), [UserItem.session_epoch.add(1), *_changed(at)], LIVING)

    def set_email_verified(self, user_id: UserId, at: datetime) -> None:
        updated(self._user(user_id), [UserItem.email_verified.set(True), *_changed(at)], LIVING)

    def grant_role(self, user: User, role: Role, at: datetime) -> None:
        grant = RoleGrantAttribute(role=role.value, at=rfc3339(at))  # type: ignore[no-untyped-call]  # PynamoDB's own
        actions = [
            UserItem.roles.add({role.value}),
            UserItem.role_grants.set((UserItem.role_grants | []).append([grant])),
            *_changed(at),
        ]
        updated(self._user(user.user_id), actions, LIVING)

    def mark_deleted(self, user_id: UserId, at: datetime, events: Sequence[str]) -> Pending | None:
        item = self._user(user_id)
        actions = [
            UserItem.deleted_at.set(rfc3339(at)),
            UserItem.session_epoch.add(1),
            UserItem.outbox.set((UserItem.outbox | []).append(list(events))),
            UserItem.outbox_shard.set(shard_of(user_id, OUTBOX_SHARDS)),
            *_changed(at),
        ]
        return _pending(item) if updated(item, actions, LIVING) else None

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
        updated(self._user(user_id), forget_events(), UserItem.version == pending.version)


def _set_or_remove(name: str, value: str | int | None) -> Action:
    attribute = UserItem.get_attributes()[name]
    return attribute.remove() if value is None else attribute.set(value)


def _changed(at: datetime) -> list[Action]:
    return [UserItem.updated_at.set(rfc3339(at)), UserItem.version.add(1)]


def _pending(item: UserItem) -> Pending:
    return Pending((item.user_id,), int(item.version), tuple(item.outbox or ()))


def _marker(email: Email) -> str:
    return f"email#{email}"


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
