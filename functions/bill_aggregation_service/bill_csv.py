"""Bills as CSV (RFC 4180): a row per bill, its columns the fields of its JSON; what is a list there stays JSON.

A spreadsheet takes a cell that begins with = + - or @ for a formula, and bills carry texts of strangers: such a text
gets an apostrophe in front, which spreadsheets do not show (OWASP, CSV injection). Numbers stay numbers.
"""

import csv
import io
from collections.abc import Iterable, Iterator

import msgspec

from functions.bill_aggregation_service.bill_reply import BillReply

MEDIA_TYPE = "text/csv"
CONTENT_TYPE = "text/csv; charset=utf-8"
COLUMNS = BillReply.__struct_fields__
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%")


def lines(bills: Iterable[BillReply]) -> Iterator[str]:
    """The header, then a line per bill, each with its line end."""
    yield _line(COLUMNS)
    for bill in bills:
        yield _line([_cell(getattr(bill, column)) for column in COLUMNS])


def _line(cells: Iterable[str]) -> str:
    line = io.StringIO(newline="")
    csv.writer(line, lineterminator="\r\n").writerow(cells)
    return line.getvalue()


def _cell(value: object) -> str:
    plain = msgspec.to_builtins(value)
    if plain is None:
        return ""
    if isinstance(plain, str):
        return f"'{plain}" if plain.startswith(FORMULA) else plain
    return msgspec.json.encode(plain).decode()
