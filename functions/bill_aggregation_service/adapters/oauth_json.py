"""Utilities with a REST interface: OAuth 2.0 client credentials (RFC 6749 §4.4), then pages of bills as camelCase JSON.

POST {base}/oauth/token                           grant_type=client_credentials, the client in HTTP Basic
GET  {base}/v1/accounts/{account}/bills?cursor=   newest first; amounts and quantities are decimal text
GET  {base}{documentUrl of a bill}                the bill as PDF

A token request may be answered with a challenge (401 with `mfa_token`); then it is made again with the grant type of
Auth0's MFA interface, `mfa_token` and the code as `otp`.
"""

from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal
from urllib.parse import quote, urlencode

import msgspec
from msgspec import Struct

from functions.bill_aggregation_service.adapters.base import (
    Access,
    BadCredentials,
    HttpClient,
    Locked,
    MfaRequired,
    ProviderDown,
    ProviderError,
    ProviderMalformed,
    parsing,
)
from functions.bill_aggregation_service.adapters.documents import MAX_BYTES, MEDIA_TYPE
from functions.bill_aggregation_service.adapters.http_client import basic
from functions.bill_aggregation_service.model import (
    BillContent,
    FetchedBill,
    LineItem,
    LineKind,
    ProviderStatus,
    Usage,
)
from functions.bill_aggregation_service.rules import minor_units_if_known, plain

MAX_PAGES = 200
OTP_GRANT = "http://auth0.com/oauth/grant-type/mfa-otp"
WRONG_LOGIN = frozenset({"invalid_client", "invalid_grant", "unauthorized_client"})
"""RFC 6749 section 5.2; some utilities say so with 400, as that section has it, others with 401."""


class _Token(Struct):
    access_token: str


class _TokenError(Struct):
    error: str = ""
    mfa_token: str = ""
    mfa_methods: tuple[str, ...] = ()
    expires_in: int = 0


class _Charge(Struct, rename="camel"):
    description: str
    category: str
    amount: Decimal
    quantity: Decimal | None = None
    unit_of_measure: str | None = None
    unit_price: Decimal | None = None


class _Usage(Struct, rename="camel"):
    quantity: Decimal
    unit_of_measure: str
    meter_number: str | None = None


class _Bill(Struct, rename="camel"):
    bill_id: str
    issued_on: date
    period_start: date
    period_end: date
    total_amount: Decimal
    currency: str
    due_on: date | None = None
    usage: _Usage | None = None
    tariff_code: str | None = None
    charges: tuple[_Charge, ...] = ()
    document_url: str | None = None


class _Page(Struct, rename="camel"):
    next_cursor: str | None = None


class _Bills(Struct, rename="camel"):
    bills: tuple[_Bill, ...]
    page: _Page
    paid_through: date | None = None


class OAuthJsonAdapter:
    def __init__(self, http: HttpClient) -> None:
        self._http = http

    def fetch(self, access: Access) -> Sequence[FetchedBill]:
        token = self._token(access)
        return [
            FetchedBill(_content(bill, page.paid_through, access.service_type))
            for page in self._pages(access, token)
            for bill in page.bills
        ]

    def document(self, access: Access, path: str) -> bytes:
        headers = {"Authorization": f"Bearer {self._token(access)}"}
        try:
            return self._http.download(path, media_type=MEDIA_TYPE, max_bytes=MAX_BYTES, headers=headers)
        except BadCredentials:
            raise ProviderDown("the access token was refused") from None

    def _token(self, access: Access) -> str:
        form = {"grant_type": "client_credentials", "scope": f"bills:{access.account_number}"}
        if access.mfa_code:
            form |= {"grant_type": OTP_GRANT, "mfa_token": access.mfa_reference, "otp": access.mfa_code}
        try:
            answer = self._http.post(
                "/oauth/token",
                urlencode(form).encode(),
                content_type="application/x-www-form-urlencoded",
                headers={"Accept": "application/json", **basic(access.username, access.password)},
            )
        except (BadCredentials, Locked, ProviderMalformed) as refused:
            raise _reason(refused) from None
        with parsing("token"):
            return msgspec.json.decode(answer, type=_Token).access_token

    def _pages(self, access: Access, token: str) -> Iterator[_Bills]:
        path = f"/v1/accounts/{quote(access.account_number, safe='')}/bills"
        headers = {"Accept": "application/json", "Authorization": f"Bearer {token}"}
        query: dict[str, str] = {}
        for _ in range(MAX_PAGES):
            try:
                answer = self._http.get(path, query=query, headers=headers)
            except BadCredentials:
                # The credentials were good a moment ago: it is the token that ran out.
                raise ProviderDown("the access token was refused") from None
            with parsing("bills"):
                page = msgspec.json.decode(answer, type=_Bills)
            yield page
            if not page.page.next_cursor:
                return
            query = {"cursor": page.page.next_cursor}
        raise ProviderMalformed("the pages do not end")


def _reason(refused: ProviderError) -> ProviderError:
    """What the body of a refused token request tells beyond its status."""
    if refused.refusal is None:
        return refused
    try:
        told = msgspec.json.decode(refused.refusal.body, type=_TokenError)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return refused
    if told.mfa_token:
        wrong = told.error != "mfa_required"
        return MfaRequired(told.mfa_methods, told.mfa_token, expires_in=told.expires_in, code_refused=wrong)
    return BadCredentials("the client was refused") if told.error in WRONG_LOGIN else refused


def _content(bill: _Bill, paid_through: date | None, service_type: str) -> BillContent:
    paid = paid_through is not None and bill.issued_on <= paid_through
    with parsing("bill"):
        return BillContent(
            external_bill_id=bill.bill_id,
            service_type=service_type,
            statement_date=bill.issued_on,
            due_date=bill.due_on,
            period_start=bill.period_start,
            period_end=bill.period_end,
            amount_minor=minor_units_if_known(bill.total_amount, bill.currency),
            currency=bill.currency,
            usage=_usage(bill.usage, service_type),
            line_items=tuple(_line_item(charge, bill.currency) for charge in bill.charges),
            tariff=bill.tariff_code,
            provider_status=ProviderStatus.PAID if paid else ProviderStatus.UNPAID,
            document_url=bill.document_url,
        )


def _usage(usage: _Usage | None, service_type: str) -> tuple[Usage, ...]:
    if usage is None:
        return ()
    return (Usage(service_type, plain(usage.quantity), usage.unit_of_measure, usage.meter_number),)


def _line_item(charge: _Charge, currency: str) -> LineItem:
    return LineItem(
        name=charge.description,
        kind=LineKind.of(charge.category),
        amount_minor=minor_units_if_known(charge.amount, currency),
        volume=None if charge.quantity is None else plain(charge.quantity),
        unit=charge.unit_of_measure,
        rate=None if charge.unit_price is None else plain(charge.unit_price),
    )
