"""Every route of the platform, asked without a token: only what is public answers."""

import re

import pytest

from functions.contracts.routes import ROUTES
from infra.client import Client
from tests.integration.household import Household
from tests.integration.problems import refused

PUBLIC = {
    ("POST", "/users"), ("POST", "/auth/login"), ("POST", "/auth/refresh"), ("GET", "/.well-known/jwks.json"),
    ("POST", "/auth/verify-email"), ("POST", "/auth/verify-email/request"),
    ("POST", "/auth/password-reset"), ("POST", "/auth/password-reset/request"),
    ("GET", "/health"), ("GET", "/openapi.json"), ("GET", "/docs"),
}  # fmt: skip
UTILITY = re.compile(r"/mock/(electricity|gas|water|internet)/|/webhooks/providers/")
"""These ask for what the utility or the webhook's sender must know, not for a token of ours."""
EVERY_ROUTE = [(method, path) for path, methods in ROUTES.items() for method in methods]


def is_public(method: str, path: str) -> bool:
    return ("GET" if method == "HEAD" else method, path) in PUBLIC or UTILITY.match(path) is not None


@pytest.mark.parametrize(("method", "path"), [route for route in EVERY_ROUTE if not is_public(*route)])
def test_a_route_that_is_not_public_needs_a_token(nobody: Client, method: str, path: str) -> None:
    answer = nobody.send(method, re.sub(r"{\w+}", "x", path))

    if method == "HEAD":
        assert (answer.status_code, answer.content) == (401, b"")
    else:
        assert refused(answer, 401)["code"] == "unauthenticated"


@pytest.mark.parametrize(("method", "path"), [route for route in EVERY_ROUTE if is_public(*route)])
def test_a_public_route_asks_for_no_token_of_ours(nobody: Client, method: str, path: str) -> None:
    answer = nobody.send(method, re.sub(r"{\w+}", "x", path))

    assert "unauthenticated" not in answer.text
    assert answer.status_code < 500, answer.text
    assert answer.status_code != 403


def test_every_route_is_behind_the_gateway(settled: Household) -> None:
    """With a token no route falls through to the catch-all: it would say unknown_path or 405."""
    for method, path in EVERY_ROUTE:
        if method == "GET":
            answer = settled.client.send(method, re.sub(r"{\w+}", "x", path))
            assert answer.status_code != 405
            assert "unknown_path" not in answer.text


def test_the_public_keys_verify_the_tokens_that_login_gives(nobody: Client, settled: Household) -> None:
    import jwt

    keys = jwt.PyJWKSet.from_dict(nobody.call("GET", "/.well-known/jwks.json"))
    head = jwt.get_unverified_header(settled.client.token)

    claims = jwt.decode(
        settled.client.token,
        keys[head["kid"]],
        algorithms=["ES256"],
        audience="billing-api",
        issuer="billing-aggregator",
    )

    assert head["alg"] == "ES256"
    assert claims["sub"] == settled.user_id
    assert claims["exp"] - claims["iat"] == 900
