"""Use cases of a user's own data: registering, looking up, changing and deleting it, and roles.

What comes beside: `sessions.py` (logging in and what follows), `recovery.py` (passwords and codes by mail),
`export.py` (everything held on a user) and `lockout.py` (who guesses is slowed down).
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from functions.common.actions import OPERATOR, Actions
from functions.common.clock import Clock
from functions.common.errors import Conflict, FieldError, InvalidInput, NotFound, PreconditionFailed
from functions.common.ids import new_id
from functions.common.logs import fields
from functions.common.outbox import Outbox, Pending
from functions.contracts.events.envelope import wrap
from functions.contracts.events.security import Action
from functions.contracts.events.users import UserDeletedV1
from functions.user_service.lockout import AccountKey, account_key
from functions.user_service.model import (
    CURRENCIES,
    Email,
    Mail,
    Preferences,
    Role,
    RoleGrant,
    Session,
    SessionId,
    User,
    UserId,
    cleaned_name,
    is_time_zone,
    normalised_email,
)
from functions.user_service.passwords import password_errors

log = logging.getLogger(__name__)

Preference = str | int | None
NAME_RULE = "A name has 1 to 100 characters, at least one that shows, and no control characters."


class UserRepository(Protocol):
    """Users who are being deleted are left out, but where it says otherwise."""

    def create(self, user: User) -> bool:
        """False, and nothing is written, when somebody has that e-mail, be it one who is being deleted."""
        ...

    def get(self, user_id: UserId) -> User | None: ...
    def get_even_deleted(self, user_id: UserId) -> User | None: ...
    def find(self, email: Email) -> User | None: ...

    def set_preferences(self, user_id: UserId, changes: Mapping[str, Preference], at: datetime) -> User | None:
        """The user with these fields of their preferences changed; None when there is none."""
        ...

    def rehash(self, user: User, password_hash: str) -> None:
        """The same password, hashed anew. Unless the hash is no longer that of `user`."""
        ...

    def change_password(self, user: User, password_hash: str, at: datetime, *, verifies_email: bool) -> User | None:
        """Another password, and the next session epoch. None, and nothing is written, when the password of `user` has
        been changed meanwhile; whatever else has changed of the user stays as it is."""
        ...

    def end_sessions(self, user_id: UserId, at: datetime) -> None:
        """The next session epoch."""
        ...

    def set_email_verified(self, user_id: UserId, at: datetime) -> None: ...
    def grant_role(self, user: User, role: Role, at: datetime) -> None: ...

    def mark_deleted(self, user_id: UserId, at: datetime, events: Sequence[str]) -> Pending | None:
        """None, and nothing is written, when there is no such user (any more)."""
        ...

    def remove(self, user: User) -> None:
        """The user and their claim to the e-mail."""
        ...


class SessionRepository(Protocol):
    def create(self, session: Session) -> None: ...
    def get(self, user_id: UserId, session_id: SessionId) -> Session | None: ...

    def newest(self, user_id: UserId, limit: int, before: str = "") -> Sequence[Session]:
        """Those begun before the session of that id, the newest first; such that are over among them."""
        ...

    def rotate(self, seen: Session, rotated: Session) -> bool:
        """False, and nothing is written, when the session is no longer as `seen`."""
        ...

    def adopt(self, user_id: UserId, session_id: SessionId, epoch: int) -> None:
        """Takes the session, if there is one, over into the epoch."""
        ...

    def delete(self, user_id: UserId, session_id: SessionId) -> None: ...

    def delete_all(self, user_id: UserId, keep: SessionId | None = None) -> int:
        """All sessions but `keep`, and all codes. Answers how many items that were."""
        ...


class PasswordHasher(Protocol):
    def hash(self, password: str) -> str: ...

    def verify(self, password_hash: str | None, password: str) -> bool:
        """Takes as long for None (no such user) as for a wrong password."""
        ...

    def outdated(self, password_hash: str) -> bool: ...


class MailPost(Protocol):
    def post(self, email: str, mail: Mail) -> None:
        """Has the mail sent if somebody has the address; does not wait, and never fails."""
        ...


class CountRepository(Protocol):
    def delete_account(self, account: AccountKey) -> int:
        """The account's failed logins. Answers how many items that were."""
        ...


@dataclass(frozen=True, slots=True)
class Directory:
    """What other services ask."""

    repository: UserRepository

    def get_user(self, user_id: UserId) -> User:
        """Raises NotFound."""
        return _found(self.repository.get(user_id))


