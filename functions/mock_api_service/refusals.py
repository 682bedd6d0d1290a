"""How each utility says no, in its own words: the sandbox's counterpart of `common/http/problem.py`.

electricity  JSON of RFC 6749 section 5.2 and RFC 6750 section 3
gas          plain text, and a maintenance page in HTML when it is down
water        JSON with an errorInfo list, as BBPS billers answer
internet     one line of plain text
"""

from collections.abc import Callable

from functions.common.http.app import Answer
from functions.mock_api_service.model import Reason, Refusal, UtilityName

RETRY_AFTER_SECONDS = 30
STATUS = {
    Reason.MALFORMED: 400,
    Reason.UNSUPPORTED_GRANT: 400,
    Reason.BAD_LOGIN: 401,
    Reason.INVALID_TOKEN: 401,
    Reason.UNKNOWN_ACCOUNT: 404,
    Reason.UNKNOWN_REFERENCE: 404,
    Reason.DOWN: 503,
}
OAUTH_ERRORS = {
    Reason.MALFORMED: "invalid_request",
    Reason.UNSUPPORTED_GRANT: "unsupported_grant_type",
    Reason.BAD_LOGIN: "invalid_client",
    Reason.INVALID_TOKEN: "invalid_token",
    Reason.UNKNOWN_ACCOUNT: "account_not_found",
    Reason.DOWN: "temporarily_unavailable",
}
MAINTENANCE_PAGE = (
    "<!DOCTYPE html><html><head><title>Greenline Gas</title></head><body>We will be back soon.</body></html>"
)


def refuse(utility: UtilityName, refusal: Refusal) -> Answer:
    """The answer that this utility gives instead."""
    body, headers = SPOKEN[utility](refusal)
    if refusal.reason is Reason.DOWN:
        headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return Answer(body, STATUS[refusal.reason], headers)


def _electricity(refusal: Refusal) -> tuple[object, dict[str, str]]:
    headers = {}
    if refusal.reason is Reason.INVALID_TOKEN:
        headers["WWW-Authenticate"] = 'Bearer realm="Northwind Power", error="invalid_token"'
    elif refusal.reason is Reason.BAD_LOGIN:
        headers["WWW-Authenticate"] = 'Basic realm="Northwind Power"'
    return {"error": OAUTH_ERRORS[refusal.reason], "error_description": refusal.detail}, headers


def _gas(refusal: Refusal) -> tuple[object, dict[str, str]]:
    if refusal.reason is Reason.DOWN:
        return MAINTENANCE_PAGE, {"Content-Type": "text/html; charset=utf-8"}
    return f"{refusal.detail}\n", {"Content-Type": "text/plain", **_basic_challenge(refusal, "Greenline Gas")}


def _water(refusal: Refusal) -> tuple[object, dict[str, str]]:
    error = {"errorCode": f"BFR{STATUS[refusal.reason]}", "errorMessage": refusal.detail}
    return {"status": "FAILURE", "errorInfo": [error]}, {}


def _internet(refusal: Refusal) -> tuple[object, dict[str, str]]:
    line = f"ERROR {STATUS[refusal.reason]}: {refusal.detail}\r\n"
    return line, {"Content-Type": "text/plain", **_basic_challenge(refusal, "Fibernet")}


def _basic_challenge(refusal: Refusal, realm: str) -> dict[str, str]:
    return {"WWW-Authenticate": f'Basic realm="{realm}"'} if refusal.reason is Reason.BAD_LOGIN else {}


SPOKEN: dict[UtilityName, Callable[[Refusal], tuple[object, dict[str, str]]]] = {
    UtilityName.ELECTRICITY: _electricity,
    UtilityName.GAS: _gas,
    UtilityName.WATER: _water,
    UtilityName.INTERNET: _internet,
}
