"""The ways in which the utilities ask who is calling. What is absent or garbled reads as empty: refused."""

import base64
import binascii
from collections.abc import Callable
from urllib.parse import parse_qs

from functions.mock_api_service.model import Reason, Refusal
from functions.mock_api_service.service import CODE_GRANT, TokenRequest
from functions.mock_api_service.signing_in import Login

Header = Callable[[str], str | None]
"""Reads a header of the request by its name."""
ACCOUNT_SCOPE = "bills:"


def basic_login(header: Header) -> Login:
    """HTTP Basic, and beside it a code with its challenge's token."""
    return Login(*_basic(header("authorization")), header("x-mfa-token") or "", header("x-mfa-code") or "")


def biller_login(header: Header) -> Login:
    names = ("x-biller-user", "x-biller-password", "x-biller-mfa-token", "x-biller-otp")
    return Login(*(header(name) or "" for name in names))


def bearer(header: Header) -> str:
    """The token of RFC 6750."""
    scheme, _, token = (header("authorization") or "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def token_request(header: Header, body: bytes) -> TokenRequest:
    """Of RFC 6749; the client stands in HTTP Basic or in the form. A scope that names no account is overlooked."""
    form = _form(body)
    grant_type, scope = form.get("grant_type", ""), form.get("scope", "")
    if not grant_type:
        raise Refusal(Reason.MALFORMED, "grant_type is missing")
    client = form.get("client_id", ""), form.get("client_secret", "")
    if header("authorization"):
        client = _basic(header("authorization"))
    code = (form.get("mfa_token", ""), form.get("otp", "")) if grant_type == CODE_GRANT else ("", "")
    account = scope.removeprefix(ACCOUNT_SCOPE) if scope.startswith(ACCOUNT_SCOPE) else ""
    return TokenRequest(grant_type, Login(*client, *code), account)


def _basic(authorization: str | None) -> tuple[str, str]:
    """User name and password of RFC 7617."""
    scheme, _, encoded = (authorization or "").partition(" ")
    if scheme.lower() != "basic":
        return "", ""
    try:
        username, _, password = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return username, password


def _form(body: bytes) -> dict[str, str]:
    try:
        form = parse_qs(body.decode(), keep_blank_values=True, max_num_fields=16)
    except ValueError as error:
        raise Refusal(Reason.MALFORMED, "the body is not a form") from error
    if any(len(values) > 1 for values in form.values()):
        raise Refusal(Reason.MALFORMED, "a parameter stands there twice")
    return {name: values[0] for name, values in form.items()}
