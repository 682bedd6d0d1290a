"""Providers that give statements as CSV (RFC 4180), one row per line item.

GET {base}/statements.csv?account=   HTTP Basic; dates are DD/MM/YYYY, amounts have grouped thousands: "1,865.45"
GET {base}{Document of a statement}  HTTP Basic; the statement as PDF, where there is such a column

A challenge is one line, "ERROR 401: MFA REQUIRED token=… methods=sms,email expires=300", answered by the same request
with the headers X-MFA-Token and X-MFA-Code. Some files hold everything twice: a statement's rows then come again.
"""

import csv
import io
import re
from collections.abc import Sequence
from datetime import date
from decimal import Decimal

from functions.bill_aggregation_service.adapters.base import (
    Access,
    BadCredentials,
    HttpClient,
    MfaRequired,
    ProviderError,
    parsing,
    whole_number,
)
from functions.bill_aggregation_service.adapters.documents import MAX_BYTES, MEDIA_TYPE
from functions.bill_aggregation_service.adapters.http_client import basic, mfa_headers
from functions.bill_aggregation_service.model import (
    BillContent,
    FetchedBill,
    LineItem,
    LineKind,
    ProviderStatus,
    Usage,
)
from functions.bill_aggregation_service.rules import minor_units_if_known, plain

NUMBER = re.compile(r"-?(\d{1,3}(,\d{2,3})+|\d+)(\.\d+)?", re.ASCII)
DAY = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4})", re.ASCII)
COLUMNS = frozenset(
    {"Statement No", "Statement Date", "Period From", "Period To", "Due Date", "Description", "Charge Type", "Quantity",
     "Unit", "Rate", "Amount", "Currency", "Statement Total", "Status", "Plan"}
)  # fmt: skip
STATUSES = {
    "PAID": ProviderStatus.PAID,
    "UNPAID": ProviderStatus.UNPAID,
    "DUE": ProviderStatus.UNPAID,
    "PARTIAL": ProviderStatus.PARTIAL,
}
CANCELLED = ("CANCELLED", "CANCELED", "VOID")
CHALLENGE = re.compile(r"ERROR 401: MFA (REQUIRED|CODE INVALID) token=(\S+) methods=(\S+) expires=(\d+)\s*", re.ASCII)
Row = dict[str, str]


class CsvStatementAdapter:
    def __init__(self, http: HttpClient) -> None:
        self._http = http

    def fetch(self, access: Access) -> Sequence[FetchedBill]:
        headers = {"Accept": "text/csv", **basic(access.username, access.password), **mfa_headers(access)}
        try:
            answer = self._http.get("/statements.csv", query={"account": access.account_number}, headers=headers)
        except BadCredentials as refused:
            raise _reason(refused) from None
        with parsing("statements"):
            statements = _statements(answer.decode("utf-8-sig"))
            return [FetchedBill(_content(rows, access.service_type)) for rows in statements]

    def document(self, access: Access, path: str) -> bytes:
        headers = {**basic(access.username, access.password), **mfa_headers(access)}
        try:
            return self._http.download(path, media_type=MEDIA_TYPE, max_bytes=MAX_BYTES, headers=headers)
        except BadCredentials as refused:
            raise _reason(refused) from None


def _reason(refused: BadCredentials) -> ProviderError:
    told = CHALLENGE.fullmatch(refused.refusal.body.decode("ascii", "replace")) if refused.refusal else None
    if told is None:
        return refused
    why, token, methods, expires = told.groups()
    return MfaRequired(methods.split(","), token, expires_in=whole_number(expires), code_refused=why == "CODE INVALID")


def _statements(text: str) -> Sequence[Sequence[Row]]:
    """The rows of each statement. Raises ValueError when a column is missing or a row is cut short."""
    statements: dict[str, list[Row]] = {}
    try:
        reader = csv.DictReader(io.StringIO(text, newline=""), strict=True, restval="", restkey="")
        if not COLUMNS.issubset(reader.fieldnames or ()):
            raise ValueError("a column is missing")
        for row in reader:
            statements.setdefault(row["Statement No"], []).append(row)
    except csv.Error as error:
        raise ValueError("this is no CSV") from error
    return [_once(rows) for rows in statements.values()]


def _once(rows: Sequence[Row]) -> Sequence[Row]:
    """Without the second half, when it says the same as the first and the total is that of one half."""
    half = len(rows) // 2
    first, second = rows[:half], rows[half:]
    if [_spaced(row) for row in first] != [_spaced(row) for row in second]:
        return rows
    total = _number(rows[0]["Statement Total"])
    return rows if sum(_number(row["Amount"]) for row in rows) == total else first


def _spaced(row: Row) -> Row:
    return {name: " ".join(value.split()) for name, value in row.items()}


def _content(rows: Sequence[Row], service_type: str) -> BillContent:
    first = rows[0]
    currency = first["Currency"]
    return BillContent(
        external_bill_id=first["Statement No"],
        service_type=service_type,
        statement_date=_day(first["Statement Date"]),
        due_date=_day(first["Due Date"]) if first["Due Date"] else None,
        period_start=_day(first["Period From"]),
        period_end=_day(first["Period To"]),
        amount_minor=minor_units_if_known(_number(first["Statement Total"]), currency),
        currency=currency,
        usage=tuple(
            Usage(service_type, plain(_number(row["Quantity"])), row["Unit"]) for row in rows if row["Quantity"]
        ),
        line_items=tuple(_line_item(row, currency) for row in rows),
        tariff=first["Plan"] or None,
        provider_status=STATUSES.get(first["Status"].upper(), ProviderStatus.UNKNOWN),
        cancelled=first["Status"].upper() in CANCELLED,
        document_url=first.get("Document") or None,
    )


def _line_item(row: Row, currency: str) -> LineItem:
    return LineItem(
        name=row["Description"],
        kind=LineKind.of(row["Charge Type"]),
        amount_minor=minor_units_if_known(_number(row["Amount"]), currency),
        volume=plain(_number(row["Quantity"])) if row["Quantity"] else None,
        unit=row["Unit"] or None,
        rate=plain(_number(row["Rate"])) if row["Rate"] else None,
    )


def _day(text: str) -> date:
    found = DAY.fullmatch(text)
    if found is None:
        raise ValueError("this is no day")
    day, month, year = map(int, found.groups())
    return date(year, month, day)


def _number(text: str) -> Decimal:
    if not NUMBER.fullmatch(text):
        raise ValueError("this is no number")
    return Decimal(text.replace(",", ""))
