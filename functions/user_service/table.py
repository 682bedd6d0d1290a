"""Users and sessions in DynamoDB.

UsersTable     user_id = usr_…             the user
               user_id = email#<e-mail>    owner_id: who has that e-mail; makes it unique
SessionsTable  user_id, session_id         one login, with the hashes of its refresh tokens; time to live `expires_at`
"""

from datetime import datetime

from pynamodb.attributes import NumberAttribute, TTLAttribute, UnicodeAttribute, UnicodeSetAttribute
from pynamodb.connection import Connection
from pynamodb.exceptions import DoesNotExist
from pynamodb.models import Model
from pynamodb.transactions import TransactWrite

from functions.common.clock import parse_rfc3339, rfc3339
from functions.common.table import ConditionFailed, bind, translated
from functions.user_service.model import Email, Role, Session, SessionId, User, UserId

NOBODY = "usr_nobody"


class UserItem(Model):
    class Meta:
        table_name = ""
        billing_mode = "PAY_PER_REQUEST"

    user_id = UnicodeAttribute(hash_key=True)
    email = UnicodeAttribute()
    name = UnicodeAttribute()
    password_hash = UnicodeAttribute()
    roles = UnicodeSetAttribute(null=True)
    created_at = UnicodeAttribute()
    updated_at = UnicodeAttribute()
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
    created_at = UnicodeAttribute()
    refreshed_at = UnicodeAttribute()
    expires_at = TTLAttribute()


class DynamoUsers:
    def __init__(self, table_name: str) -> None:
        self._user = bind(UserItem, table_name)
        self._email = bind(EmailItem, table_name)
        self._connection = Connection()

    def create(self, user: User) -> bool:
        item = self._user(
            user.user_id,
            email=user.email,
            name=user.name,
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

    def set_password_hash(self, user: User, password_hash: str) -> None:
        try:
            with translated():
                self._user(user.user_id).update(
                    [UserItem.password_hash.set(password_hash)],
                    condition=UserItem.password_hash == user.password_hash,
                )
        except ConditionFailed:
            return

    def grant_role(self, user: User, role: Role, at: datetime) -> None:
        changes = [UserItem.roles.add({role.value}), UserItem.updated_at.set(rfc3339(at)), UserItem.version.add(1)]
        with translated():
            self._user(user.user_id).update([*changes], condition=UserItem.user_id.exists())


class DynamoSessions:
    def __init__(self, table_name: str) -> None:
        self._session = bind(SessionItem, table_name)

    def create(self, session: Session) -> None:
        item = self._session(
            session.user_id,
            session.session_id,
            family_hash=session.family_hash,
            token_hash=session.token_hash,
            created_at=rfc3339(session.created_at),
            refreshed_at=rfc3339(session.refreshed_at),
            expires_at=session.expires_at,
        )
        with translated():
            item.save(condition=SessionItem.session_id.does_not_exist())

    def get(self, user_id: UserId, session_id: SessionId) -> Session | None:
        with translated():
            try:
                item = self._session.get(user_id, session_id, consistent_read=True)
            except DoesNotExist:
                return None
        return Session(
            user_id=UserId(item.user_id),
            session_id=SessionId(item.session_id),
            family_hash=item.family_hash,
            token_hash=item.token_hash,
            created_at=parse_rfc3339(item.created_at),
            refreshed_at=parse_rfc3339(item.refreshed_at),
            expires_at=item.expires_at,
        )

    def rotate(self, seen: Session, rotated: Session) -> bool:
        changes = [
            SessionItem.token_hash.set(rotated.token_hash),
            SessionItem.refreshed_at.set(rfc3339(rotated.refreshed_at)),
            SessionItem.expires_at.set(rotated.expires_at),
        ]
        try:
            with translated():
                self._session(seen.user_id, seen.session_id).update(
                    [*changes], condition=SessionItem.token_hash == seen.token_hash
                )
        except ConditionFailed:
            return False
        return True

    def delete(self, user_id: UserId, session_id: SessionId) -> None:
        with translated():
            self._session(user_id, session_id).delete()


def _marker(email: Email) -> str:
    return f"email#{email}"


def _user(item: UserItem) -> User:
    return User(
        user_id=UserId(item.user_id),
        email=Email(item.email),
        name=item.name,
        password_hash=item.password_hash,
        roles=frozenset(Role(role) for role in item.roles or ()),
        created_at=parse_rfc3339(item.created_at),
        updated_at=parse_rfc3339(item.updated_at),
        version=int(item.version),
    )
