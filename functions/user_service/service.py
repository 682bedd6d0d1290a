"""Use cases: users register and are looked up, sessions begin, go on and end."""

import hmac
import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Protocol

from functions.common.clock import Clock
from functions.common.errors import Conflict, FieldError, InvalidInput, NotFound, Unauthenticated
from functions.common.ids import new_id
from functions.common.logs import fields
from functions.user_service.model import Email, Role, Session, SessionId, User, UserId, cleaned_name, normalised_email
from functions.user_service.tokens import AccessTokens, RefreshToken

log = logging.getLogger(__name__)


class UserRepository(Protocol):
    def create(self, user: User) -> bool:
        """False, and nothing is written, when somebody has that e-mail."""
        ...

    def get(self, user_id: UserId) -> User | None: ...
    def find(self, email: Email) -> User | None: ...

    def set_password_hash(self, user: User, password_hash: str) -> None:
        """Unless the hash is no longer that of `user`: then somebody else's change stands."""
        ...

    def grant_role(self, user: User, role: Role, at: datetime) -> None: ...


class SessionRepository(Protocol):
    def create(self, session: Session) -> None: ...
    def get(self, user_id: UserId, session_id: SessionId) -> Session | None: ...

    def rotate(self, seen: Session, rotated: Session) -> bool:
        """False, and nothing is written, when the session is no longer as `seen`."""
        ...

    def delete(self, user_id: UserId, session_id: SessionId) -> None: ...


class PasswordHasher(Protocol):
    def hash(self, password: str) -> str: ...

    def verify(self, password_hash: str | None, password: str) -> bool:
        """Takes as long for None (no such user) as for a wrong password."""
        ...

    def outdated(self, password_hash: str) -> bool: ...


