"""How each utility says no, in its own words: the sandbox's counterpart of `common/http/problem.py`.

electricity  JSON of RFC 6749 section 5.2 and RFC 6750 section 3
gas          plain text, and a maintenance page in HTML when it is down
water        JSON with an errorInfo list, as BBPS billers answer
internet     one line of plain text

A demand for a code is a no as well: the token of its challenge stands where each utility's customers look for it.
"""

from collections.abc import Callable

from functions.common.http.app import Answer
from functions.mock_api_service.model import CodeDemand, Reason, Refusal, UtilityName

RETRY_AFTER_SECONDS = {Reason.DOWN: 30, Reason.RATE_LIMITED: 120}
STATUS = {
    Reason.MALFORMED: 400,
    Reason.UNSUPPORTED_GRANT: 400,
    Reason.BAD_LOGIN: 401,
    Reason.CODE_NEEDED: 401,
    Reason.CODE_WRONG: 401,
    Reason.INVALID_TOKEN: 401,
    Reason.UNKNOWN_ACCOUNT: 404,
    Reason.UNKNOWN_BILL: 404,
    Reason.UNKNOWN_REFERENCE: 404,
    Reason.LOCKED: 423,
    Reason.RATE_LIMITED: 429,
    Reason.HICCUP: 503,
    Reason.DOWN: 503,
}
OAUTH_ERRORS = {
    Reason.MALFORMED: "invalid_request",
    Reason.UNSUPPORTED_GRANT: "unsupported_grant_type",
    Reason.BAD_LOGIN: "invalid_client",
    Reason.CODE_NEEDED: "mfa_required",
    Reason.CODE_WRONG: "invalid_grant",
    Reason.INVALID_TOKEN: "invalid_token",
    Reason.UNKNOWN_ACCOUNT: "account_not_found",
    Reason.UNKNOWN_BILL: "bill_not_found",
    Reason.LOCKED: "account_locked",
    Reason.RATE_LIMITED: "too_many_requests",
    Reason.HICCUP: "temporarily_unavailable",
    Reason.DOWN: "temporarily_unavailable",
}
BILLER_CODES = {Reason.CODE_NEEDED: "BFR4011", Reason.CODE_WRONG: "BFR4012"}
CODE_LINES = {Reason.CODE_NEEDED: "MFA REQUIRED", Reason.CODE_WRONG: "MFA CODE INVALID"}
OUT_OF_SERVICE = frozenset({Reason.DOWN, Reason.HICCUP})
LOGIN_IS_WRONG = frozenset({Reason.BAD_LOGIN})
LOGIN_DOES_NOT_DO = LOGIN_IS_WRONG | {Reason.CODE_NEEDED, Reason.CODE_WRONG}
MAINTENANCE_PAGE = (
    "<!DOCTYPE html><html><head><title>Greenline Gas</title></head><body>We will be back soon.</body></html>"
)


def refuse(utility: UtilityName, refusal: Refusal) -> Answer:
    """The answer that this utility gives instead."""
    body, headers = SPOKEN[utility](refusal)
    if refusal.reason in RETRY_AFTER_SECONDS:
        headers["Retry-After"] = str(RETRY_AFTER_SECONDS[refusal.reason])
    return Answer(body, STATUS[refusal.reason], headers)


def _electricity(refusal: Refusal) -> tuple[object, dict[str, str]]:
    body: dict[str, object] = {"error": OAUTH_ERRORS[refusal.reason], "error_description": refusal.detail}
    if refusal.demand:
        token, methods, seconds = refusal.demand.token, refusal.demand.methods, refusal.demand.seconds
        body |= {"mfa_token": token, "mfa_methods": methods, "expires_in": seconds}
    if refusal.reason is Reason.INVALID_TOKEN:
        return body, {"WWW-Authenticate": 'Bearer realm="Northwind Power", error="invalid_token"'}
    return body, _basic_challenge(refusal, LOGIN_DOES_NOT_DO, "Northwind Power")


def _gas(refusal: Refusal) -> tuple[object, dict[str, str]]:
    if refusal.reason in OUT_OF_SERVICE:
        return MAINTENANCE_PAGE, {"Content-Type": "text/html; charset=utf-8"}
    headers = {"Content-Type": "text/plain", **_basic_challenge(refusal, LOGIN_IS_WRONG, "Greenline Gas")}
    return f"{refusal.detail}\n", {**headers, **(_otp_challenge(refusal, refusal.demand) if refusal.demand else {})}


def _otp_challenge(refusal: Refusal, demand: CodeDemand) -> dict[str, str]:
    """API Gateway on AWS renames WWW-Authenticate, so all that matters stands in headers of its own."""
    wrong = {"X-MFA-Error": "invalid_code"} if refusal.reason is Reason.CODE_WRONG else {}
    return {
        "WWW-Authenticate": 'OTP realm="Greenline Gas"',
        "X-MFA-Token": demand.token,
        "X-MFA-Methods": ",".join(demand.methods),
        "X-MFA-Expires-In": str(demand.seconds),
        **wrong,
    }


def _water(refusal: Refusal) -> tuple[object, dict[str, str]]:
    code = BILLER_CODES.get(refusal.reason, f"BFR{STATUS[refusal.reason]}")
    body: dict[str, object] = {
        "status": "FAILURE",
        "errorInfo": [{"errorCode": code, "errorMessage": refusal.detail}],
    }
    if refusal.demand:
        token, methods, seconds = refusal.demand.token, refusal.demand.methods, refusal.demand.seconds
        body["mfa"] = {"token": token, "methods": methods, "expiresIn": seconds}
    return body, {}


def _internet(refusal: Refusal) -> tuple[object, dict[str, str]]:
    said = refusal.detail
    if demand := refusal.demand:
        methods = ",".join(demand.methods)
        said = f"{CODE_LINES[refusal.reason]} token={demand.token} methods={methods} expires={demand.seconds}"
    headers = {"Content-Type": "text/plain", **_basic_challenge(refusal, LOGIN_DOES_NOT_DO, "Fibernet")}
    return f"ERROR {STATUS[refusal.reason]}: {said}\r\n", headers


def _basic_challenge(refusal: Refusal, reasons: frozenset[Reason], realm: str) -> dict[str, str]:
    return {"WWW-Authenticate": f'Basic realm="{realm}"'} if refusal.reason in reasons else {}


SPOKEN: dict[UtilityName, Callable[[Refusal], tuple[object, dict[str, str]]]] = {
    UtilityName.ELECTRICITY: _electricity,
    UtilityName.GAS: _gas,
    UtilityName.WATER: _water,
    UtilityName.INTERNET: _internet,
}
