"""The user service with everything outside faked: repositories in dictionaries, a hash that costs nothing."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from functions.common.errors import Unavailable
from functions.common.outbox import Outbox, Pending
from functions.common.rpc.client import Stub
from functions.user_service.export import Export
from functions.user_service.lockout import AccountKey, Count, Lockout, Pace, Place
from functions.user_service.model import (
    Code,
    Email,
    Mail,
    Purpose,
    Role,
    RoleGrant,
    Session,
    SessionId,
    User,
    UserId,
)
from functions.user_service.recovery import Mailing, Recovery
from functions.user_service.service import Directory, Preference, Purge, Users
from functions.user_service.sessions import Sessions
from functions.user_service.tokens import AccessTokens
from tests.support.fakes import FakeActions, FakeClock, FakePublisher
from tests.support.http import KID, signing_key


class FakeUsers:
    """Also the users' `OutboxStore`."""

    def __init__(self) -> None:
        self.users: dict[UserId, User] = {}
        self.outbox: dict[UserId, Pending] = {}

    def create(self, user: User) -> bool:
        if any(other.email == user.email for other in self.users.values()):
            return False
        self.users[user.user_id] = user
        return True

    def get(self, user_id: UserId) -> User | None:
        user = self.users.get(user_id)
        return user if user and not user.deleted_at else None

    def get_even_deleted(self, user_id: UserId) -> User | None:
        return self.users.get(user_id)

    def find(self, email: Email) -> User | None:
        return next((user for user in self.users.values() if user.email == email and not user.deleted_at), None)

    def set_preferences(self, user_id: UserId, changes: Mapping[str, Preference], at: datetime) -> User | None:
        user = self.get(user_id)
        return self._put(user, at, preferences=replace(user.preferences, **changes)) if user else None  # type: ignore[arg-type]

    def rehash(self, user: User, password_hash: str) -> None:
        self.users[user.user_id] = replace(user, password_hash=password_hash)

    def change_password(self, user: User, password_hash: str, at: datetime, *, verifies_email: bool) -> User | None:
        kept = self.get(user.user_id)
        if kept is None or kept.password_hash != user.password_hash:
            return None
        verified, epoch = kept.email_verified or verifies_email, kept.session_epoch + 1
        return self._put(kept, at, password_hash=password_hash, email_verified=verified, session_epoch=epoch)

    def end_sessions(self, user_id: UserId, at: datetime) -> None:
        user = self.get(user_id)
        if user:
            self._put(user, at, session_epoch=user.session_epoch + 1)

    def set_email_verified(self, user_id: UserId, at: datetime) -> None:
        self._put(self.users[user_id], at, email_verified=True)

    def grant_role(self, user: User, role: Role, at: datetime) -> None:
        self._put(user, at, roles=user.roles | {role}, role_grants=(*user.role_grants, RoleGrant(role, at)))

    def mark_deleted(self, user_id: UserId, at: datetime, events: Sequence[str]) -> Pending | None:
        user = self.get(user_id)
        if user is None:
            return None
        self._put(user, at, deleted_at=at, session_epoch=user.session_epoch + 1)
        self.outbox[user_id] = Pending((user_id,), user.version + 1, tuple(events))
        return self.outbox[user_id]

    def remove(self, user: User) -> None:
        del self.users[user.user_id]

    def pending_events(self, limit: int) -> Sequence[Pending]:
        return list(self.outbox.values())[:limit]

    def clear_outbox(self, pending: Pending) -> None:
        self.outbox.pop(UserId(pending.key[0]), None)

    def _put(self, user: User, at: datetime, **changes: object) -> User:
        changed = replace(user, updated_at=at, version=user.version + 1, **changes)  # type: ignore[arg-type]
        self.users[user.user_id] = changed
        return changed


