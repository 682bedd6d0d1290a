"""Exports: the same bills in three forms, all of them, and as a download where an answer has no room."""

import csv
import io
import json
from datetime import date, timedelta

import pytest

from functions.bill_aggregation_service import exports as module
from functions.bill_aggregation_service.bill_csv import COLUMNS
from functions.bill_aggregation_service.exports import Document, Download, Format
from functions.bill_aggregation_service.import_job import Asked
from functions.bill_aggregation_service.model import Criteria, Status
from tests.unit.bill_aggregation_service.espi.feeds import USAGE_POINT, entry, feed, summary
from tests.unit.bill_aggregation_service.espi.schema import faults
from tests.unit.bill_aggregation_service.fakes import LINK, OTHER_LINK, USER
from tests.unit.bill_aggregation_service.file_fakes import FileWorld

FILE = feed(*(entry(summary(f"<billLastPeriod>{n}00000</billLastPeriod><currency>840</currency>"), f"{USAGE_POINT}/UsageSummary/N-{n:04}") for n in range(1, 6)))  # fmt: skip  # noqa: E501


@pytest.fixture
def world() -> FileWorld:
    built = FileWorld()
    built.importer.import_file(USER, [FILE], Asked(LINK))
    return built


def exported(world: FileWorld, wanted: Format, criteria: Criteria = Criteria()) -> Document:  # noqa: B008  # frozen
    made = world.exports.export_bills(USER, criteria, wanted)
    assert isinstance(made, Document)
    return made


def test_json(world: FileWorld) -> None:
    document = exported(world, Format.JSON)

    items = json.loads(document.text)["items"]
    assert {item["amount_minor"] for item in items} == {100, 200, 300, 400, 500}
    assert (document.kind.content_type, document.name) == ("application/json", "bills-2026-03-15.json")


def test_csv_has_the_same_rows(world: FileWorld) -> None:
    document = exported(world, Format.CSV)

    rows = list(csv.DictReader(io.StringIO(document.text, newline="")))
    items = json.loads(exported(world, Format.JSON).text)["items"]
    assert tuple(rows[0]) == COLUMNS
    assert [row["bill_id"] for row in rows] == [item["bill_id"] for item in items]
    assert document.kind.content_type.startswith("text/csv")


def test_green_button_validates_and_reads_back(world: FileWorld) -> None:
    document = exported(world, Format.GREEN_BUTTON)
    kept = dict(world.store.kept)

    assert faults(document.text.encode()) == []
    report = world.importer.import_file(USER, [document.text.encode()], Asked(LINK))

    assert (report.created, report.updated, report.unchanged, report.skipped) == (0, 0, 5, ())
    assert world.store.kept == kept


@pytest.mark.parametrize("wanted", Format)
def test_of_no_bills(wanted: Format) -> None:
    document = exported(FileWorld(), wanted)

    assert json.loads(document.text) == {"items": []} if wanted is Format.JSON else document.text


@pytest.mark.parametrize(
    ("criteria", "count"),
    [
        (Criteria(link_id=LINK), 5),
        (Criteria(link_id=OTHER_LINK), 0),
        (Criteria(service_type="gas"), 0),
        (Criteria(status=Status.PAID), 0),
        (Criteria(since=date(2026, 3, 1)), 0),
        (Criteria(until=date(2026, 3, 1)), 5),
    ],
)
def test_the_filters_are_those_of_the_list(world: FileWorld, criteria: Criteria, count: int) -> None:
    assert len(json.loads(exported(world, Format.JSON, criteria).text)["items"]) == count


@pytest.mark.parametrize("wanted", Format)
@pytest.mark.parametrize("limit", ["MAX_INLINE_BYTES", "MAX_ANSWER_CHARS"])
def test_what_is_too_large_for_an_answer_is_a_download(
    world: FileWorld, monkeypatch: pytest.MonkeyPatch, wanted: Format, limit: str
) -> None:
    document = exported(world, wanted)
    monkeypatch.setattr(module, limit, 1_000)

    made = world.exports.export_bills(USER, Criteria(), wanted)

    assert isinstance(made, Download)
    ((key, content),) = world.files.kept.items()
    assert key.startswith(f"exports/{USER}/exp_")
    assert (content.decode(), world.files.types[key]) == (document.text, document.kind.content_type)
    assert made.url == f"https://files.example/{key}?name={document.name}&seconds=900"
    assert made.expires_at == world.clock.now() + timedelta(minutes=15)
