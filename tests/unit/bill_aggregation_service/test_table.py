"""The repository on an emulated DynamoDB: transactions, versions, tombstones, one query for a page, the outbox."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from unittest import mock

import pytest
from moto import mock_aws
from pynamodb.connection.base import Connection
from pynamodb.exceptions import CancellationReason, PutError, TransactWriteError, VerboseClientError

from functions.bill_aggregation_service import writing_table
from functions.bill_aggregation_service.item_table import Item
from functions.bill_aggregation_service.keeping import LinkMoved, keep
from functions.bill_aggregation_service.model import (
    Bill,
    BillKey,
    Criteria,
    FetchedBill,
    LineItem,
    LineKind,
    Link,
    LinkId,
    Mark,
    Outcome,
    Usage,
)
from functions.bill_aggregation_service.reading import bill_key, reading_of
from functions.bill_aggregation_service.table import BillTable
from functions.bill_aggregation_service.upsert import Attempt, Change, Plan, plan
from functions.common.errors import Unavailable
from functions.common.outbox import Pending
from tests.support.fakes import FakeClock
from tests.unit.bill_aggregation_service.fakes import LINK, OTHER_LINK, PROVIDER, USER, fetched

T0 = datetime(2026, 3, 15, 12, tzinfo=UTC)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(T0)


@pytest.fixture
def table(clock: FakeClock) -> Iterator[BillTable]:
    with mock_aws():
        built = BillTable("bills", clock)
        Item.create_table(wait=True)
        yield built


@pytest.fixture
def calls() -> Iterator[list[str]]:
    """Operations that reach the table."""
    made: list[str] = []
    original = Connection.dispatch

    def counted(self: Connection, operation: str, *args: Any, **kwargs: Any) -> Any:
        made.append(operation)
        return original(self, operation, *args, **kwargs)

    with mock.patch.object(Connection, "dispatch", counted):
        yield made


def refresh(table: BillTable, *bills: FetchedBill, minute: int = 0, link_id: LinkId = LINK) -> tuple[Pending, ...]:
    began = T0 + timedelta(minutes=minute)
    attempt = Attempt(began, Outcome.SUCCESS, PROVIDER, bills)
    _, events = keep(table, FakeClock(began), USER, link_id, attempt, lambda _: None)
    return tuple(events)


def first_plan(link: Link, *bills: FetchedBill) -> Plan:
    """Of a link of which no bill is known."""
    attempt = Attempt(T0, Outcome.SUCCESS, PROVIDER, bills)
    return plan(link, reading_of(link.link_id, bills), {}, (), attempt, T0)


def listed(table: BillTable, **criteria: object) -> tuple[list[LinkId], list[str]]:
    rows = list(table.newest_first(USER, Criteria(**criteria)))  # type: ignore[arg-type]  # fields of Criteria
    links = [row.link_id for row in rows if isinstance(row, Link)]
    return links, [row.content.external_bill_id for row in rows if isinstance(row, Bill)]


def monthly(count: int) -> list[FetchedBill]:
    return [fetched(f"B-{n:03}", 1000 + n, date(2020, 1, 1) + timedelta(10 * n)) for n in range(count)]


def test_a_bill_comes_back_as_it_was_written(table: BillTable) -> None:
    rich = fetched(
        "B-1",
        service_type="gas",
        usage_point="1",
        statement_date=date(2026, 3, 1),
        usage=(Usage("gas", Decimal("138.824"), "m3", "GM1"),),
        line_items=(LineItem("Commodity", LineKind.USAGE, 1000, Decimal(100), "m3", Decimal("0.1")),),
    )
    link = Link(user_id=USER, link_id=LINK)
    planned = first_plan(link, rich)
    table.save(link, planned.link, planned.changes)

    assert list(table.bills(USER, [bill_key(LINK, rich.content)]).values()) == [
        replace(planned.changes[0].bill, edition=1)
    ]
    assert table.link(USER, LINK) == replace(planned.link, revision=1)
    assert table.link(USER, OTHER_LINK) is None


def test_an_unchanged_link_costs_one_put_and_no_bill_write(table: BillTable, calls: list[str]) -> None:
    refresh(table, *monthly(12))
    calls.clear()

    refresh(table, *monthly(12), minute=5)

    assert calls == ["GetItem", "PutItem"]


def test_a_new_version_keeps_the_one_before(table: BillTable) -> None:
    refresh(table, fetched(amount=1000))
    (pending,) = refresh(table, fetched(amount=900), minute=5)

    items = {item.sk.partition("#")[0]: item for item in Item.query(USER)}
    assert set(items) == {"bill", "ver", "link"}
    assert (items["bill"].version, items["bill"].supersedes) == (2, 1)
    assert items["ver"].sk.endswith("#00001")
    assert '"amount_minor":1000' in (items["ver"].content or "")
    assert not {"sort_key", "outbox", "outbox_shard"} & set(items["ver"].attribute_values)
    assert pending.version == 2
    assert len(pending.events) == 2


def test_whoever_read_before_another_wrote_is_told(table: BillTable) -> None:
    fresh = Link(user_id=USER, link_id=LINK)
    refresh(table, fetched("1"))
    with pytest.raises(LinkMoved):
        table.save(fresh, fresh)

    known = table.link(USER, LINK)
    assert known is not None
    refresh(table, fetched("2"))
    planned = first_plan(known, fetched("3"))
    with pytest.raises(LinkMoved):
        table.save(known, planned.link, planned.changes)
    assert set(listed(table)[1]) == {"1", "2"}


@pytest.mark.parametrize("bulk", [False, True])
def test_writes_at_the_same_time_are_told_from_a_table_that_is_down(table: BillTable, bulk: bool) -> None:
    link = Link(user_id=USER, link_id=LINK, revision=1)  # the first write of a link is bulk in any case
    planned = first_plan(link, fetched())
    changes: tuple[Change, ...] = planned.changes if bulk else ()
    where = "pynamodb.connection.base.Connection." + ("transact_write_items" if bulk else "put_item")

    with mock.patch(where, side_effect=_error(bulk, "TransactionConflict")), pytest.raises(LinkMoved):
        table.save(link, planned.link, changes)
    with mock.patch(where, side_effect=_error(bulk, "ThrottlingError")), pytest.raises(Unavailable):
        table.save(link, planned.link, changes)


def test_what_does_not_fit_a_transaction_is_written_in_several(
    table: BillTable, calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing_table, "MAX_ACTIONS", 10)
    refresh(table, *monthly(23))
    link = table.link(USER, LINK)
    assert link is not None
    assert (link.bill_count, link.revision, link.as_of) == (23, 3, T0)
    assert calls.count("TransactWriteItems") == 3

    changed = [FetchedBill(replace(bill.content, amount_minor=5)) for bill in monthly(10)]
    assert len(refresh(table, *changed, minute=5)) == 10
    assert sum(item.sk.startswith("ver#") for item in Item.query(USER)) == 10
    link = table.link(USER, LINK)
    assert link is not None
    assert (link.bill_count, link.revision) == (23, 6)


def test_a_transaction_holds_no_more_bytes_than_it_may(table: BillTable, calls: list[str]) -> None:
    """DynamoDB takes 4 MB; the emulators take more."""
    long = (LineItem("ß" * 60_000, LineKind.FEE, 1000),)
    refresh(table, *(FetchedBill(replace(bill.content, line_items=long)) for bill in monthly(20)))

    assert calls.count("TransactWriteItems") == 2
    assert len(listed(table)[1]) == 20


def test_what_was_written_before_a_cut_does_not_yet_count_as_read(
    table: BillTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing_table, "MAX_ACTIONS", 10)
    original, calls = BillTable._write, list[Link]()

    def cut_off(self: BillTable, before: Link, after: Link, changes: Sequence[Change]) -> None:
        calls.append(after)
        if len(calls) == 2:
            raise Unavailable("cut off")
        original(self, before, after, changes)

    with mock.patch.object(BillTable, "_write", cut_off), pytest.raises(Unavailable):
        refresh(table, *monthly(12))

    link = table.link(USER, LINK)
    assert link is not None
    assert (link.bill_count, link.as_of, link.outcome) == (8, None, Outcome.NEVER)
    refresh(table, *monthly(12))
    link = table.link(USER, LINK)
    assert link is not None
    assert (link.bill_count, link.as_of) == (12, T0)


def test_a_page_is_one_query_however_long_the_history(table: BillTable, calls: list[str]) -> None:
    refresh(table, *monthly(60))
    refresh(table, link_id=OTHER_LINK)
    calls.clear()
    rows = table.newest_first(USER, Criteria(limit=10))

    assert [next(rows) for _ in range(13)]
    assert calls == ["Query"]


def test_a_short_page_reads_hardly_more_than_it_shows(table: BillTable, calls: list[str]) -> None:
    """Ten bills, the one that tells of a next page, and a few links."""
    refresh(table, *monthly(60))
    refresh(table, link_id=OTHER_LINK)
    calls.clear()
    rows = table.newest_first(USER, Criteria(limit=10))

    shown = [next(rows) for _ in range(2 + 11)]
    assert calls == ["Query"]
    next(rows)
    assert calls == ["Query"] * 2

    calls.clear()
    last = next(row for row in reversed(shown) if isinstance(row, Bill))
    rows = table.newest_first(USER, Criteria(limit=10, after=last.position))
    assert [next(rows) for _ in range(2 + 11)]
    assert calls == ["Query"] * 2  # links, bills
    next(rows)
    assert calls == ["Query"] * 3


def test_lists_come_newest_first_after_all_links(table: BillTable) -> None:
    refresh(table, *monthly(5))
    refresh(table, link_id=OTHER_LINK)

    links, bills = listed(table)

    assert set(links) == {LINK, OTHER_LINK}
    assert bills == ["B-004", "B-003", "B-002", "B-001", "B-000"]
    assert {link.link_id for link in table.links(USER)} == {LINK, OTHER_LINK}


def test_which_links_there_are_costs_one_query(table: BillTable, calls: list[str]) -> None:
    refresh(table)
    refresh(table, link_id=OTHER_LINK)
    calls.clear()

    assert table.linked(USER) == {LINK: PROVIDER.provider_id, OTHER_LINK: PROVIDER.provider_id}
    assert calls == ["Query"]


def test_some_links_are_read_without_the_others(table: BillTable, calls: list[str]) -> None:
    refresh(table)
    refresh(table, link_id=OTHER_LINK)
    calls.clear()

    assert [link.link_id for link in table.links(USER, [OTHER_LINK])] == [OTHER_LINK]
    assert {link.link_id for link in table.links(USER, [OTHER_LINK, LINK])} == {LINK, OTHER_LINK}
    assert calls == ["Query", "Query"]


def test_where_more_links_are_known_to_be_a_page_has_room_for_them(table: BillTable, calls: list[str]) -> None:
    for number in range(40):
        refresh(table, link_id=LinkId(f"lnk_{number:026}"))
    refresh(table, *monthly(30))
    calls.clear()
    rows = table.newest_first(USER, Criteria(limit=10), 41)

    assert [next(rows) for _ in range(41 + 11)]
    assert calls == ["Query"]


class TestRecordsTogether:
    def read(self, table: BillTable, link_id: LinkId) -> Link:
        link = table.link(USER, link_id)
        assert link is not None
        return link

    def test_go_in_one_transaction(self, table: BillTable, calls: list[str]) -> None:
        for link_id in (LINK, OTHER_LINK):
            refresh(table, link_id=link_id)
        before = [self.read(table, link_id) for link_id in (LINK, OTHER_LINK)]
        calls.clear()

        table.save_records([(link, replace(link, error_code="provider_unavailable")) for link in before])

        assert calls == ["TransactWriteItems"]
        for link in before:
            written = self.read(table, link.link_id)
            assert written == replace(link, error_code="provider_unavailable", revision=link.revision + 1)

    def test_all_or_none(self, table: BillTable) -> None:
        for link_id in (LINK, OTHER_LINK):
            refresh(table, link_id=link_id)
        before = [self.read(table, link_id) for link_id in (LINK, OTHER_LINK)]
        table.save(before[1], replace(before[1], gone=True))

        with pytest.raises(LinkMoved):
            table.save_records([(link, replace(link, error_code="provider_unavailable")) for link in before])

        assert self.read(table, LINK) == before[0]
        assert self.read(table, OTHER_LINK).gone


def test_bounds_and_positions(table: BillTable) -> None:
    refresh(table, *monthly(5))
    third = next(
        row
        for row in table.newest_first(USER, Criteria())
        if isinstance(row, Bill) and row.content.amount_minor == 1002
    )

    assert listed(table, since=date(2020, 1, 21)) == ([LINK], ["B-004", "B-003", "B-002"])
    assert listed(table, until=date(2020, 1, 21)) == ([LINK], ["B-002", "B-001", "B-000"])
    assert listed(table, since=date(2020, 1, 11), until=date(2020, 1, 21)) == ([LINK], ["B-002", "B-001"])
    assert listed(table, after=third.position) == ([LINK], ["B-001", "B-000"])
    assert listed(table, after=third.position, until=date(2020, 1, 1)) == ([LINK], ["B-000"])
    assert listed(table, after=third.position, since=date(2020, 2, 1)) == ([LINK], [])


def test_a_tombstone_is_kept_and_not_shown(table: BillTable) -> None:
    refresh(table, *monthly(3))
    refresh(table, FetchedBill(replace(monthly(1)[0].content, amount_minor=1)), minute=5)
    refresh(table, fetched("other"), link_id=OTHER_LINK)
    known = table.link(USER, LINK)
    assert known is not None

    table.save(known, replace(known, gone=True))
    assert table.delete_bills(USER, LINK) == 4

    assert listed(table) == ([OTHER_LINK], ["other"])
    tombstone = table.link(USER, LINK)
    assert tombstone is not None
    assert tombstone.gone
    assert table.delete_bills(USER, LINK) == 0


class TestOneBill:
    def test_is_found_by_its_key(self, table: BillTable) -> None:
        refresh(table, fetched())
        key = bill_key(LINK, fetched().content)

        found = table.bill(USER, key)

        assert found is not None
        assert (found.key, found.edition) == (key, 1)
        assert table.bill(USER, BillKey("0" * 16)) is None

    def test_versions_come_newest_first(self, table: BillTable, calls: list[str]) -> None:
        for minute, amount in enumerate([100, 200, 300, 400]):
            refresh(table, fetched(amount=amount), minute=minute)
        key = bill_key(LINK, fetched().content)
        calls.clear()

        assert [bill.content.amount_minor for bill in table.versions_before(USER, key, 2)] == [300, 200]
        assert calls == ["Query"]

    def test_a_mark_comes_back_and_goes_on_with_the_next_version(self, table: BillTable) -> None:
        refresh(table, fetched(amount=1000))
        seen = self.the_bill(table)
        mark = Mark(paid_at=date(2026, 3, 1), covered_minor=1000, note="card", revision=1)

        pending = table.save_bill(seen, replace(seen, mark=mark))
        refresh(table, fetched(amount=900), minute=5)

        assert (pending.version, pending.events) == (2, seen.unsent)
        assert (self.the_bill(table).mark, self.the_bill(table).version, self.the_bill(table).edition) == (mark, 2, 3)
        (before,) = table.versions_before(USER, seen.key, 9)
        assert before.mark == Mark()

    def test_whoever_read_it_before_another_wrote_it_is_told(self, table: BillTable) -> None:
        refresh(table, fetched())
        seen = self.the_bill(table)
        table.save_bill(seen, replace(seen, mark=Mark(note="first", revision=1)))

        with pytest.raises(LinkMoved):
            table.save_bill(seen, replace(seen, mark=Mark(note="late", revision=1)))
        link = table.link(USER, LINK)
        assert link is not None
        with pytest.raises(LinkMoved):
            table.save(link, link, [Change(replace(seen, version=2), seen)])
        assert self.the_bill(table).mark.note == "first"

    def test_what_was_deleted_does_not_come_back_with_a_mark(self, table: BillTable) -> None:
        refresh(table, fetched())
        seen = self.the_bill(table)
        table.delete_bills(USER, LINK)

        for known in (seen, replace(seen, edition=0)):
            with pytest.raises(LinkMoved):
                table.save_bill(known, replace(known, mark=Mark(revision=1)))
            table.clear_outbox(Pending((USER, f"bill#{seen.key}"), known.edition, ()))
        assert listed(table)[1] == []

    def test_one_from_before_editions_were_counted_can_be_written_too(self, table: BillTable) -> None:
        refresh(table, fetched())
        seen = self.the_bill(table)
        Item(USER, f"bill#{seen.key}").update([Item.edition.remove(), Item.versioned_at.remove()])
        old = self.the_bill(table)
        assert (old.edition, old.versioned_at) == (0, old.updated_at)

        table.clear_outbox(Pending((USER, f"bill#{seen.key}"), 0, old.unsent))
        table.save_bill(old, replace(old, mark=Mark(note="?", revision=1), unsent=()))

        assert (self.the_bill(table).edition, self.the_bill(table).mark.note) == (1, "?")
        with pytest.raises(LinkMoved):
            table.save_bill(old, old)

    def test_notes_of_neighbours_are_kept_and_make_no_version(self, table: BillTable) -> None:
        january = fetched("1", due=date(2026, 2, 20), period_start=date(2026, 1, 1), period_end=date(2026, 1, 31))
        march = fetched("3", due=date(2026, 4, 20), period_start=date(2026, 3, 1), period_end=date(2026, 3, 31))
        february = fetched("2", due=date(2026, 3, 20), period_start=date(2026, 2, 1), period_end=date(2026, 2, 28))
        key = bill_key(LINK, march.content)
        refresh(table, january, march)
        with_gap = table.bill(USER, key)
        refresh(table, january, february, march, minute=5)
        without = table.bill(USER, key)

        assert with_gap is not None
        assert without is not None
        assert [note.code for note in with_gap.notes] == ["gap_before"]
        assert (without.notes, without.version, without.edition) == ((), 1, 2)
        assert not [item for item in Item.query(USER) if item.sk.startswith("ver#")]

    def the_bill(self, table: BillTable) -> Bill:
        found = table.bill(USER, bill_key(LINK, fetched().content))
        assert found is not None
        return found


def test_bills_of_a_link_between_two_days(table: BillTable) -> None:
    refresh(table, *monthly(5))
    refresh(table, fetched("other", due=date(2020, 1, 11)), link_id=OTHER_LINK)

    found = table.bills_between(USER, LINK, date(2020, 1, 11), date(2020, 1, 31))

    assert [bill.content.external_bill_id for bill in found] == ["B-001", "B-002", "B-003"]


def test_a_new_bill_of_a_long_history_costs_what_it_costs_of_a_short_one(table: BillTable, calls: list[str]) -> None:
    """Its neighbours are found by one query between days, whatever lies further back."""
    refresh(table, *monthly(100))  # moto gets slow with the size of a table
    calls.clear()

    refresh(table, fetched("B-100", 1300, date(2020, 1, 1) + timedelta(3000)), minute=5)

    assert calls == ["GetItem", "BatchGetItem", "Query", "TransactWriteItems"]


class TestOutbox:
    def test_events_wait_until_they_are_cleared(self, table: BillTable, clock: FakeClock) -> None:
        sent = refresh(table, *monthly(3))
        assert table.pending_events(10) == []  # the writer is still at it

        clock.advance(timedelta(minutes=2))
        assert sorted(p.key for p in table.pending_events(10)) == sorted(p.key for p in sent)
        assert len(table.pending_events(2)) == 2

        for pending in sent:
            table.clear_outbox(pending)
        assert table.pending_events(10) == []

    def test_events_of_an_item_that_changed_since_stay(self, table: BillTable, clock: FakeClock) -> None:
        (old,) = refresh(table, fetched(amount=1))
        refresh(table, fetched(amount=2), minute=5)

        table.clear_outbox(old)

        clock.advance(timedelta(hours=1))
        (waiting,) = table.pending_events(10)
        assert (waiting.version, len(waiting.events)) == (2, 2)


def _error(bulk: bool, code: str) -> Exception:
    response = {"Error": {"Code": "TransactionCanceledException" if bulk else code + "Exception", "Message": ""}}
    cause = VerboseClientError(response, "op", cancellation_reasons=[CancellationReason(code=code, message=None)])
    return TransactWriteError("", cause=cause) if bulk else PutError(cause=cause)
