"""Who is asking: verifies access tokens (RFC 9068 style JWT, RFC 8725) against the public keys in the settings. No
network call."""

import binascii
import json
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, NewType

from functions.common.errors import Unauthenticated

if TYPE_CHECKING:
    from jwt import PyJWK

ALGORITHM = "ES256"
CLOCK_SKEW_SECONDS = 5
MAX_TOKEN_CHARS = 8192
REQUIRED_CLAIMS = ["iss", "aud", "sub", "exp", "nbf", "iat", "jti"]

_URL_SAFE = str.maketrans("-_", "+/")

UserId = NewType("UserId", str)


@dataclass(frozen=True, slots=True)
class Principal:
    user_id: UserId
    roles: frozenset[str] = field(default_factory=frozenset)
    session_id: str = ""
    """Family of refresh tokens that this access token came from; empty when there is none."""


class TokenVerifier:
    def __init__(self, jwks: str, issuer: str, audience: str) -> None:
        self._jwks = jwks
        self._issuer = issuer
        self._audience = audience

    def verify(self, authorization: str | None) -> Principal:
        """The principal that the `Authorization` header's bearer token names. Raises Unauthenticated, never says
        which check failed."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise unauthenticated("A bearer token is needed.", error="")
        if len(token) > MAX_TOKEN_CHARS:
            raise unauthenticated("The token does not verify.", error="invalid_token")
        # Here, not above: it costs 130 ms of cold start, and public routes do without.
        import jwt

        keys = self._keys  # outside of the try: a broken key set is our mistake, not the caller's
        try:
            claims = jwt.decode(
                token,
                keys[_kid(token.partition(".")[0])],
                algorithms=[ALGORITHM],
                issuer=self._issuer,
                audience=self._audience,
                leeway=CLOCK_SKEW_SECONDS,
                options={"require": REQUIRED_CLAIMS},
            )
        # RecursionError: the header is read as JSON of any depth before anything is verified.
        except (jwt.PyJWTError, KeyError, TypeError, ValueError, RecursionError) as error:
            raise unauthenticated("The token does not verify.", error="invalid_token") from error
        return Principal(UserId(claims["sub"]), frozenset(claims.get("roles", ())), claims.get("sid", ""))

    @cached_property
    def _keys(self) -> "dict[str, PyJWK]":
        from jwt import PyJWK

        return {key["kid"]: PyJWK(key, ALGORITHM) for key in json.loads(self._jwks)["keys"]}


@lru_cache(maxsize=16)
def _kid(header: str) -> str:
    """Of a token's header, still encoded. PyJWT's own look at it decodes claims and signature as well."""
    kid: str = json.loads(binascii.a2b_base64(header.translate(_URL_SAFE) + "=" * (-len(header) % 4)))["kid"]
    return kid


def unauthenticated(detail: str, error: str) -> Unauthenticated:
    """RFC 6750 section 3: the challenge names an error only when a token was given."""
    challenge = 'Bearer realm="billing"' + (f', error="{error}"' if error else "")
    return Unauthenticated(detail, headers={"WWW-Authenticate": challenge})
