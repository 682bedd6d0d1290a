"""CSV: the same rows as the JSON, safe to open, readable by any reader."""

import csv
import io
import json
from datetime import date
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.bill_aggregation_service.bill_csv import COLUMNS, FORMULA, lines
from functions.bill_aggregation_service.bill_reply import BillReply, bill_reply
from functions.bill_aggregation_service.model import BillContent, LineItem, LineKind, Usage
from functions.bill_aggregation_service.negotiation import prefers_csv
from tests.unit.bill_aggregation_service.fakes import content
from tests.unit.bill_aggregation_service.test_summary import listed


def reply(said: BillContent) -> BillReply:
    return bill_reply(listed(said))


def rows(*bills: BillReply) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO("".join(lines(bills)), newline="")))


def test_a_row_has_the_fields_of_the_json() -> None:
    bill = reply(
        content(
            amount=-159,
            due=date(2026, 3, 20),
            tariff='Night, "cheap"\nrate',
            usage=(Usage("electricity", Decimal("7.5"), "kWh"),),
            line_items=(LineItem("Energy", LineKind.USAGE, -159, rate=Decimal("0.01")),),
        )
    )
    fields = json.loads(msgspec.json.encode(bill))

    (row,) = rows(bill)

    assert tuple(row) == tuple(fields) == COLUMNS
    for name, value in fields.items():
        if value is None:
            assert row[name] == ""
        elif isinstance(value, list):
            assert json.loads(row[name]) == value
        else:
            assert row[name] == str(value)
    assert row["amount_minor"] == "-159"


def test_without_bills_there_is_the_header_alone() -> None:
    assert list(lines([])) == [",".join(COLUMNS) + "\r\n"]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "|calc", "%0A"])
def test_no_text_of_a_stranger_becomes_a_formula(text: str) -> None:
    (row,) = rows(reply(content(text, tariff=text)))

    assert row["external_bill_id"] == row["tariff"] == f"'{text}"


@given(st.text(max_size=60))
def test_any_text_comes_back(text: str) -> None:
    bill = msgspec.structs.replace(reply(content()), tariff=text)

    (row,) = rows(bill)

    assert row["tariff"].removeprefix("'" if text.startswith(FORMULA) else "") == text
    assert not row["tariff"].startswith(FORMULA)


@pytest.mark.parametrize(
    ("accept", "csv_is_preferred"),
    [
        (None, False),
        ("", False),
        ("*/*", False),
        ("text/*", False),
        ("application/json", False),
        ("text/csv", True),
        ("TEXT/CSV; charset=utf-8", True),
        ("text/csv, */*;q=0.1", True),
        ("text/csv;q=0", False),
        ("application/json, text/csv;q=0.9", False),
        ("application/json;q=0.8, text/csv;q=0.9", True),
        ("application/json;q=0.5, text/csv", True),
        ("text/csv;q=x", True),
        (", ,", False),
    ],
)
def test_who_gets_csv(accept: str | None, csv_is_preferred: bool) -> None:
    assert prefers_csv(accept) is csv_is_preferred
