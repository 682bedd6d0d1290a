"""RFC 8725 and what attackers of JWT libraries try."""

import base64
import hashlib
import hmac
import json
import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from functions.common.errors import Unauthenticated
from functions.common.http.auth import (
    CLOCK_SKEW_SECONDS,
    MAX_TOKEN_CHARS,
    REQUIRED_CLAIMS,
    Principal,
    TokenVerifier,
    UserId,
)
from tests.support.http import KID, jwks, signing_key, token

USER = "usr_01JD3N8Z6W3V9K4T7Q2M5XBRPC"


def claims() -> dict[str, object]:
    unverified: dict[str, object] = jwt.decode(token(), options={"verify_signature": False})
    return unverified


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def hmac_signed(header: dict[str, object], secret: bytes) -> str:
    signed = f"{b64(json.dumps(header).encode())}.{b64(json.dumps(claims()).encode())}"
    return f"{signed}.{b64(hmac.new(secret, signed.encode(), hashlib.sha256).digest())}"


def public_pem() -> bytes:
    return signing_key().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def tampered(claim: str, value: object) -> str:
    header, payload, signature = token().split(".")
    changed = json.loads(base64.urlsafe_b64decode(payload + "==")) | {claim: value}
    return f"{header}.{b64(json.dumps(changed).encode())}.{signature}"


def signed(headers: dict[str, object], key: Any = None) -> str:  # Any: whatever PyJWT signs with
    return jwt.encode(claims(), key or signing_key(), "ES256", headers)


@pytest.fixture
def verifier() -> TokenVerifier:
    return TokenVerifier(jwks(), "billing-aggregator", "billing-api")


def test_a_good_token_names_the_user_the_roles_and_the_session(verifier: TokenVerifier) -> None:
    principal = verifier.verify(f"Bearer {token(USER, 'admin', sid='ses_1')}")

    assert principal == Principal(UserId(USER), frozenset({"user", "admin"}), "ses_1")


def test_the_scheme_is_case_insensitive_and_roles_and_session_are_optional(verifier: TokenVerifier) -> None:
    principal = verifier.verify(f"bEARER {token(USER, roles=None)}")

    assert (principal.roles, principal.session_id) == (frozenset(), "")


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic dXNlcjpwYXNz", token()])
def test_without_a_bearer_token_the_challenge_names_no_error(verifier: TokenVerifier, header: str | None) -> None:
    with pytest.raises(Unauthenticated) as refused:
        verifier.verify(header)

    assert refused.value.headers["WWW-Authenticate"] == 'Bearer realm="billing"'


NOW = int(time.time())
BAD = {
    "garbage": "x",
    "three parts of garbage": "a.b.c",
    "not ASCII": "é.é.é",
    "lone surrogate": "\udcff.a.b",
    "a header of deep JSON": f"{b64(b'[' * 100_000)}.{b64(b'{}')}.{b64(b'x')}",
    "a header that is a list": f"{b64(b'[]')}.{b64(b'{}')}.{b64(b'x')}",
    "two tokens": f"{token()} {token()}",
    "no signature": token().rpartition(".")[0] + ".",
    "another user": tampered("sub", "usr_other"),
    "another role": tampered("roles", ["admin"]),
    "alg none": f"{b64(json.dumps({'alg': 'none', 'kid': KID}).encode())}.{token().split('.')[1]}.",
    "alg None in capitals": f"{b64(json.dumps({'alg': 'NONE', 'kid': KID}).encode())}.{token().split('.')[1]}.",
    "HS256 with the public key as secret": hmac_signed({"alg": "HS256", "kid": KID}, public_pem()),
    "HS256 with the key set as secret": hmac_signed({"alg": "HS256", "kid": KID}, jwks().encode()),
    "HS256 said to be ES256": hmac_signed({"alg": "ES256", "kid": KID}, public_pem()),
    "no kid": signed({}),
    "a kid that is a list": f"{b64(json.dumps({'alg': 'ES256', 'kid': ['a']}).encode())}.{b64(b'{}')}.{b64(b'x')}",
    "longer than any of ours": token(padding="x" * MAX_TOKEN_CHARS),
    "a header of one character": "x.y.z",
    "an unknown kid": signed({"kid": "other"}),
    "a kid that is a path": signed({"kid": "../../dev/null"}),
    "a key of the attacker": signed({"kid": KID}, ec.generate_private_key(ec.SECP256R1())),
    "a key in the header": signed(
        {"kid": "mine", "jwk": json.loads(jwt.algorithms.ECAlgorithm.to_jwk(signing_key().public_key()))}
    ),
    "a critical extension": signed({"kid": KID, "crit": ["exp"]}),
    "expired": token(exp=NOW - 60),
    "not yet valid": token(nbf=NOW + 3600),
    "issued in the future": token(iat=NOW + 3600),
    "another issuer": token(iss="https://evil.example"),
    "another audience": token(aud="other-api"),
    "an expiry that is no number": token(exp="soon"),
    "a subject that is no text": token(sub=7),
    **{f"without {claim}": token(USER, **{claim: None}) for claim in REQUIRED_CLAIMS},
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
def test_a_token_that_does_not_verify_is_refused_and_nobody_learns_why(verifier: TokenVerifier, bad: str) -> None:
    with pytest.raises(Unauthenticated) as refused:
        verifier.verify(f"Bearer {bad}")

    assert refused.value.detail == "The token does not verify."
    assert refused.value.headers["WWW-Authenticate"] == 'Bearer realm="billing", error="invalid_token"'


def test_a_clock_that_is_a_little_off_is_forgiven(verifier: TokenVerifier) -> None:
    now = int(time.time())

    assert verifier.verify(f"Bearer {token(exp=now - 1, nbf=now + 2)}").user_id
    for off in ({"exp": now - CLOCK_SKEW_SECONDS - 1}, {"nbf": now + CLOCK_SKEW_SECONDS + 5}):
        with pytest.raises(Unauthenticated):
            verifier.verify(f"Bearer {token(USER, **off)}")


def test_while_keys_rotate_both_verify() -> None:
    new = ec.generate_private_key(ec.SECP256R1())
    published = {**json.loads(jwt.algorithms.ECAlgorithm.to_jwk(new.public_key())), "kid": "new"}
    both = json.dumps({"keys": [published, *json.loads(jwks())["keys"]]})
    verifier = TokenVerifier(both, "billing-aggregator", "billing-api")

    assert verifier.verify(f"Bearer {signed({'kid': 'new'}, new)}").user_id == USER
    assert verifier.verify(f"Bearer {token()}").user_id == USER


@pytest.mark.parametrize("broken", ["", "{}", '{"keys": [{"kty": "EC"}]}', '{"keys": [{"kid": "a", "kty": "EC"}]}'])
def test_a_broken_key_set_is_our_mistake_and_not_the_callers(broken: str) -> None:
    with pytest.raises(Exception) as raised:  # noqa: PT011 - whatever it is, it must not be a 401
        TokenVerifier(broken, "billing-aggregator", "billing-api").verify(f"Bearer {token()}")

    assert not isinstance(raised.value, Unauthenticated)


def test_without_keys_no_token_verifies() -> None:
    with pytest.raises(Unauthenticated):
        TokenVerifier('{"keys":[]}', "billing-aggregator", "billing-api").verify(f"Bearer {token()}")
