"""One bill, marks, sums and CSV over HTTP: forms, entity tags, and what is refused."""

import csv
import io
from dataclasses import replace
from datetime import date

import pytest

from functions.bill_aggregation_service import app as module
from functions.bill_aggregation_service import bootstrap
from functions.bill_aggregation_service.model import ProviderStatus
from tests.support.http import Result, configure, request, token
from tests.unit.bill_aggregation_service.fakes import LINK, USER, World, fetched
from tests.unit.bill_aggregation_service.test_app import KeepingCache

app = configure(module.app)
NOBODYS = f"bil_{'0' * 26}"


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """Two unpaid bills in two currencies, behind a cache that keeps."""
    built = World()
    keeping = KeepingCache()
    monkeypatch.setitem(app.__dict__, "cache", keeping)
    built.refresher = replace(built.refresher, cache=keeping)
    built.bills = replace(built.bills, cache=keeping)
    unpaid = ProviderStatus.UNPAID
    built.answers = [
        [
            fetched("B-1", 1000, provider_status=unpaid),
            fetched("B-2", 2000, date(2026, 2, 18), currency="EUR", tariff="=1+1", provider_status=unpaid),
        ]
    ]
    built.refresher.refresh_link(USER, LINK)
    monkeypatch.setattr(bootstrap, "service", lambda: built.bills)
    return built


def get(path: str = "/bills", headers: dict[str, str] | None = None, **query: str) -> Result:
    return request(app, "GET", path, query=query, headers=headers or {}, bearer=token(USER))


def sums(**query: str) -> Result:
    return request(app, "GET", "/bills/summary", query=query, bearer=token(USER))


def bill_id(number: str = "B-1") -> str:
    return str(next(bill["bill_id"] for bill in get().json["items"] if bill["external_bill_id"] == number))


def one(asked: str, headers: dict[str, str] | None = None) -> Result:
    return request(app, "GET", "/bills/{bill_id}", path={"bill_id": asked}, headers=headers or {}, bearer=token(USER))


def mark(asked: str, body: object, headers: dict[str, str] | None = None) -> Result:
    return request(
        app, "PATCH", "/bills/{bill_id}", path={"bill_id": asked}, body=body, headers=headers or {}, bearer=token(USER)
    )


class TestCsv:
    def test_has_the_rows_and_columns_of_the_json_and_comes_from_the_same_place(self, world: World) -> None:
        items = get().json["items"]

        answer = get(headers={"Accept": "text/csv"})

        rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
        assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
        assert answer.headers["Vary"] == "Accept"
        assert [list(row) for row in rows] == [list(item) for item in items]
        assert [row["bill_id"] for row in rows] == [item["bill_id"] for item in items]
        assert rows[1]["tariff"] == "'=1+1"
        assert "Link" not in answer.headers
        assert len(app.cache.filled) == 1  # type: ignore[attr-defined]  # a KeepingCache

    def test_says_where_the_next_page_is(self, world: World) -> None:
        following = get(limit="1", service_type="electricity").json["next_cursor"]

        link = get(headers={"Accept": "text/csv"}, limit="1", service_type="electricity").headers["Link"]

        assert link == f'<?service_type=electricity&limit=1&cursor={following}>; rel="next"'

    def test_of_a_live_read_does_not_read_live_again_for_the_next_page(self, world: World) -> None:
        link = get(headers={"Accept": "text/csv"}, limit="1", refresh="true").headers["Link"]

        assert "refresh" not in str(link)


class TestTags:
    @pytest.mark.parametrize("accept", ["application/json", "text/csv"])
    def test_who_has_the_page_gets_no_other_until_it_changes(self, world: World, accept: str) -> None:
        tag = str(get(headers={"Accept": accept}).headers["ETag"])
        known = get(headers={"Accept": accept, "If-None-Match": tag})
        mark(bill_id(), {"note": "seen"})

        assert (known.status, known.text) == (304, "")
        assert get(headers={"Accept": accept, "If-None-Match": tag}).status == 200

    def test_the_two_forms_of_a_page_differ(self, world: World) -> None:
        assert get().headers["ETag"] != get(headers={"Accept": "text/csv"}).headers["ETag"]

    def test_one_bill(self, world: World) -> None:
        asked = bill_id()
        tag = str(one(asked).headers["ETag"])

        assert one(asked, {"If-None-Match": tag}).status == 304
        assert mark(asked, {"note": "x"}, {"If-Match": tag}).status == 200
        assert one(asked, {"If-None-Match": tag}).status == 200
        late = mark(asked, {"note": "y"}, {"If-Match": tag})
        assert (late.status, late.json["code"]) == (412, "precondition_failed")
        assert late.headers["ETag"] == one(asked).headers["ETag"]