class FakeSessions:
    def __init__(self) -> None:
        self.sessions: dict[SessionId, Session] = {}
        self.raced = False

    def create(self, session: Session) -> None:
        self.sessions[session.session_id] = session

    def get(self, user_id: UserId, session_id: SessionId) -> Session | None:
        session = self.sessions.get(session_id)
        return session if session and session.user_id == user_id else None

    def newest(self, user_id: UserId, limit: int, before: str = "") -> Sequence[Session]:
        own = [session for session in reversed(self.sessions.values()) if session.user_id == user_id]
        begin = [session.session_id for session in own].index(SessionId(before)) + 1 if before else 0
        return own[begin : begin + limit]

    def rotate(self, seen: Session, rotated: Session) -> bool:
        if self.raced or self.sessions.get(seen.session_id) != seen:
            return False
        self.sessions[seen.session_id] = rotated
        return True

    def adopt(self, user_id: UserId, session_id: SessionId, epoch: int) -> None:
        session = self.get(user_id, session_id)
        if session:
            self.sessions[session_id] = replace(session, epoch=epoch)

    def delete(self, user_id: UserId, session_id: SessionId) -> None:
        if self.get(user_id, session_id):
            del self.sessions[session_id]

    def delete_all(self, user_id: UserId, keep: SessionId | None = None) -> int:
        gone = [s.session_id for s in self.sessions.values() if s.user_id == user_id and s.session_id != keep]
        for session_id in gone:
            del self.sessions[session_id]
        return len(gone)


class FakeCodes:
    def __init__(self) -> None:
        self.codes: dict[tuple[UserId, Purpose], Code] = {}
        self.raced = False

    def get(self, user_id: UserId, purpose: Purpose) -> Code | None:
        return self.codes.get((user_id, purpose))

    def replace(self, user_id: UserId, seen: Code | None, code: Code) -> bool:
        if self.raced or self.get(user_id, code.purpose) != seen:
            return False
        self.codes[user_id, code.purpose] = code
        return True

    def use(self, user_id: UserId, code: Code) -> bool:
        return not self.raced and self.codes.pop((user_id, code.purpose), None) == code


class FakeCounts:
    def __init__(self) -> None:
        self.counts: dict[Place, Count] = {}
        self.raced = False

    def read(self, places: Sequence[Place]) -> Sequence[Count]:
        return [self.counts.get(place, Count()) for place in places]

    def write(self, place: Place, seen: Count, count: Count) -> bool:
        if self.raced or self.counts.get(place, Count()) != seen:
            return False
        self.counts[place] = count
        return True

    def add_failure(self, place: Place, expires_at: datetime) -> int:
        count = self.counts.get(place, Count())
        self.counts[place] = replace(count, failures=count.failures + 1, expires_at=expires_at)
        return count.failures + 1

    def lock(self, place: Place, until: datetime) -> None:
        self.counts[place] = replace(self.counts[place], locked_until=until)

    def delete(self, place: Place) -> None:
        self.counts.pop(place, None)

    def delete_account(self, account: AccountKey) -> int:
        gone = [place for place in self.counts if place.account == account]
        for place in gone:
            del self.counts[place]
        return len(gone)


