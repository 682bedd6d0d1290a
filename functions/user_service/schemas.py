"""HTTP bodies. Bounds that keep the work small stand here; what makes an e-mail or a name is the domain's to say."""

from typing import Annotated

from msgspec import UNSET, Meta, Raw, Struct, UnsetType, structs

from functions.common.clock import rfc3339
from functions.user_service.export import ExportedUser
from functions.user_service.model import MAX_NAME, MAX_REMINDER_DAYS, MAX_REPEAT_DAYS, Session, SessionId, User
from functions.user_service.passwords import MAX_LENGTH, MIN_LENGTH
from functions.user_service.service import Preference

Address = Annotated[str, Meta(max_length=320)]
# A password is counted as it is hashed (see passwords.py), and may have come in more characters than that.
NewPassword = Annotated[
    str, Meta(min_length=MIN_LENGTH, max_length=4 * MAX_LENGTH, extra_json_schema={"maxLength": MAX_LENGTH})
]
AnyPassword = Annotated[str, Meta(max_length=1024)]
SentCode = Annotated[str, Meta(max_length=128)]


class RegisterUser(Struct, kw_only=True, forbid_unknown_fields=True):
    email: Address
    password: NewPassword
    name: Annotated[str, Meta(min_length=1, max_length=MAX_NAME)]


class UpdateUser(Struct, kw_only=True, forbid_unknown_fields=True):
    """What is left out stays as it is; null takes a choice back."""

    name: Annotated[str, Meta(min_length=1, max_length=MAX_NAME)] | UnsetType = UNSET
    currency: Annotated[str, Meta(pattern="^[A-Z]{3}$", description="ISO 4217")] | UnsetType | None = UNSET
    time_zone: Annotated[str, Meta(max_length=64, description="IANA")] | UnsetType | None = UNSET
    reminder_days: Annotated[int, Meta(ge=0, le=MAX_REMINDER_DAYS)] | UnsetType | None = UNSET
    reminder_repeat_days: Annotated[int, Meta(ge=1, le=MAX_REPEAT_DAYS)] | UnsetType | None = UNSET

    def changes(self) -> dict[str, Preference]:
        return {name: value for name, value in structs.asdict(self).items() if value is not UNSET}


class ChangePassword(Struct, kw_only=True, forbid_unknown_fields=True):
    current_password: AnyPassword
    new_password: NewPassword


class RequestCode(Struct, kw_only=True, forbid_unknown_fields=True):
    email: Address


class VerifyEmail(Struct, kw_only=True, forbid_unknown_fields=True):
    email: Address
    code: SentCode


class ResetPassword(Struct, kw_only=True, forbid_unknown_fields=True):
    email: Address
    code: SentCode
    new_password: NewPassword


class Accepted(Struct, kw_only=True):
    """It will be done, and there is nothing to say of it."""


class LogIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """Wider than what registers: an address or password that cannot be is wrong credentials like any other."""

    email: Annotated[str, Meta(max_length=1024)]
    password: AnyPassword


class RefreshSession(Struct, kw_only=True, forbid_unknown_fields=True):
    refresh_token: Annotated[str, Meta(max_length=512)]


class LogOut(Struct, kw_only=True, forbid_unknown_fields=True):
    """Without a refresh token, the session of the access token ends."""

    refresh_token: Annotated[str, Meta(max_length=512)] | None = None


class UserReply(Struct, kw_only=True):
    user_id: str
    email: str
    email_verified: bool
    name: str
    currency: str | None
    time_zone: str | None
    reminder_days: int | None
    reminder_repeat_days: int | None
    roles: list[str]
    created_at: str

    @classmethod
    def of(cls, user: User) -> "UserReply":
        return cls(
            user_id=user.user_id,
            email=user.email,
            email_verified=user.email_verified,
            name=user.preferences.name,
            currency=user.preferences.currency,
            time_zone=user.preferences.time_zone,
            reminder_days=user.preferences.reminder_days,
            reminder_repeat_days=user.preferences.reminder_repeat_days,
            roles=["user", *sorted(user.roles)],
            created_at=rfc3339(user.created_at),
        )


class SessionReply(Struct, kw_only=True):
    """`current`: the one that this request's access token belongs to."""

    session_id: str
    created_at: str
    last_used_at: str
    current: bool

    @classmethod
    def of(cls, session: Session, current: SessionId) -> "SessionReply":
        return cls(
            session_id=session.session_id,
            created_at=rfc3339(session.created_at),
            last_used_at=rfc3339(session.refreshed_at),
            current=session.session_id == current,
        )


class ListSessions(Struct, kw_only=True, forbid_unknown_fields=True):
    limit: Annotated[int, Meta(ge=1, le=200)] = 50
    cursor: Annotated[str, Meta(max_length=512)] = ""


class SessionList(Struct, kw_only=True):
    items: list[SessionReply]
    next_cursor: str | None


class RoleGrantReply(Struct, kw_only=True):
    role: str
    at: str


class ExportedUserReply(UserReply, kw_only=True):
    role_grants: list[RoleGrantReply]
    updated_at: str


class ExportQuery(Struct, kw_only=True, forbid_unknown_fields=True):
    cursor: Annotated[str, Meta(max_length=1024)] = ""


class ExportReply(Struct, kw_only=True):
    """Everything held on the user: the lists of each service, by name. With `next_cursor` they go on in the next."""

    exported_at: str
    user: ExportedUserReply
    sessions: list[SessionReply]
    accounts: dict[str, list[Raw]]
    bills: dict[str, list[Raw]]
    jobs: dict[str, list[Raw]]
    webhooks: dict[str, list[Raw]]
    activity: dict[str, list[Raw]]
    next_cursor: str | None

    @classmethod
    def of(cls, export: ExportedUser, current: SessionId) -> "ExportReply":
        user = export.user
        own = ExportedUserReply(
            **structs.asdict(UserReply.of(user)),
            role_grants=[RoleGrantReply(role=grant.role, at=rfc3339(grant.at)) for grant in user.role_grants],
            updated_at=rfc3339(user.updated_at),
        )
        sessions = [SessionReply.of(session, current) for session in export.sessions]
        return cls(
            exported_at=rfc3339(export.exported_at),
            user=own,
            sessions=sessions,
            next_cursor=export.next_cursor,
            **export.parts,
        )


class TokenReply(Struct, kw_only=True):
    """RFC 6749 section 5.1. `expires_in`: seconds."""

    access_token: str
    token_type: str = "Bearer"  # noqa: S105  # RFC 6749's word
    expires_in: int
    refresh_token: str


class Jwk(Struct, kw_only=True):
    """RFC 7517: an elliptic-curve public key."""

    kty: str
    crv: str
    x: str
    y: str
    kid: str
    alg: str
    use: str


class Jwks(Struct, kw_only=True):
    """RFC 7517 section 5; the first key signs, all verify."""

    keys: list[Jwk]
