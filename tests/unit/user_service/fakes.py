"""The user service with everything outside faked: repositories in dictionaries, a hash that costs nothing."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from functions.common.errors import Unavailable
from functions.user_service.model import Email, Role, Session, SessionId, User, UserId
from functions.user_service.service import Sessions, Users
from functions.user_service.tokens import AccessTokens
from tests.support.fakes import FakeClock
from tests.support.http import KID, signing_key


class FakeUsers:
    def __init__(self) -> None:
        self.users: dict[UserId, User] = {}

    def create(self, user: User) -> bool:
        if self.find(user.email):
            return False
        self.users[user.user_id] = user
        return True

    def get(self, user_id: UserId) -> User | None:
        return self.users.get(user_id)

    def find(self, email: Email) -> User | None:
        return next((user for user in self.users.values() if user.email == email), None)

    def set_password_hash(self, user: User, password_hash: str) -> None:
        self.users[user.user_id] = replace(user, password_hash=password_hash)

    def grant_role(self, user: User, role: Role, at: datetime) -> None:
        self.users[user.user_id] = replace(user, roles=user.roles | {role}, updated_at=at, version=user.version + 1)


class FakeSessions:
    def __init__(self) -> None:
        self.sessions: dict[SessionId, Session] = {}
        self.raced = False

    def create(self, session: Session) -> None:
        self.sessions[session.session_id] = session

    def get(self, user_id: UserId, session_id: SessionId) -> Session | None:
        session = self.sessions.get(session_id)
        return session if session and session.user_id == user_id else None

    def rotate(self, seen: Session, rotated: Session) -> bool:
        if self.raced or self.sessions.get(seen.session_id) != seen:
            return False
        self.sessions[seen.session_id] = rotated
        return True

    def delete(self, user_id: UserId, session_id: SessionId) -> None:
        if self.get(user_id, session_id):
            del self.sessions[session_id]


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
    hasher: FakeHasher = field(default_factory=FakeHasher)
    signer: FakeSigner = field(default_factory=FakeSigner)

    @property
    def users(self) -> Users:
        return Users(self.user_items, self.hasher, self.clock)

    @property
    def sessions(self) -> Sessions:
        tokens = AccessTokens(self.signer, "billing-aggregator", "billing-api", timedelta(seconds=900))
        return Sessions(
            self.user_items, self.session_items, self.hasher, lambda: tokens, self.clock, timedelta(days=30)
        )