@dataclass(frozen=True, slots=True)
class Users:
    repository: UserRepository
    hasher: PasswordHasher
    clock: Clock

    def register(self, email: str, password: str, name: str) -> User:
        """The new user. Raises InvalidInput for an ill-formed e-mail or name, Conflict for a known e-mail.

        That a known e-mail shows is accepted (issue of the front door); logging in does not show it.
        """
        address, clean = _checked(email, name)
        now = self.clock.now()
        user = User(
            user_id=UserId(new_id("usr")),
            email=address,
            name=clean,
            password_hash=self.hasher.hash(password),
            created_at=now,
            updated_at=now,
        )
        if not self.repository.create(user):
            raise Conflict("Somebody has registered with this e-mail.", code="email_taken")
        log.info("user_registered", extra=fields(user_id=user.user_id))
        return user

    def get_user(self, user_id: UserId) -> User:
        """Raises NotFound."""
        user = self.repository.get(user_id)
        if user is None:
            raise NotFound("There is no such user.", code="user_not_found")
        return user

    def grant_role(self, email: str, role: str) -> User:
        """Gives the user that role, in tokens from now on; again changes nothing. Only the operator's command calls it.

        Raises NotFound for an unknown e-mail, InvalidInput for an unknown role.
        """
        if role not in set(Role):
            raise InvalidInput.of(FieldError("role", "invalid", f"There are these: {', '.join(Role)}."))
        address = normalised_email(email)
        user = self.repository.find(address) if address else None
        if user is None:
            raise NotFound("Nobody has registered with this e-mail.", code="user_not_found")
        if role not in user.roles:
            self.repository.grant_role(user, Role(role), self.clock.now())
            log.info("role_granted", extra=fields(user_id=user.user_id, role=role))
        return replace(user, roles=user.roles | {Role(role)})


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a login or a refresh hands out. `expires_in`: seconds that the access token lives."""

    access_token: str = field(repr=False)
    expires_in: int
    refresh_token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Sessions:
    users: UserRepository
    repository: SessionRepository
    hasher: PasswordHasher
    access_tokens: Callable[[], AccessTokens]
    """Built when first needed: ending a session signs nothing."""
    clock: Clock
    lifetime: timedelta
    """How long a refresh token is good for; each refresh starts it anew."""

    def log_in(self, email: str, password: str) -> Tokens:
        """A new session. Raises Unauthenticated, alike and as late for an unknown e-mail as for a wrong password."""
        address = normalised_email(email)
        user = self.users.find(address) if address else None
        correct = self.hasher.verify(user.password_hash if user else None, password)
        if user is None or not correct:
            log.info("login_refused", extra=fields(user_id=user.user_id if user else None))
            raise Unauthenticated("The e-mail or the password is wrong.", code="invalid_credentials")
        if self.hasher.outdated(user.password_hash):
            self.users.set_password_hash(user, self.hasher.hash(password))
        token, now = RefreshToken.first(user.user_id, SessionId(new_id("ses"))), self.clock.now()
        session = Session(
            user_id=user.user_id,
            session_id=token.session_id,
            family_hash=token.family_hash,
            token_hash=token.token_hash,
            created_at=now,
            refreshed_at=now,
            expires_at=now + self.lifetime,
        )
        tokens = self._tokens(user, session, token)
        self.repository.create(session)
        log.info("logged_in", extra=fields(user_id=user.user_id, session_id=session.session_id))
        return tokens

    def refresh(self, refresh_token: str) -> Tokens:
        """New tokens for a refresh token, which is used up by it. Raises Unauthenticated.

        Whoever comes with a token of the family that was used before is a thief or was robbed: the session ends
        (RFC 9700 section 4.14.2). Of two that come at the same moment one wins, the other is refused, and the session
        lives.
        """
        token = RefreshToken.parse(refresh_token)
        session = self._session(token) if token else None
        if token is None or session is None:
            raise _refused()
        if not hmac.compare_digest(session.token_hash, token.token_hash):
            log.warning("refresh_token_reused", extra=fields(user_id=session.user_id, session_id=session.session_id))
            self.repository.delete(session.user_id, session.session_id)
            raise _refused()
        user = self.users.get(session.user_id)
        if user is None:
            raise _refused()
        successor, now = token.next(), self.clock.now()
        rotated = replace(session, token_hash=successor.token_hash, refreshed_at=now, expires_at=now + self.lifetime)
        # Signed before the old token is used up: if KMS fails, the caller can try again with it.
        tokens = self._tokens(user, rotated, successor)
        if not self.repository.rotate(session, rotated):
            raise _refused()
        return tokens

    def log_out(self, user_id: UserId, session_id: SessionId, refresh_token: str | None) -> None:
        """Ends the user's session that the refresh token belongs to; without a token, `session_id`.

        Never says whether there was one (RFC 7009 section 2.2).
        """
        if refresh_token is None:
            if session_id:
                self.repository.delete(user_id, session_id)
            return
        token = RefreshToken.parse(refresh_token)
        if token and token.user_id == user_id and self._session(token):
            self.repository.delete(user_id, token.session_id)

    def _session(self, token: RefreshToken) -> Session | None:
        """The live session of the token's family, whether or not the token is its newest."""
        session = self.repository.get(token.user_id, token.session_id)
        if session is None or session.expires_at <= self.clock.now():
            return None
        return session if hmac.compare_digest(session.family_hash, token.family_hash) else None

    def _tokens(self, user: User, session: Session, token: RefreshToken) -> Tokens:
        issuer = self.access_tokens()
        access_token = issuer.issue(user, session.session_id, session.refreshed_at)
        return Tokens(access_token, int(issuer.lifetime.total_seconds()), str(token))


def _checked(email: str, name: str) -> tuple[Email, str]:
    address, clean = normalised_email(email), cleaned_name(name)
    errors = []
    if address is None:
        errors.append(FieldError("email", "invalid", "This is no e-mail address."))
    if clean is None:
        errors.append(FieldError("name", "invalid", "A name has at least one character, and no control characters."))
    if address is None or clean is None:
        raise InvalidInput.of(*errors)
    return address, clean


def _refused() -> Unauthenticated:
    return Unauthenticated("The refresh token is not good (any more): log in.", code="invalid_refresh_token")
