"""The Green Button export: it reads back as the same bills, whatever they are, and follows the schema."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.bill_aggregation_service.espi.reader import Defaults, FileContent, read_file
from functions.bill_aggregation_service.espi.writer import Exported, write_file
from functions.bill_aggregation_service.model import Bill, LineItem, LineKind, LinkId, Usage
from functions.bill_aggregation_service.rules import FIRST_DAY, LAST_DAY, content_hash, natural_key
from tests.unit.bill_aggregation_service.espi.bills import LINKS, ZONES, bill_of, bills
from tests.unit.bill_aggregation_service.espi.schema import faults
from tests.unit.bill_aggregation_service.fakes import content

NOW = datetime(2026, 3, 15, 12, tzinfo=UTC)
ELSEWHERE = Defaults("EUR", ZoneInfo("Asia/Tokyo"), "gas")
"""Of somebody else: nothing that is written may depend on who reads it."""


def written(bill_list: Sequence[Bill], zone: str = "America/New_York") -> bytes:
    return "".join(write_file([Exported(bill, ZoneInfo(zone)) for bill in bill_list], NOW)).encode()


def read_back(document: bytes) -> FileContent:
    return read_file([document], ELSEWHERE)


@given(bills, st.sampled_from(ZONES))
def test_any_bill_reads_back_as_it_is(bill: Bill, zone: str) -> None:
    result = read_back(written([bill], zone))

    assert result.skipped == []
    (found,) = result.bills
    assert found.content == bill.content
    assert content_hash(found.content) == bill.content_hash
    assert natural_key(bill.link_id, found.content) == natural_key(bill.link_id, bill.content)
    assert found.stamped_at == bill.as_of


@given(st.lists(st.tuples(bills, st.sampled_from(ZONES)), max_size=3, unique_by=lambda chosen: chosen[0].bill_id))
def test_any_export_follows_the_schema(chosen: list[tuple[Bill, str]]) -> None:
    document = "".join(write_file([Exported(bill, ZoneInfo(zone)) for bill, zone in chosen], NOW)).encode()

    assert faults(document) == []


def test_what_espi_can_say_needs_no_extension() -> None:
    plain = content(
        "NP-2026-02",
        15252,
        None,
        usage_point="5446AF3F",
        statement_date=date(2026, 2, 3),
        period_start=date(2026, 1, 1),
        period_end=date(2026, 1, 31),
        usage=(Usage("electricity", Decimal("625.716"), "kWh"),),
        line_items=(
            LineItem("Energy", LineKind.USAGE, 12000, Decimal("625.716"), "kWh", Decimal("0.19178")),
            LineItem("Tax & <fees>", LineKind.TAX, 3252),
        ),
        tariff="Time of use",
    )
    document = written([bill_of(plain)])

    assert b"extension" not in document
    assert b"<billLastPeriod>15252000</billLastPeriod>" in document
    assert b"<start>1767243600</start>" in document  # midnight in New York
    assert b"Tax &amp; &lt;fees&gt;" in document


def test_what_it_cannot_say_stands_in_the_extension_and_only_that() -> None:
    due = bill_of(replace(content("NP-1", 100, date(2026, 3, 20)), statement_date=date(2026, 3, 1)))

    document = written([due])

    assert document.count(b"<extension>") == 1
    assert b'<bill xmlns="urn:billing-aggregator:bill:1"><usage_point>""</usage_point>' in document.replace(
        b'<due_date>"2026-03-20"</due_date>', b""
    ).replace(b"\n", b"")


@pytest.mark.parametrize("zone", [*ZONES, "Pacific/Kwajalein", "Europe/Lisbon"])
@pytest.mark.parametrize("days", [(FIRST_DAY, FIRST_DAY), (LAST_DAY, LAST_DAY), (FIRST_DAY, LAST_DAY)])
def test_the_first_and_the_last_day_that_a_bill_may_name_read_back(days: tuple[date, date], zone: str) -> None:
    start, end = days
    edge = content("NP-1", due=None, period_start=start, period_end=end, statement_date=end)

    result = read_back(written([bill_of(edge)], zone))

    assert [bill.content for bill in result.bills] == [edge], result.skipped


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Pacific/Kiritimati"])
@pytest.mark.parametrize(
    "changes",
    [
        {"period_end": date.max},
        {"period_start": date.min, "period_end": date.min},
        {"period_start": date.max, "period_end": date.max, "statement_date": date.max},
        {"statement_date": date.min, "due_date": date.max},
        {"usage": (Usage("electricity", Decimal("1E+999999"), "kWh"), Usage("electricity", Decimal(1), "kWh"))},
        {"line_items": (LineItem("a", LineKind.FEE, 1, Decimal("NaN"), "kWh", Decimal("1E-999999")),)},
    ],
)
def test_a_bill_that_was_kept_before_it_would_have_been_refused_costs_no_other(
    changes: dict[str, object], zone: str
) -> None:
    odd, plain = content("NP-1", **changes), content("NP-2")  # type: ignore[arg-type]  # fields of BillContent

    document = written([bill_of(odd, 1), bill_of(plain, 2)], zone)

    result = read_back(document)
    assert faults(document) == []
    assert [bill.content for bill in result.bills] == [plain]
    assert [skipped.reason for skipped in result.skipped] == ["bad_extension"]


def test_where_a_document_is_to_be_found_is_not_told() -> None:
    secret = replace(content("NP-1"), document_url="https://power.example/NP-1.pdf")

    document = written([bill_of(secret)])

    assert b"power.example" not in document
    (found,) = read_back(document).bills
    assert found.content == replace(secret, document_url=None)


def test_bills_of_two_links_stand_at_usage_points_of_their_own() -> None:
    document = written([bill_of(content("NP-1"), 1, LINKS[0]), bill_of(content("NP-2"), 2, LINKS[1])])

    assert document.count(b"<UsagePoint ") == 2
    assert document.count(b"<LocalTimeParameters ") == 1


def test_an_export_of_nothing_is_a_feed() -> None:
    document = written([])

    assert faults(document) == []
    assert read_back(document) == FileContent()


def test_a_link_and_its_export_are_the_same_bills() -> None:
    """Natural keys hold the link: imported into the link that it came from, an export changes nothing."""
    link_id = LinkId("lnk_01JD3N8Z6W3V9K4T7Q2M5XBRPC")
    kept = [bill_of(content(f"NP-{n}", 1000 + n), n, link_id) for n in range(3)]

    found = read_back(written(kept)).bills

    assert {natural_key(link_id, bill.content) for bill in found} == {natural_key(link_id, b.content) for b in kept}
