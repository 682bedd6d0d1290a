"""Calls a ServiceApp the way API Gateway does, with tokens signed by a key of the tests' own."""

import base64
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

from functions.common.cache import Cache
from functions.common.http.app import ServiceApp
from functions.common.http.auth import TokenVerifier
from functions.common.settings import HttpSettings
from tests.support.fakes import FakeActions

KID = "test-key"


@cache
def signing_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@cache
def jwks() -> str:
    key = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(signing_key().public_key()))
    return json.dumps({"keys": [{**key, "kid": KID, "alg": "ES256", "use": "sig"}]})


def token(user_id: str = "usr_01JD3N8Z6W3V9K4T7Q2M5XBRPC", *roles: str, **overrides: object) -> str:
    """A valid access token; `overrides` replace or, when None, drop claims."""
    now = int(time.time())
    claims: dict[str, object] = {
        "iss": "billing-aggregator", "aud": "billing-api", "sub": user_id, "exp": now + 900, "nbf": now, "iat": now,
        "jti": "jti_test", "roles": ["user", *roles],
    }  # fmt: skip
    claims = {name: value for name, value in {**claims, **overrides}.items() if value is not None}
    return jwt.encode(claims, signing_key(), "ES256", {"kid": KID})


def configure(app: ServiceApp, **settings: Any) -> ServiceApp:  # Any: values of HttpSettings
    """Gives `app` settings of the test's own, as if read from the environment: the tests' key, no cache, no broker."""
    values = HttpSettings(**{"jwks": jwks(), **settings})
    app.__dict__["settings"] = values
    app.__dict__["cache"] = Cache(values.cache_url, values.cache_timeout_ms)
    app.__dict__["verifier"] = TokenVerifier(values.jwks, values.token_issuer, values.token_audience)
    app.__dict__["actions"] = FakeActions()
    return app


@dataclass(frozen=True)
class Result:
    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> Any:  # Any: JSON
        return json.loads(self.text)

    @property
    def fields(self) -> set[str]:
        """Fields named by a problem's `errors`."""
        return {error["field"] for error in self.json.get("errors", ())}


def request(
    app: ServiceApp,
    method: str,
    resource: str,
    body: object = None,
    *,
    path: Mapping[str, str] | None = None,
    query: Mapping[str, str | Sequence[str]] | None = None,
    headers: Mapping[str, str] | None = None,
    bearer: str | None = None,
) -> Result:
    """`resource` is the route as in the code, e.g. "/accounts/{link_id}"; a `body` that is no text is sent as JSON."""
    sent = {**({"content-type": "application/json"} if body is not None else {}), **(headers or {})}
    if bearer:
        sent["authorization"] = f"Bearer {bearer}"
    values = {k: [v] if isinstance(v, str) else list(v) for k, v in (query or {}).items()}
    filled = resource
    for name, value in (path or {}).items():
        filled = filled.replace(f"{{{name}}}", value).replace(f"{{{name}+}}", value)
    event = {
        "headers": sent,
        "multiValueQueryStringParameters": values or None,
        "pathParameters": dict(path) if path else None,
        "requestContext": {
            "httpMethod": method, "resourcePath": resource, "path": f"/v1{filled}",
            "identity": {"sourceIp": "192.0.2.7"},
        },
        "body": body if isinstance(body, str) or body is None else json.dumps(body),
        "isBase64Encoded": False,
        "stageVariables": None,
    }  # fmt: skip
    answer = app(event, None)
    text = base64.b64decode(answer["body"]).decode() if answer.get("isBase64Encoded") else answer["body"]
    return Result(answer["statusCode"], answer["headers"], text)
