"""Use cases of passwords and mailboxes: changing a password, and what a code that came by mail is good for.

Who asks for a code learns nothing of the address, not even by the time: the request is handed over, unseen, to the
function that looks the user up, and answered. A code has 256 random bits, so nobody guesses one and only its hash is
kept; it is good once, for a while, and until the next one is sent.
"""

import hmac
import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from functions.common.actions import Actions
from functions.common.clock import Clock
from functions.common.errors import AppError, Conflict, FieldError, InvalidInput, NotFound
from functions.common.logs import fields
from functions.contracts.events.security import Action
from functions.user_service.lockout import Lockout
from functions.user_service.model import Code, Mail, Purpose, SessionId, User, UserId, normalised_email
from functions.user_service.passwords import password_errors
from functions.user_service.service import MailPost, PasswordHasher, SessionRepository, UserRepository
from functions.user_service.tokens import digest, new_secret

log = logging.getLogger(__name__)

NOBODY = UserId("usr_nobody")
"""Looked up in place of a user whom there is not, so that it takes as long."""


class CodeRepository(Protocol):
    def get(self, user_id: UserId, purpose: Purpose) -> Code | None: ...

    def replace(self, user_id: UserId, seen: Code | None, code: Code) -> bool:
        """False, and nothing is written, when the code is no longer `seen`: somebody else sends one."""
        ...

    def use(self, user_id: UserId, code: Code) -> bool:
        """Deletes it; False when it was used or replaced meanwhile."""
        ...


