"""What a session hands out: access tokens (RFC 9068 JWTs) and opaque refresh tokens."""

import base64
import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from functions.common.ids import is_id, new_id
from functions.user_service.model import SessionId, User, UserId

SECRET_BYTES, SECRET_CHARS = 32, 43


class Signer(Protocol):
    @property
    def kid(self) -> str:
        """Names the key in the JWKS."""
        ...

    def sign(self, message: bytes) -> bytes:
        """The ES256 signature of `message`, r || s."""
        ...


@dataclass(frozen=True, slots=True)
class AccessTokens:
    """Issues access tokens. Everybody with the JWKS can verify them: see `functions.common.http.auth`."""

    signer: Signer
    issuer: str
    audience: str
    lifetime: timedelta

    def issue(self, user: User, session_id: SessionId, now: datetime) -> str:
        issued_at = int(now.timestamp())
        header = {"alg": "ES256", "typ": "at+jwt", "kid": self.signer.kid}
        claims = {
            "iss": self.issuer,
            "aud": self.audience,
            "sub": user.user_id,
            "exp": issued_at + int(self.lifetime.total_seconds()),
            "nbf": issued_at,
            "iat": issued_at,
            "jti": new_id("jti"),
            "roles": ["user", *sorted(user.roles)],
            "sid": session_id,
        }
        signed_part = f"{_segment(_json(header))}.{_segment(_json(claims))}"
        return f"{signed_part}.{_segment(self.signer.sign(signed_part.encode()))}"


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """`<user_id>.<session_id>.<family secret>.<own secret>`: the ids find the session, the secrets prove the right."""

    user_id: UserId
    session_id: SessionId
    family_secret: str = field(repr=False)
    own_secret: str = field(repr=False)

    @classmethod
    def first(cls, user_id: UserId, session_id: SessionId) -> "RefreshToken":
        return cls(user_id, session_id, new_secret(), new_secret())

    @classmethod
    def parse(cls, text: str) -> "RefreshToken | None":
        """None for what is no refresh token of ours."""
        parts = text.split(".")
        if len(parts) != 4 or not text.isascii() or any(len(secret) != SECRET_CHARS for secret in parts[2:]):
            return None
        user_id, session_id, family_secret, own_secret = parts
        if not (is_id("usr", user_id) and is_id("ses", session_id)):
            return None
        return cls(UserId(user_id), SessionId(session_id), family_secret, own_secret)

    def next(self) -> "RefreshToken":
        """The family's next token."""
        return RefreshToken(self.user_id, self.session_id, self.family_secret, new_secret())

    @property
    def family_hash(self) -> str:
        return digest(self.family_secret)

    @property
    def token_hash(self) -> str:
        return digest(self.own_secret)

    def __str__(self) -> str:
        return f"{self.user_id}.{self.session_id}.{self.family_secret}.{self.own_secret}"


def new_secret() -> str:
    """256 random bits, for a token or a code."""
    return secrets.token_urlsafe(SECRET_BYTES)


def digest(secret: str) -> str:
    """SHA-256 suffices: 256 random bits cannot be guessed, however fast the hash."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _json(value: Mapping[str, object]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _segment(data: bytes) -> str:
    """base64url without padding (RFC 7515 section 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