class TestOneBill:
    def test_has_all_fields_of_the_list_and_its_versions(self, world: World) -> None:
        asked = bill_id()

        answer = one(asked).json

        listed = next(bill for bill in get().json["items"] if bill["bill_id"] == asked)
        assert answer == listed | {
            "versions": [
                {
                    "version": 1,
                    "as_of": "2026-03-15T12:00:00.000Z",
                    "discovered_at": "2026-03-15T12:00:00.000Z",
                    "changes": [],
                }
            ]
        }

    def test_changes_are_spelt_as_in_the_bill(self, world: World) -> None:
        asked = bill_id()
        world.answers = [[fetched("B-1", 900, date(2026, 3, 25), provider_status=ProviderStatus.PARTIAL)]]
        world.refresher.refresh_link(USER, LINK)

        changes = one(asked).json["versions"][0]["changes"]

        assert {change["field"]: (change["before"], change["after"]) for change in changes} == {
            "due_date": ("2026-03-20", "2026-03-25"),
            "amount_minor": (1000, 900),
            "provider_status": ("unpaid", "partial"),
            "period_start": ("2026-01-19", "2026-01-24"),
            "period_end": ("2026-02-18", "2026-02-23"),
        }

    @pytest.mark.parametrize("asked", [NOBODYS, "bil_1", "x"])
    def test_an_unknown_one_is_not_found_before_the_body_is_judged(self, world: World, asked: str) -> None:
        assert one(asked).json["code"] == "bill_not_found"
        assert mark(asked, {"nonsense": 1}).status == 404


class TestMarks:
    def test_show_at_once_in_the_list_too(self, world: World) -> None:
        asked = bill_id()

        marked = mark(asked, {"paid_at": "2026-03-14", "note": "by card"})

        assert marked.status == 200
        fields = ("status", "paid_at", "paid_amount_minor", "note", "version")
        assert [marked.json[name] for name in fields] == ["paid", "2026-03-14", 1000, "by card", 1]
        listed = next(bill for bill in get().json["items"] if bill["bill_id"] == asked)
        assert [listed[name] for name in fields] == [marked.json[name] for name in fields]
        assert get("/bills", status="paid").json["items"] == [listed]

    @pytest.mark.parametrize(
        ("body", "fields"),
        [
            ({"paid_at": "2026-03-17"}, ["paid_at"]),
            ({"paid_at": "soon", "paid_amount_minor": 0}, ["paid_at", "paid_amount_minor"]),
            ({"paid_amount_minor": 10**15 + 1}, ["paid_amount_minor"]),
            ({"paid_amount_minor": "100"}, ["paid_amount_minor"]),
            ({"note": "x" * 501}, ["note"]),
            ({"amount_minor": 1}, ["amount_minor"]),
        ],
    )
    def test_what_does_not_validate_is_named(self, world: World, body: dict[str, object], fields: list[str]) -> None:
        answer = mark(bill_id(), body)

        assert answer.status == 422
        assert sorted(answer.fields) == sorted(fields)

    def test_without_a_body(self, world: World) -> None:
        assert mark(bill_id(), None).status == 400


class TestSums:
    def test_have_a_row_per_key_and_currency(self, world: World) -> None:
        mark(bill_id(), {"paid_amount_minor": 400})

        answer = get("/bills/summary", by="service_type").json

        assert answer == {
            "by": "service_type",
            "from": "2025-04-01",
            "to": None,
            "items": [
                {
                    "key": "electricity", "currency": "EUR", "count": 1,
                    "amount_minor": 2000, "paid_minor": 0, "outstanding_minor": 2000,
                },
                {
                    "key": "electricity", "currency": "USD", "count": 1,
                    "amount_minor": 1000, "paid_minor": 400, "outstanding_minor": 600,
                },
            ],
        }  # fmt: skip

    def test_are_kept_apart_from_lists_and_dropped_by_a_mark(self, world: World) -> None:
        asked = bill_id()
        first = get("/bills/summary")
        get()
        assert get("/bills/summary", headers={"If-None-Match": str(first.headers["ETag"])}).status == 304
        assert first.json["by"] == "month"
        assert [row["key"] for row in sums(**{"from": "2026-03-01"}).json["items"]] == ["2026-03"]

        mark(asked, {"paid_at": "2026-03-14"})

        (row,) = sums(**{"from": "2026-03-01"}).json["items"]
        assert row["outstanding_minor"] == 0

    @pytest.mark.parametrize(
        ("query", "field"),
        [({"by": "day"}, "by"), ({"from": "2026-03-02", "to": "2026-03-01"}, "from"), ({"limit": "5"}, "limit")],
    )
    def test_what_does_not_validate_is_named(self, world: World, query: dict[str, str], field: str) -> None:
        answer = sums(**query)

        assert answer.status == 422
        assert field in answer.fields
