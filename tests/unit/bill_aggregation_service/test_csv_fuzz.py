"""Whatever an internet provider sends as statements: bills or the one error that says why not, soon, and in bounded
memory."""

import csv
import io
import time
import tracemalloc
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.bill_aggregation_service.adapters.base import Access, ProviderMalformed
from functions.bill_aggregation_service.adapters.csv_statement import COLUMNS, CsvStatementAdapter
from functions.bill_aggregation_service.model import FetchedBill
from tests.unit.bill_aggregation_service.fakes import PROVIDER, SAMPLES, FakeHttp

MB = 1_000_000
SAMPLE = (SAMPLES / "internet.csv").read_bytes()
HEADER, *ROWS = SAMPLE.decode().splitlines(keepends=True)
ACCESS = Access(replace(PROVIDER, service_types=("internet",)), {"account_number": "FN20481537"}, "good", "s3cret")
CELLS = st.sampled_from(
    ["", "0", "-1", "1,00", "1,914.94", "1.914,94", "NaN", "Infinity", "1e999", "9" * 400, "\u0661", "31/02/2026",
     "01/01/0001", "31/12/9999", "18/02/2026", "INR", "JPY", "XXX", "inr", "PAID", "void", "Usage", "GB", '"', "\x00",
     "\U0001f600", "a\nb", "=1+1"]
) | st.text(max_size=12)  # fmt: skip


def read(document: bytes) -> list[FetchedBill] | None:
    """None for what is no such CSV."""
    try:
        return list(CsvStatementAdapter(FakeHttp(get=document)).fetch(ACCESS))
    except ProviderMalformed:
        return None


def written(columns: list[str], rows: list[list[str]]) -> bytes:
    stream = io.StringIO(newline="")
    csv.writer(stream, quoting=csv.QUOTE_ALL).writerows([columns, *rows])
    return stream.getvalue().encode("utf-8", "surrogatepass")


@given(st.binary(max_size=300))
def test_any_bytes(document: bytes) -> None:
    read(document)
    read(HEADER.encode() + document)


@given(st.permutations(sorted(COLUMNS)), st.data())
def test_any_cells_under_the_right_columns(columns: list[str], data: st.DataObject) -> None:
    rows = data.draw(st.lists(st.lists(CELLS, max_size=len(columns) + 2), max_size=4))

    bills = read(written(columns, rows))

    assert bills is None or len(bills) <= len(rows)


@given(st.data())
def test_a_statement_with_some_cells_changed(data: st.DataObject) -> None:
    columns, *rows = list(csv.reader(io.StringIO(SAMPLE.decode(), newline="")))
    for _ in range(data.draw(st.integers(1, 4))):
        row = data.draw(st.sampled_from(rows))
        row[data.draw(st.integers(0, len(columns) - 1))] = data.draw(CELLS)

    bills = read(written(columns, rows))

    assert bills is None or all(bill.content.line_items for bill in bills)


@given(st.integers(0, len(SAMPLE)), st.integers(0, 40), st.binary(max_size=12))
def test_a_file_that_was_damaged(at: int, lost: int, junk: bytes) -> None:
    read(SAMPLE[:at] + junk + SAMPLE[at + lost :])


def test_what_is_undamaged_is_read() -> None:
    """Else the tests above could pass of a parser that reads nothing."""
    bills = read(SAMPLE)

    assert bills is not None
    assert [len(bill.content.line_items) for bill in bills] == [4, 4]


def statements(count: int) -> str:
    return "".join(row.replace("FN-2026", f"{number}-FN-2026") for number in range(count) for row in ROWS)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(HEADER + statements(500), id="many statements"),
        pytest.param(HEADER + ROWS[0] * 5_000, id="one statement of many rows"),
        pytest.param(HEADER + ROWS[0] + '"' + "x" * MB, id="a quote that never ends"),
        pytest.param(HEADER + '"' * MB, id="nothing but quotes"),
        pytest.param(HEADER + "," * MB, id="one row of a million cells"),
        pytest.param(HEADER + "\r\n" * (MB // 2), id="nothing but empty rows"),
        pytest.param(HEADER.strip() + ',"x"' * 200_000 + "\r\n" + ROWS[0], id="many columns"),
        pytest.param(HEADER + ROWS[0].replace('"1,376.94"', '"' + "9" * MB + '"'), id="one long number"),
    ],
)
def test_time_and_memory_are_bounded_by_the_size(body: str) -> None:
    document = body.encode()
    tracemalloc.start()
    try:
        began = time.process_time()
        read(document)
        took, peak = time.process_time() - began, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert took < 10, "tracing costs most of it"
    assert peak < 25 * MB + 30 * len(document)