class FakeMailer:
    """Keeps what was sent. `down` makes the mail service fail, `silent` sends nothing."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, Mail, str]] = []
        self.down = False
        self.silent = False

    def send(self, email: str, mail: Mail, code: str) -> bool:
        if self.down:
            raise Unavailable("SES is down.")
        if not self.silent:
            self.sent.append((email, mail, code))
        return not self.silent

    @property
    def last_code(self) -> str:
        code = self.sent[-1][2]
        assert re.fullmatch(r"[A-Za-z0-9_-]{43}", code)
        return code


@dataclass
class FakePost:
    """Hands mails over at once; keeps what it was given."""

    mailing: Mailing
    posted: list[tuple[str, Mail]]

    def post(self, email: str, mail: Mail) -> None:
        self.posted.append((email, mail))
        self.mailing.send_mail(email, mail)


class FakeHasher:
    def __init__(self) -> None:
        self.pepper = "v1"
        self.verified = 0

    def hash(self, password: str) -> str:
        return f"{self.pepper}:{password[::-1]}"

    def verify(self, password_hash: str | None, password: str) -> bool:
        self.verified += 1
        return (password_hash or "").partition(":")[2] == password[::-1]

    def outdated(self, password_hash: str) -> bool:
        return not password_hash.startswith(self.pepper)


class FakeSigner:
    """Signs with the tests' own key, in the format of JWTs."""

    kid = KID

    def __init__(self) -> None:
        self.down = False

    def sign(self, message: bytes) -> bytes:
        if self.down:
            raise Unavailable("KMS is down.")
        r, s = decode_dss_signature(signing_key().sign(message, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")


@dataclass
class World:
    clock: FakeClock = field(default_factory=FakeClock)
    user_items: FakeUsers = field(default_factory=FakeUsers)
    session_items: FakeSessions = field(default_factory=FakeSessions)
    code_items: FakeCodes = field(default_factory=FakeCodes)
    count_items: FakeCounts = field(default_factory=FakeCounts)
    hasher: FakeHasher = field(default_factory=FakeHasher)
    signer: FakeSigner = field(default_factory=FakeSigner)
    mailer: FakeMailer = field(default_factory=FakeMailer)
    publisher: FakePublisher = field(default_factory=FakePublisher)
    posted: list[tuple[str, Mail]] = field(default_factory=list)
    owners: dict[str, Stub] = field(default_factory=dict)
    actions: FakeActions = field(default_factory=FakeActions)

    @property
    def users(self) -> Users:
        return Users(
            repository=self.user_items,
            sessions=self.session_items,
            hasher=self.hasher,
            mails=self.post,
            actions=self.actions,
            outbox=self._outbox,
            clock=self.clock,
        )

    @property
    def directory(self) -> Directory:
        return Directory(self.user_items)

    @property
    def sessions(self) -> Sessions:
        tokens = AccessTokens(self.signer, "billing-aggregator", "billing-api", timedelta(seconds=900))
        return Sessions(
            users=self.user_items,
            repository=self.session_items,
            hasher=self.hasher,
            lockout=self.lockout,
            access_tokens=lambda: tokens,
            actions=self.actions,
            clock=self.clock,
            lifetime=timedelta(days=30),
            grace=timedelta(seconds=5),
        )

    @property
    def lockout(self) -> Lockout:
        first, longest = timedelta(seconds=1), timedelta(minutes=15)
        return Lockout(
            store=self.count_items,
            clock=self.clock,
            account_pace=Pace(5, first, longest, timedelta(days=1)),
            address_pace=Pace(20, first, longest, timedelta(hours=1)),
        )

    @property
    def mailing(self) -> Mailing:
        return Mailing(
            users=self.user_items,
            codes=self.code_items,
            mailer=self.mailer,
            clock=self.clock,
            lifetime=timedelta(hours=1),
            pause=timedelta(minutes=1),
        )

    @property
    def post(self) -> FakePost:
        return FakePost(self.mailing, self.posted)

    @property
    def recovery(self) -> Recovery:
        return Recovery(
            users=self.user_items,
            sessions=self.session_items,
            codes=self.code_items,
            hasher=self.hasher,
            lockout=self.lockout,
            mails=self.post,
            actions=self.actions,
            clock=self.clock,
        )

    @property
    def purge(self) -> Purge:
        return Purge(
            repository=self.user_items, sessions=self.session_items, counts=self.count_items, outbox=self._outbox
        )

    @property
    def export(self) -> Export:
        return Export(users=self.users, sessions=self.sessions, owners=self.owners, clock=self.clock)

    @property
    def _outbox(self) -> Outbox:
        return Outbox(self.user_items, self.publisher)
