"""HTTP bodies. Bounds that keep the work small stand here; what makes an e-mail or a name is the domain's to say."""

from typing import Annotated

from msgspec import Meta, Struct

from functions.common.clock import rfc3339
from functions.user_service.model import User


class RegisterUser(Struct, kw_only=True, forbid_unknown_fields=True):
    email: Annotated[str, Meta(max_length=320)]
    password: Annotated[str, Meta(min_length=8, max_length=128)]
    name: Annotated[str, Meta(min_length=1, max_length=100)]


class LogIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """Wider than what registers: an address or password that cannot be is wrong credentials like any other."""

    email: Annotated[str, Meta(max_length=1024)]
    password: Annotated[str, Meta(max_length=1024)]


class RefreshSession(Struct, kw_only=True, forbid_unknown_fields=True):
    refresh_token: Annotated[str, Meta(max_length=512)]


class LogOut(Struct, kw_only=True, forbid_unknown_fields=True):
    """Without a refresh token, the session of the access token ends."""

    refresh_token: Annotated[str, Meta(max_length=512)] | None = None


class UserReply(Struct, kw_only=True):
    user_id: str
    email: str
    name: str
    created_at: str

    @classmethod
    def of(cls, user: User) -> "UserReply":
        return cls(user_id=user.user_id, email=user.email, name=user.name, created_at=rfc3339(user.created_at))


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
