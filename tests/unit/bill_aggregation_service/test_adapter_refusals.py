"""What each adapter makes of a refusal beyond its status: challenges, wrong codes, reasons in the body."""

from dataclasses import dataclass, replace
from urllib.parse import parse_qs

import pytest

from functions.bill_aggregation_service.adapters.base import (
    Access,
    BadCredentials,
    Locked,
    MfaRequired,
    ProviderError,
    ProviderMalformed,
    Refusal,
    whole_number,
)
from functions.bill_aggregation_service.adapters.registry import ADAPTERS
from functions.bill_aggregation_service.model import FetchedBill, ProviderId
from tests.unit.bill_aggregation_service.fakes import PROVIDER, SAMPLES, FakeHttp

CODE = Access(
    replace(PROVIDER, provider_id=ProviderId("prv_clearwater")), {"account_number": "CW1"}, "good", "s3cret",
    "246810", "ref-1",
)  # fmt: skip
OAUTH_401 = b'{"error": "%s", "mfa_token": "ref-2", "mfa_methods": ["sms", "fax"], "expires_in": 300}'
BBPS_401 = b'{"errorInfo": [{"errorCode": "%s"}], "mfa": {"token": "ref-2", "methods": ["app"], "expiresIn": 300}}'
HEADERS = {"x-mfa-token": "ref-2", "X-MFA-Methods": "sms,email", "X-MFA-Expires-In": "300"}


def refused(adapter: str, error: ProviderError) -> ProviderError:
    """What the adapter raises when its first request is answered so."""
    http = FakeHttp(get=error, post=error)
    with pytest.raises(ProviderError) as raised:
        ADAPTERS[adapter](http).fetch(CODE)
    assert len(http.asked) == 1
    return raised.value


def denied(body: bytes = b"", headers: dict[str, str] | None = None) -> BadCredentials:
    return BadCredentials(refusal=Refusal(401, headers or {}, body))


@pytest.mark.parametrize(
    ("adapter", "error", "methods", "wrong"),
    [
        ("oauth_json", denied(OAUTH_401 % b"mfa_required"), ("sms",), False),
        ("oauth_json", denied(OAUTH_401 % b"invalid_grant"), ("sms",), True),
        ("green_button", denied(headers=HEADERS), ("email", "sms"), False),
        ("green_button", denied(headers={**HEADERS, "X-MFA-Error": "invalid_code"}), ("email", "sms"), True),
        ("bbps", denied(BBPS_401 % b"BFR4011"), ("app",), False),
        ("bbps", denied(BBPS_401 % b"BFR4012"), ("app",), True),
        ("csv_statement", denied(b"ERROR 401: MFA REQUIRED token=ref-2 methods=sms expires=300\r\n"), ("sms",), False),
        ("csv_statement", denied(b"ERROR 401: MFA CODE INVALID token=ref-2 methods=sms expires=300"), ("sms",), True),
    ],
)
def test_a_challenge(adapter: str, error: BadCredentials, methods: tuple[str, ...], wrong: bool) -> None:
    challenge = refused(adapter, error)

    assert isinstance(challenge, MfaRequired)
    assert (challenge.methods, challenge.reference, challenge.expires_in) == (methods, "ref-2", 300)
    assert (challenge.code_refused, challenge.code, challenge.retryable) == (wrong, "mfa_required", False)


@pytest.mark.parametrize("adapter", sorted(ADAPTERS))
@pytest.mark.parametrize(
    "body", [b"", b"\xff\xfe", b"[]", b"{}", b'{"mfa": 1, "mfa_token": 1}', b"ERROR 401: MFA", b"ERROR 401: no"]
)
def test_a_refusal_that_tells_no_more_is_a_wrong_login(adapter: str, body: bytes) -> None:
    assert type(refused(adapter, denied(body))) is BadCredentials
    assert type(refused(adapter, BadCredentials())) is BadCredentials


def test_rfc_6749_says_a_wrong_client_with_400_too() -> None:
    def malformed(body: bytes) -> ProviderMalformed:
        return ProviderMalformed(refusal=Refusal(400, {}, body))

    assert type(refused("oauth_json", malformed(b'{"error": "invalid_client"}'))) is BadCredentials
    assert type(refused("oauth_json", malformed(b'{"error": "invalid_request"}'))) is ProviderMalformed
    assert type(refused("oauth_json", Locked(refusal=Refusal(423, {}, b'{"error": "account_locked"}')))) is Locked


@dataclass(frozen=True)
class Sent:
    headers: dict[str, str]
    body: bytes


def sent(adapter: str, access: Access) -> Sent:
    """With the first request."""
    http = FakeHttp(get=BadCredentials(), post=BadCredentials())
    with pytest.raises(BadCredentials):
        ADAPTERS[adapter](http).fetch(access)
    return Sent(dict(http.asked[0][3]), b"".join(http.bodies))


@pytest.mark.parametrize(
    ("adapter", "expected"),
    [
        ("green_button", {"X-MFA-Token": "ref-1", "X-MFA-Code": "246810"}),
        ("csv_statement", {"X-MFA-Token": "ref-1", "X-MFA-Code": "246810"}),
        ("bbps", {"X-Biller-Mfa-Token": "ref-1", "X-Biller-Otp": "246810"}),
    ],
)
def test_an_answer_in_headers(adapter: str, expected: dict[str, str]) -> None:
    with_code = sent(adapter, CODE).headers
    without = sent(adapter, replace(CODE, mfa_code="", mfa_reference="")).headers

    assert {name: value for name, value in with_code.items() if name not in without} == expected


def test_an_answer_in_the_form() -> None:
    form = parse_qs(sent("oauth_json", CODE).body.decode())

    assert form == {
        "grant_type": ["http://auth0.com/oauth/grant-type/mfa-otp"],
        "mfa_token": ["ref-1"],
        "otp": ["246810"],
        "scope": ["bills:CW1"],
    }


def test_an_account_without_bills_at_a_biller() -> None:
    empty = b'{"status": "SUCCESS", "billerResponse": {"customerName": "A", "bills": []}}'
    http = FakeHttp(post=b'{"refId": "r"}', get=empty)
    assert ADAPTERS["bbps"](http).fetch(CODE) == []

    half = b'{"status": "SUCCESS", "billerResponse": {"bills": [{"billNumber": "1"}]}}'
    with pytest.raises(ProviderMalformed):
        ADAPTERS["bbps"](FakeHttp(post=b'{"refId": "r"}', get=half)).fetch(CODE)


def statements(*rows: bytes) -> list[FetchedBill]:
    header, first, *_ = (SAMPLES / "internet.csv").read_bytes().splitlines()
    row = first.replace(b"1,914.94", b"1,376.94")
    document = b"\r\n".join([header, *(row.replace(b"monthly", words) for words in rows)])
    return list(ADAPTERS["csv_statement"](FakeHttp(get=document)).fetch(CODE))


def test_rows_that_come_again_are_left_out_only_where_the_total_says_so() -> None:
    (twice,) = statements(b"monthly", b"monthly ")
    (apart,) = statements(b"monthly", b"weekly")

    assert [item.amount_minor for item in twice.content.line_items] == [137694]
    assert [item.amount_minor for item in apart.content.line_items] == [137694, 137694]


@pytest.mark.parametrize(
    ("text", "number"), [("300", 300), ("", 0), ("-1", 0), ("3.5", 0), ("٣", 0), ("9" * 10, 0), ("x", 0)]
)
def test_seconds_that_a_utility_writes(text: str, number: int) -> None:
    assert whole_number(text) == number
