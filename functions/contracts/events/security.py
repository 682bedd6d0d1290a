"""What was done to an account of this platform, or tried, and what people with a role did. Owner: listener_service,
which keeps them; every service in which such a thing happens tells of it."""

from enum import StrEnum
from typing import ClassVar

from functions.contracts.events.envelope import EventData


class Action(StrEnum):
    """Deleting one's account is `user.deleted.v1`."""

    USER_REGISTERED = "user_registered"
    LOGIN_SUCCEEDED = "login_succeeded"
    LOGIN_FAILED = "login_failed"
    LOGIN_LOCKED = "login_locked"
    """A failed login after which the next one has to wait."""
    LOGGED_OUT_EVERYWHERE = "logged_out_everywhere"
    SESSION_ENDED = "session_ended"
    REFRESH_TOKEN_REUSED = "refresh_token_reused"  # noqa: S105 - a name
    """Somebody came with a refresh token that had been used before: a thief, or one who was robbed."""
    PASSWORD_CHANGED = "password_changed"  # noqa: S105 - a name
    PASSWORD_CHANGE_REFUSED = "password_change_refused"  # noqa: S105 - a name
    PASSWORD_RESET = "password_reset"  # noqa: S105 - a name
    EMAIL_VERIFIED = "email_verified"
    ROLE_GRANTED = "role_granted"
    ADMIN_REQUEST = "admin_request"
    """A request to a route that needs a role, granted or not."""


class SecurityActionRecordedV1(EventData, frozen=True, kw_only=True):
    """A security or admin action. Never an e-mail, an account number or anything that was sent."""

    TYPE: ClassVar[str] = "security.action_recorded.v1"
    SOURCE: ClassVar[str] = "listener"

    user_id: str
    """Whom it concerns; empty where it is nobody we know."""
    action: str
    """One of `Action`; there may be more some day."""
    actor: str = ""
    """Who did it: a user's id, `operator`, or `unknown`."""
    address: str = ""
    """IP address that it came from; where it concerns nobody we know, a hash of it."""
    target: str = ""
    """What was acted on: a session, a role, a route with its ids; of a login with an unknown e-mail, a hash of that."""
    status: int | None = None
    """HTTP status of the answer to an admin's request."""

    @property
    def subject(self) -> str:
        return self.user_id or "platform"
