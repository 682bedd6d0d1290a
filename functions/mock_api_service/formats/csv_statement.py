"""Fibernet: a CSV of statements, one row per line item, every field quoted (RFC 4180: CRLF, quotes doubled).

Dates are DD/MM/YYYY and amounts have grouped thousands, e.g. "1,865.45". The plan is paid in advance by card, so a
statement is paid when it is issued; `Statement Total` repeats on each of its rows. `Document` is a path below the
utility's base URL.
"""

import csv
import io
from collections.abc import Iterable, Iterator
from datetime import date

from functions.mock_api_service.formats.amounts import grouped
from functions.mock_api_service.model import AccountNumber, Bill

MEDIA_TYPE = "text/csv; charset=utf-8"
HEADER = (
    "Account No", "Statement No", "Statement Date", "Period From", "Period To", "Due Date", "Description",
    "Charge Type", "Quantity", "Unit", "Rate", "Amount", "Currency", "Statement Total", "Status", "Plan", "Document",
)  # fmt: skip


def statements_csv(account: AccountNumber, statements: Iterable[Bill]) -> str:
    out = io.StringIO(newline="")
    writer = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow(HEADER)
    for bill in statements:
        writer.writerows(_rows(account, bill))
    return out.getvalue()


def _rows(account: AccountNumber, bill: Bill) -> Iterator[tuple[str, ...]]:
    for item in bill.line_items:
        metered = item.volume is not None
        yield (
            account,
            bill.number,
            _day(bill.statement_date),
            _day(bill.period_start),
            _day(bill.period_end),
            _day(bill.due_date),
            item.name,
            item.kind.title(),
            str(item.volume) if metered else "",
            bill.unit if metered else "",
            str(item.rate) if metered else "",
            grouped(item.amount_minor),
            bill.currency,
            grouped(bill.amount_minor),
            "PAID",
            bill.tariff,
            f"/statements/{account}/{bill.number}/document.pdf",
        )


def _day(day: date | None) -> str:
    return f"{day:%d/%m/%Y}" if day else ""