@dataclass(frozen=True, slots=True, kw_only=True)
class Users:
    repository: UserRepository
    sessions: SessionRepository
    hasher: PasswordHasher
    mails: MailPost
    actions: Actions
    outbox: Outbox
    clock: Clock

    def register(self, email: str, password: str, name: str) -> User:
        """The new user. Raises InvalidInput for an e-mail, password or name that may not be, Conflict for a known
        e-mail.

        That a known e-mail shows is accepted (issue of the front door); logging in does not show it.
        """
        address, clean = _checked(email, password, name)
        now = self.clock.now()
        user = User(
            user_id=UserId(new_id("usr")),
            email=address,
            preferences=Preferences(name=clean),
            password_hash=self.hasher.hash(password),
            created_at=now,
            updated_at=now,
        )
        if not self.repository.create(user):
            raise Conflict("Somebody has registered with this e-mail.", code="email_taken")
        log.info("user_registered", extra=fields(user_id=user.user_id))
        self.actions.record(Action.USER_REGISTERED, user.user_id)
        self.mails.post(user.email, Mail.VERIFY_EMAIL)
        return user

    def get_user(self, user_id: UserId) -> User:
        """Raises NotFound."""
        return _found(self.repository.get(user_id))

    def update_user(self, user_id: UserId, changes: Mapping[str, Preference]) -> User:
        """Changes those fields of the preferences that are named; None takes a choice back. Raises InvalidInput,
        NotFound."""
        checked = _checked_preferences(changes)
        if not checked:
            return self.get_user(user_id)
        return _found(self.repository.set_preferences(user_id, checked, self.clock.now()))

    def delete_user(self, user_id: UserId) -> None:
        """From now on there is no such user; what is held on them goes by and by, here and in every other service.

        Again changes nothing. The e-mail is free when all is gone.
        """
        now = self.clock.now()
        event = wrap(UserDeletedV1(user_id=user_id), now)
        pending = self.repository.mark_deleted(user_id, now, [event.to_json()])
        if pending is None:
            return
        log.info("user_deleted", extra=fields(user_id=user_id))
        self.sessions.delete_all(user_id)
        self.outbox.send([pending])

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
        if role in user.roles:
            return user
        grant = RoleGrant(Role(role), self.clock.now())
        self.repository.grant_role(user, grant.role, grant.at)
        log.info("role_granted", extra=fields(user_id=user.user_id, role=role))
        self.actions.record(Action.ROLE_GRANTED, user.user_id, actor=OPERATOR, target=role)
        return replace(user, roles=user.roles | {grant.role}, role_grants=(*user.role_grants, grant))


@dataclass(frozen=True, slots=True, kw_only=True)
class Purge:
    """What other services' deletion ends with, and what the sweep calls."""

    repository: UserRepository
    sessions: SessionRepository
    counts: CountRepository
    outbox: Outbox

    def purge_user(self, user_id: UserId) -> int:
        """Deletes what is left of a user who is being deleted; answers how many items. Again deletes nothing.

        Raises PreconditionFailed for a user who is not being deleted.
        """
        user = self.repository.get_even_deleted(user_id)
        deleted = 0
        if user and not user.deleted_at:
            raise PreconditionFailed("The user is not being deleted.", code="user_not_deleted")
        deleted += self.sessions.delete_all(user_id)
        if user:
            deleted += self.counts.delete_account(account_key(user.email))
            self.repository.remove(user)
            deleted += 2
            log.info("user_purged", extra=fields(user_id=user_id))
        return deleted

    def flush_outbox(self, limit: int) -> tuple[int, bool]:
        """Publishes events that were left behind. Answers how many items, and whether there may be more."""
        return self.outbox.flush(limit)


def _found(user: User | None) -> User:
    if user is None:
        raise NotFound("There is no such user.", code="user_not_found")
    return user


def _checked(email: str, password: str, name: str) -> tuple[Email, str]:
    address, clean = normalised_email(email), cleaned_name(name)
    errors = list(password_errors(password, field="password", email=address or email, name=clean or name))
    if address is None:
        errors.append(FieldError("email", "invalid", "This is no e-mail address."))
    if clean is None:
        errors.append(FieldError("name", "invalid", NAME_RULE))
    if errors or address is None or clean is None:
        raise InvalidInput.of(*errors)
    return address, clean


def _checked_preferences(changes: Mapping[str, Preference]) -> Mapping[str, Preference]:
    checked, errors = dict(changes), []
    if "name" in changes:
        checked["name"] = cleaned_name(str(changes["name"]))
        if checked["name"] is None:
            errors.append(FieldError("name", "invalid", NAME_RULE))
    currency, time_zone = changes.get("currency"), changes.get("time_zone")
    if currency is not None and currency not in CURRENCIES:
        errors.append(FieldError("currency", "invalid", "This is no ISO 4217 code of a currency, e.g. EUR."))
    if time_zone is not None and not is_time_zone(str(time_zone)):
        errors.append(FieldError("time_zone", "invalid", "This is no IANA time zone, e.g. Europe/Berlin."))
    if errors:
        raise InvalidInput.of(*errors)
    return checked