class Mailer(Protocol):
    def send(self, email: str, mail: Mail, code: str) -> bool:
        """False when mails are not sent here. Raises AppError when the mail service does not take it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    users: UserRepository
    sessions: SessionRepository
    codes: CodeRepository
    hasher: PasswordHasher
    lockout: Lockout
    mails: MailPost
    actions: Actions
    clock: Clock

    def request_code(self, email: str, purpose: Purpose) -> None:
        """Has a code sent if somebody has the address. Raises InvalidInput for what is no address."""
        address = normalised_email(email)
        if address is None:
            raise InvalidInput.of(FieldError("email", "invalid", "This is no e-mail address."))
        self.mails.post(address, Mail(purpose.value))

    def verify_email(self, email: str, code: str) -> None:
        """Uses up the code. Raises InvalidInput for one that is not good (any more)."""
        user, known = self._checked_code(email, code, Purpose.VERIFY_EMAIL)
        self._use(user, known)
        self.users.set_email_verified(user.user_id, self.clock.now())
        log.info("email_verified", extra=fields(user_id=user.user_id))
        self.actions.record(Action.EMAIL_VERIFIED, user.user_id)

    def reset_password(self, email: str, code: str, new_password: str, address: str) -> None:
        """Uses up the code, ends all sessions and lifts the lock. Raises InvalidInput.

        A password that may not be chosen does not use it up.
        """
        errors = list(password_errors(new_password, field="new_password", email=normalised_email(email) or email))
        if errors:
            raise InvalidInput.of(*errors)
        user, known = self._checked_code(email, code, Purpose.RESET_PASSWORD)
        self._check_password(user, new_password)
        self._use(user, known)
        self._set_password(user, new_password, verifies_email=True)
        self.sessions.delete_all(user.user_id)
        self.lockout.reset(user.email, address)
        self.mails.post(user.email, Mail.PASSWORD_CHANGED)
        log.info("password_reset", extra=fields(user_id=user.user_id))
        self.actions.record(Action.PASSWORD_RESET, user.user_id)

    def change_password(
        self, user_id: UserId, session_id: SessionId, current: str, new_password: str, address: str
    ) -> None:
        """Ends all sessions but this one. Raises InvalidInput, NotFound and, after too many failures, RateLimited."""
        user = self.users.get(user_id)
        if user is None:
            raise NotFound("There is no such user.", code="user_not_found")
        self._check_password(user, new_password)
        attempt = self.lockout.admit(user.email, address)
        if not self.hasher.verify(user.password_hash, current):
            self.lockout.failed(attempt)
            self.actions.record(Action.PASSWORD_CHANGE_REFUSED, user_id)
            raise InvalidInput.of(FieldError("current_password", "wrong", "This is not the present password."))
        self.lockout.succeeded(attempt)
        changed = self._set_password(user, new_password, verifies_email=False)
        self.sessions.adopt(user_id, session_id, changed.session_epoch)
        self.sessions.delete_all(user_id, keep=session_id)
        self.mails.post(user.email, Mail.PASSWORD_CHANGED)
        log.info("password_changed", extra=fields(user_id=user_id))
        self.actions.record(Action.PASSWORD_CHANGED, user_id)

    def _checked_code(self, email: str, code: str, purpose: Purpose) -> tuple[User, Code]:
        address = normalised_email(email)
        user = self.users.find(address) if address else None
        known = self.codes.get(user.user_id if user else NOBODY, purpose)
        good = hmac.compare_digest(known.code_hash if known else "", digest(code))
        if user is None or known is None or not good or known.expires_at <= self.clock.now():
            raise _bad_code()
        return user, known

    def _use(self, user: User, code: Code) -> None:
        if not self.codes.use(user.user_id, code):
            raise _bad_code()

    def _check_password(self, user: User, new_password: str) -> None:
        errors = list(password_errors(new_password, field="new_password", email=user.email, name=user.name))
        if errors:
            raise InvalidInput.of(*errors)

    def _set_password(self, user: User, password: str, *, verifies_email: bool) -> User:
        changed = self.users.change_password(
            user, self.hasher.hash(password), self.clock.now(), verifies_email=verifies_email
        )
        if changed is None:
            raise Conflict("The password was changed in this very moment.", code="password_changed")
        return changed


@dataclass(frozen=True, slots=True, kw_only=True)
class Mailing:
    """Runs apart from the routes, where nobody waits for it."""

    users: UserRepository
    codes: CodeRepository
    mailer: Mailer
    clock: Clock
    lifetime: timedelta
    """How long a code is good."""
    pause: timedelta
    """Sooner no second code is sent to a mailbox: nobody can flood it."""

    def send_mail(self, email: str, mail: Mail) -> bool:
        """Whether it was sent: not to nobody, not too soon, not without need. A failing mail service is logged."""
        address = normalised_email(email)
        user = self.users.find(address) if address else None
        if user is None or (mail is Mail.VERIFY_EMAIL and user.email_verified):
            return False
        if mail is Mail.PASSWORD_CHANGED:
            return self._send(user, mail, "")
        return self._send_code(user, mail)

    def _send_code(self, user: User, mail: Mail) -> bool:
        purpose, now, secret = Purpose(mail.value), self.clock.now(), new_secret()
        seen = self.codes.get(user.user_id, purpose)
        if seen and seen.sent_at + self.pause > now:
            log.info("mail_too_soon", extra=fields(user_id=user.user_id, mail=mail.value))
            return False
        code = Code(purpose=purpose, code_hash=digest(secret), sent_at=now, expires_at=now + self.lifetime)
        if not self.codes.replace(user.user_id, seen, code):
            return False
        if self._send(user, mail, secret):
            return True
        self.codes.use(user.user_id, code)  # so that the next request need not wait
        return False

    def _send(self, user: User, mail: Mail, code: str) -> bool:
        try:
            sent = self.mailer.send(user.email, mail, code)
        except AppError as error:
            log.warning("mail_not_sent", extra=fields(user_id=user.user_id, mail=mail.value, code=error.code))
            return False
        if sent:
            log.info("mail_sent", extra=fields(user_id=user.user_id, mail=mail.value))
        return sent


def _bad_code() -> InvalidInput:
    return InvalidInput.of(
        FieldError("code", "invalid", "The code is wrong, was used, or has expired: ask for another.")
    )
