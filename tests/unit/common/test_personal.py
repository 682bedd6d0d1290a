import json
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from functions.common.errors import InvalidInput
from functions.common.personal import Record, after, export_page


def records(count: int) -> list[Record]:
    return [Record(f"k{n}", "even" if n % 2 == 0 else "odd", {"n": n}) for n in range(count)]


def test_a_small_export_is_one_page() -> None:
    page = export_page(["even", "odd"], records(3))

    assert json.loads(page.json) == {"even": [{"n": 0}, {"n": 2}], "odd": [{"n": 1}]}
    assert page.next_cursor == ""


@dataclass
class Reading:
    at: datetime
    times: tuple[datetime, ...]


def test_instants_are_spelt_as_everywhere() -> None:
    noon = datetime(2026, 3, 15, 12, 0, 0, 123456, UTC)

    page = export_page(["readings"], [Record("k", "readings", Reading(noon, (noon,)))])

    spelt = "2026-03-15T12:00:00.123Z"
    assert json.loads(page.json) == {"readings": [{"at": spelt, "times": [spelt]}]}


def test_nothing_is_empty_lists() -> None:
    assert export_page(["even", "odd"], []).json == b'{"even":[],"odd":[]}'


@pytest.mark.parametrize("page_bytes", [1, 14, 15, 1000])
def test_pages_join_to_the_whole(page_bytes: int) -> None:
    found: list[int] = []
    cursor, pages = "", 0
    while True:
        last = after(cursor)
        page = export_page(["even", "odd"], [r for r in records(10) if r.key > last], page_bytes)
        found += sorted(row["n"] for rows in json.loads(page.json).values() for row in rows)
        cursor, pages = page.next_cursor, pages + 1
        if not cursor:
            break

    assert found == list(range(10))
    assert pages == {1: 10, 14: 5, 15: 4, 1000: 1}[page_bytes]


def test_a_page_that_is_just_filled_by_the_last_record_is_the_last() -> None:
    assert export_page(["even", "odd"], records(1), 1).next_cursor == ""


def test_a_cursor_that_is_none() -> None:
    with pytest.raises(InvalidInput):
        after("nonsense!")
