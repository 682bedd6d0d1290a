"""Use cases of sessions: they begin with a login, go on with each refresh, are listed, and end."""

import hmac
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from functions.common import cursor as cursors
from functions.common.actions import UNKNOWN, Actions
from functions.common.clock import Clock
from functions.common.errors import FieldError, InvalidInput, NotFound, Unauthenticated
from functions.common.ids import is_id, new_id
from functions.common.logs import fields
from functions.contracts.events.security import Action
from functions.user_service.lockout import Attempt, Lockout
from functions.user_service.model import Session, SessionId, User, UserId, normalised_email
from functions.user_service.service import PasswordHasher, SessionRepository, UserRepository
from functions.user_service.tokens import AccessTokens, RefreshToken

log = logging.getLogger(__name__)

PAGE = 200


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a login or a refresh hands out. `expires_in`: seconds that the access token lives."""

    access_token: str = field(repr=False)
    expires_in: int
    refresh_token: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sessions:
    users: UserRepository
    repository: SessionRepository
    hasher: PasswordHasher
    lockout: Lockout
    access_tokens: Callable[[], AccessTokens]
    """Built when first needed: ending a session signs nothing."""
    actions: Actions
    clock: Clock
    lifetime: timedelta
    """How long a refresh token is good for; each refresh starts it anew."""
    grace: timedelta
    """How long after a refresh its old token is taken for a retry and not for theft."""

    def log_in(self, email: str, password: str, address: str) -> Tokens:
        """A new session for whoever comes from this address. Raises Unauthenticated and, after too many failures,
        RateLimited: alike and as late for an unknown e-mail as for a wrong password."""
        normalised = normalised_email(email)
        attempt = self.lockout.admit(normalised or email, address)
        user = self.users.find(normalised) if normalised else None
        correct = self.hasher.verify(user.password_hash if user else None, password)
        if user is None or not correct:
            self.lockout.failed(attempt)
            log.info("login_refused", extra=fields(user_id=user.user_id if user else None))
            self._record_failure(user, attempt)
            raise Unauthenticated("The e-mail or the password is wrong.", code="invalid_credentials")
        self.lockout.succeeded(attempt)
        if self.hasher.outdated(user.password_hash):
            self.users.rehash(user, self.hasher.hash(password))
        return self._begin(user)

    def refresh(self, refresh_token: str, asked_at: datetime | None = None) -> Tokens:
        """New tokens for a refresh token, which is used up by it. Raises Unauthenticated.

        Whoever comes with a token of the family that was used before is a thief or was robbed: the session ends
        (RFC 9700 section 4.14.2). Of two that come at the same moment one wins, the other is refused, and the session
        lives; so it does when the other, within `grace`, tries again with the token that has just been used up.
        `asked_at`: when the request came in, if it may have waited since; None means just now.
        """
        token = RefreshToken.parse(refresh_token)
        session = self._session(token) if token else None
        if token is None or session is None:
            raise _refused()
        if not hmac.compare_digest(session.token_hash, token.token_hash):
            self._judge_reuse(session, token, asked_at or self.clock.now())
            raise _refused()
        user = self.users.get(session.user_id)
        if user is None or session.epoch != user.session_epoch:
            raise _refused()
        successor, now = token.next(), self.clock.now()
        rotated = replace(
            session,
            token_hash=successor.token_hash,
            previous_hash=session.token_hash,
            refreshed_at=now,
            expires_at=now + self.lifetime,
        )
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
                self.actions.record(Action.SESSION_ENDED, user_id, target=session_id)
            return
        token = RefreshToken.parse(refresh_token)
        if token and token.user_id == user_id and self._session(token):
            self.repository.delete(user_id, token.session_id)
            self.actions.record(Action.SESSION_ENDED, user_id, target=token.session_id)

    def log_out_everywhere(self, user_id: UserId) -> None:
        """Ends all sessions, in one write. Their access tokens live on for the minutes that are left of them."""
        self.users.end_sessions(user_id, self.clock.now())
        self.repository.delete_all(user_id)
        log.info("logged_out_everywhere", extra=fields(user_id=user_id))
        self.actions.record(Action.LOGGED_OUT_EVERYWHERE, user_id)

    def list_sessions(self, user_id: UserId, limit: int, cursor: str = "") -> tuple[Sequence[Session], str | None]:
        """Those that live among the next `limit`, the newest first, and the cursor of what follows. Raises NotFound for
        a user who is gone, InvalidInput for a cursor that is none."""
        before = _position(cursor) if cursor else ""
        user = self._user(user_id)
        found = self.repository.newest(user_id, limit + 1, before)
        page = found[:limit]
        following = cursors.encode({"session_id": page[-1].session_id}) if len(found) > limit else None
        return [session for session in page if self._lives(session, user)], following

    def every_session(self, user_id: UserId) -> Iterator[Session]:
        """Those that live, the newest first. Raises NotFound for a user who is gone."""
        cursor: str | None = ""
        while cursor is not None:
            page, cursor = self.list_sessions(user_id, PAGE, cursor)
            yield from page

    def _user(self, user_id: UserId) -> User:
        user = self.users.get(user_id)
        if user is None:
            raise NotFound("There is no such user.", code="user_not_found")
        return user

    def _lives(self, session: Session, user: User) -> bool:
        return session.expires_at > self.clock.now() and session.epoch == user.session_epoch

    def end_session(self, user_id: UserId, session_id: str) -> None:
        """Raises NotFound for what is no living session of this user."""
        user = self._user(user_id)
        session = self.repository.get(user_id, SessionId(session_id)) if is_id("ses", session_id) else None
        if session is None or not self._lives(session, user):
            raise NotFound("There is no such session.", code="session_not_found")
        self.repository.delete(user_id, SessionId(session_id))
        log.info("session_ended", extra=fields(user_id=user_id, session_id=session_id))
        self.actions.record(Action.SESSION_ENDED, user_id, target=session_id)

    def _begin(self, user: User) -> Tokens:
        token, now = RefreshToken.first(user.user_id, SessionId(new_id("ses"))), self.clock.now()
        session = Session(
            user_id=user.user_id,
            session_id=token.session_id,
            family_hash=token.family_hash,
            token_hash=token.token_hash,
            epoch=user.session_epoch,
            created_at=now,
            refreshed_at=now,
            expires_at=now + self.lifetime,
        )
        tokens = self._tokens(user, session, token)
        self.repository.create(session)
        log.info("logged_in", extra=fields(user_id=user.user_id, session_id=session.session_id))
        self.actions.record(Action.LOGIN_SUCCEEDED, user.user_id, target=session.session_id)
        return tokens

    def _record_failure(self, user: User | None, attempt: Attempt) -> None:
        """Of an e-mail that nobody has, only the hash that failures are counted by."""
        action = Action.LOGIN_LOCKED if attempt.locks else Action.LOGIN_FAILED
        user_id, target = (user.user_id, "") if user else ("", attempt.account)
        self.actions.record(action, user_id, actor=UNKNOWN, target=target)

    def _judge_reuse(self, session: Session, token: RefreshToken, asked_at: datetime) -> None:
        just_used_up = hmac.compare_digest(session.previous_hash or "", token.token_hash)
        names = fields(user_id=session.user_id, session_id=session.session_id)
        if just_used_up and asked_at - session.refreshed_at <= self.grace:
            log.info("refresh_token_retried", extra=names)
            return
        log.warning("refresh_token_reused", extra=names)
        self.repository.delete(session.user_id, session.session_id)
        self.actions.record(Action.REFRESH_TOKEN_REUSED, session.user_id, actor=UNKNOWN, target=session.session_id)

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


def _position(cursor: str) -> str:
    session_id = cursors.decode(cursor).get("session_id", "")
    if not is_id("ses", session_id):
        raise InvalidInput.of(FieldError("cursor", "invalid", "This is no cursor that this list gave out."))
    return session_id


def _refused() -> Unauthenticated:
    return Unauthenticated("The refresh token is not good (any more): log in.", code="invalid_refresh_token")
