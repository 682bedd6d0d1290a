"""Billers that work like those of BBPS (Bharat Bill Payment System): ask for the bill, then poll a reference.

    POST {base}/bills/fetch          {billerId, customerParams: [{name, value}]} → {refId}
    GET  {base}/bills/fetch/{refId}  {status: PENDING | SUCCESS | FAILURE, billerResponse | failureReason}

The first may be refused with a challenge, 401 {errorInfo: [{errorCode: BFR4011}], mfa: {token, methods, expiresIn}}; it
is then made again with the headers X-Biller-Mfa-Token and X-Biller-Otp.

Amounts are minor units as text. A biller carries over what was not paid into the current bill, the only one that it
takes money for: so the current bill counts as unpaid and the ones before it as paid.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from urllib.parse import quote

import msgspec
from msgspec import Struct

from functions.bill_aggregation_service.adapters.base import (
    Access,
    AccountUnknown,
    BadCredentials,
    HttpClient,
    MfaRequired,
    ProviderDown,
    ProviderError,
    ProviderMisconfigured,
    parsing,
)
from functions.bill_aggregation_service.model import (
    BillContent,
    FetchedBill,
    LineItem,
    LineKind,
    ProviderId,
    ProviderStatus,
    Usage,
)
from functions.bill_aggregation_service.rules import plain

BILLER_IDS: Mapping[ProviderId, str] = {ProviderId("prv_clearwater"): "CLEARWATER00GBR01"}
"""The scheme's own name of each biller; the registry has no field for it."""
NOTHING = msgspec.Raw(b"null")
ACCOUNT_PARAM = "Account Number"
UNKNOWN_CUSTOMER, WRONG_CODE = "BFR001", "BFR4012"
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.1, 2.0
LARGEST_MINOR = 10**15


class _NameValue(Struct):
    name: str
    value: str


class _Accepted(Struct, rename="camel"):
    ref_id: str


class _Part(Struct):
    name: str
    type: str
    amount: str


class _Bill(Struct, rename="camel"):
    bill_number: str
    bill_date: date
    bill_period: str
    amount: str
    currency: str
    due_date: date | None = None
    amount_breakup: tuple[_Part, ...] = ()
    tags: tuple[_NameValue, ...] = ()


class _Response(_Bill, rename="camel"):
    bills: tuple[_Bill, ...] = ()


class _Recent(Struct, rename="camel"):
    """Of an account that has no bill yet, both are missing or empty."""

    bill_number: str | None = None
    bills: tuple[msgspec.Raw, ...] = ()


class _Challenge(Struct, rename="camel"):
    token: str
    methods: tuple[str, ...] = ()
    expires_in: int = 0


class _Failure(Struct, rename="camel"):
    error_code: str = ""


class _Fetched(Struct, rename="camel"):
    status: str
    biller_response: msgspec.Raw = NOTHING
    failure_reason: _Failure | None = None


class _Refused(Struct, rename="camel"):
    mfa: _Challenge
    error_info: tuple[_Failure, ...] = ()


class BbpsAdapter:
    def __init__(self, http: HttpClient) -> None:
        self._http = http

    def fetch(self, access: Access) -> Sequence[FetchedBill]:
        headers = {
            "Accept": "application/json",
            "X-Biller-User": _header_text(access.username),
            "X-Biller-Password": _header_text(access.password),
        }
        answer = self._poll(self._request(access, headers), headers)
        with parsing("biller response"):
            recent = msgspec.json.decode(answer, type=_Recent)
            if recent.bill_number is None and not recent.bills:
                return []
            current = msgspec.json.decode(answer, type=_Response)
            bills: dict[str, _Bill] = {bill.bill_number: bill for bill in (*current.bills, current)}
            return [FetchedBill(_content(bill, current.bill_number, access.service_type)) for bill in bills.values()]

    def _request(self, access: Access, headers: Mapping[str, str]) -> str:
        if access.provider.provider_id not in BILLER_IDS:
            raise ProviderMisconfigured("no biller id")
        params = [{"name": ACCOUNT_PARAM, "value": access.account_number}]
        body = msgspec.json.encode({"billerId": BILLER_IDS[access.provider.provider_id], "customerParams": params})
        if access.mfa_code:
            headers = {**headers, "X-Biller-Mfa-Token": access.mfa_reference, "X-Biller-Otp": access.mfa_code}
        try:
            answer = self._http.post("/bills/fetch", body, content_type="application/json", headers=headers)
        except BadCredentials as refused:
            raise _reason(refused) from None
        with parsing("fetch request"):
            return msgspec.json.decode(answer, type=_Accepted).ref_id

    def _poll(self, ref_id: str, headers: Mapping[str, str]) -> msgspec.Raw:
        pause = FIRST_PAUSE_SECONDS
        while True:
            fetched = self._ask(ref_id, headers)
            if fetched.status == "SUCCESS" and fetched.biller_response != NOTHING:
                return fetched.biller_response
            if fetched.failure_reason and fetched.failure_reason.error_code == UNKNOWN_CUSTOMER:
                raise AccountUnknown("the biller knows no such customer")
            if fetched.status != "PENDING":
                raise ProviderDown("the biller could not fetch the bill")
            self._http.pause(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    def _ask(self, ref_id: str, headers: Mapping[str, str]) -> _Fetched:
        try:
            answer = self._http.get(f"/bills/fetch/{quote(ref_id, safe='')}", headers=headers)
        except AccountUnknown:
            raise ProviderDown("the biller forgot the reference") from None
        with parsing("fetch reply"):
            return msgspec.json.decode(answer, type=_Fetched)


def _reason(refused: BadCredentials) -> ProviderError:
    if refused.refusal is None:
        return refused
    try:
        told = msgspec.json.decode(refused.refusal.body, type=_Refused)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return refused
    wrong = any(info.error_code == WRONG_CODE for info in told.error_info)
    return MfaRequired(told.mfa.methods, told.mfa.token, expires_in=told.mfa.expires_in, code_refused=wrong)


def _content(bill: _Bill, current: str, service_type: str) -> BillContent:
    tags = {tag.name: tag.value for tag in bill.tags}
    start, _, end = bill.bill_period.partition("/")
    usage: tuple[Usage, ...] = ()
    if "Consumption" in tags:
        volume = plain(Decimal(tags["Consumption"]))
        usage = (Usage(service_type, volume, tags["Consumption Unit"], tags.get("Meter Number")),)
    return BillContent(
        external_bill_id=bill.bill_number,
        service_type=service_type,
        statement_date=bill.bill_date,
        due_date=bill.due_date,
        period_start=date.fromisoformat(start),
        period_end=date.fromisoformat(end),
        amount_minor=_minor(bill.amount),
        currency=bill.currency,
        usage=usage,
        line_items=tuple(
            LineItem(part.name, LineKind.of(part.type), _minor(part.amount)) for part in bill.amount_breakup
        ),
        tariff=tags.get("Tariff"),
        provider_status=ProviderStatus.UNPAID if bill.bill_number == current else ProviderStatus.PAID,
    )


def _minor(text: str) -> int:
    amount = int(text)
    if abs(amount) > LARGEST_MINOR:
        raise ValueError("the amount is out of range")
    return amount


def _header_text(text: str) -> str:
    """Headers carry Latin-1 by default: UTF-8 bytes in disguise."""
    return text.encode().decode("latin-1")
