"""The ways in which the utilities ask who is calling. What is absent or garbled reads as empty: refused."""

import base64
import binascii
from urllib.parse import parse_qs

from functions.mock_api_service.model import Reason, Refusal


def basic(authorization: str | None) -> tuple[str, str]:
    """User name and password of HTTP Basic (RFC 7617)."""
    scheme, _, encoded = (authorization or "").partition(" ")
    if scheme.lower() != "basic":
        return "", ""
    try:
        username, _, password = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return username, password


def bearer(authorization: str | None) -> str:
    """The token of RFC 6750."""
    scheme, _, token = (authorization or "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def token_request(authorization: str | None, body: bytes) -> tuple[str, str, str]:
    """Grant type, client id and secret of an RFC 6749 token request; the client stands in HTTP Basic or in the form."""
    try:
        form = parse_qs(body.decode(), keep_blank_values=True, max_num_fields=16)
    except ValueError as error:
        raise Refusal(Reason.MALFORMED, "the body is not a form") from error
    if any(len(values) > 1 for values in form.values()):
        raise Refusal(Reason.MALFORMED, "a parameter stands there twice")
    grant_type, client_id, client_secret = (
        form.get(name, [""])[0] for name in ("grant_type", "client_id", "client_secret")
    )
    if not grant_type:
        raise Refusal(Reason.MALFORMED, "grant_type is missing")
    if authorization:
        client_id, client_secret = basic(authorization)
    return grant_type, client_id, client_secret
