"""Use cases on single bills, sums and long histories: bounded work, cursors, versions, marks."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.bill_aggregation_service import service
from functions.bill_aggregation_service.model import (
    Bill,
    By,
    Criteria,
    Link,
    ProviderStatus,
    QualityNote,
    Reminded,
    Status,
    UserId,
)
from functions.common.errors import InvalidInput, NotFound, PreconditionFailed, Unavailable
from functions.contracts.events.envelope import parse
from tests.unit.bill_aggregation_service.fakes import LINK, OTHER_LINK, PROVIDER, USER, World, fetched

SOMEBODY = UserId("usr_01JD3N8Z6W3V9K4T7Q2M5XBRPZ")
NEW_YEAR = date(2026, 1, 1)


@pytest.fixture
def world() -> World:
    built = World()
    read(built, amount=1000)
    return built


def read(world: World, amount: int, **changes: object) -> None:
    world.clock.advance(timedelta(minutes=1))
    world.answers = [[fetched(amount=amount, provider_status=ProviderStatus.UNPAID, **changes)]]  # type: ignore[arg-type]  # fields of BillContent
    world.refresher.refresh_link(USER, LINK)


def the_bill(world: World) -> Bill:
    (bill,) = world.store.kept.values()
    return bill


def mark(
    world: World, expected: Callable[[str], None] = lambda _: None, **said: date | int | str | None
) -> service.BillDetail:
    return world.bills.mark_bill(USER, the_bill(world).bill_id, lambda: said, expected)


class TestOneBill:
    def test_comes_with_its_versions(self, world: World) -> None:
        read(world, amount=900)

        detail = world.bills.get_bill(USER, the_bill(world).bill_id)

        assert detail.listed.bill.content.amount_minor == 900
        assert [(version.version, [c.field for c in version.changes]) for version in detail.versions] == [
            (2, ["amount_minor"]),
            (1, []),
        ]

    def test_somebody_elses_an_unknown_one_and_one_of_a_link_that_is_gone_do_not_exist(self, world: World) -> None:
        bill_id = the_bill(world).bill_id
        of_another_time = f"bil_{'0' * 10}{the_bill(world).key}"
        for user_id, asked in ((SOMEBODY, bill_id), (USER, of_another_time), (USER, "bil_1"), (USER, LINK)):
            with pytest.raises(NotFound):
                world.bills.get_bill(user_id, asked)

        world.store.rows[USER, LINK] = replace(world.store.rows[USER, LINK], gone=True)
        with pytest.raises(NotFound):
            world.bills.get_bill(USER, bill_id)

    def test_its_tag_changes_with_all_that_can_be_seen(self, world: World) -> None:
        def tag() -> str:
            return world.bills.get_bill(USER, the_bill(world).bill_id).listed.tag

        tags = [tag()]
        assert tag() == tags[0]
        mark(world, note="?")
        tags.append(tag())
        read(world, amount=900)
        tags.append(tag())
        world.clock.advance(timedelta(days=30))
        tags.append(tag())

        assert len(set(tags)) == 4

    @pytest.mark.parametrize(
        ("written", "seen"),
        [
            ({"remind_at": datetime(2026, 3, 16, tzinfo=UTC), "reminded": Reminded(version=1, due_soon=1)}, False),
            ({"unsent": ("{}",)}, False),
            ({"notes": (QualityNote("overlap", "…"),)}, True),
            ({"notes": (QualityNote("overlap", "…"), QualityNote("gap_before", "…"))}, True),
            ({"content": fetched(provider_status=ProviderStatus.UNPAID, document_url="/1.pdf").content}, True),
        ],
    )
    def test_its_tag_stays_where_only_its_record_changes(
        self, world: World, written: dict[str, object], seen: bool
    ) -> None:
        """A look for reminders writes a bill that is near its due date once a day."""
        before = world.bills.get_bill(USER, the_bill(world).bill_id)

        world.store.save_bill(the_bill(world), replace(the_bill(world), **written))  # type: ignore[arg-type]  # fields of Bill

        after = world.bills.get_bill(USER, the_bill(world).bill_id)
        assert (after.listed.tag != before.listed.tag) is seen
        assert the_bill(world).edition == before.listed.bill.edition + 1


class TestMarks:
    def test_are_seen_at_once_and_told_once(self, world: World) -> None:
        world.cache.bumps.clear()

        detail = mark(world, paid_at=date(2026, 3, 15), note="card")
        again = mark(world, paid_at=date(2026, 3, 15))

        assert detail.listed.status is again.listed.status is Status.PAID
        assert detail.listed.tag == again.listed.tag
        assert world.cache.bumps == [(USER, "bills")]
        assert [parse(e.to_json()).type for e in world.publisher.events][-1:] == ["bill.paid.v1"]
        assert the_bill(world).unsent == ()
        assert [listed.status for listed in world.bills.list_bills(USER, Criteria()).items] == [Status.PAID]

    def test_survive_what_the_utility_says_next(self, world: World) -> None:
        mark(world, paid_amount_minor=400)
        read(world, amount=900)
        read(world, amount=900)

        listed = world.bills.get_bill(USER, the_bill(world).bill_id).listed

        assert (listed.bill.version, listed.payment.paid_amount_minor, listed.payment.outstanding_minor) == (
            2,
            400,
            500,
        )

    def test_a_refresh_in_between_is_no_reason_to_give_up(self, world: World) -> None:
        world.store.moves = 2
        assert mark(world, note="?").listed.bill.mark.note == "?"
        world.store.moves = 99
        with pytest.raises(Unavailable):
            mark(world, note="!")

    def test_a_refresh_that_read_before_the_mark_does_not_undo_it(self, world: World) -> None:
        """It reads again, since the bill's edition has moved on."""
        original = world.store.save

        def beaten(*args: object) -> object:
            world.store.save = original  # type: ignore[method-assign]
            mark(world, note="kept")
            return original(*args)  # type: ignore[arg-type]

        world.store.save = beaten  # type: ignore[method-assign, assignment]
        read(world, amount=900)

        assert (the_bill(world).version, the_bill(world).mark.note) == (2, "kept")

    def test_who_expects_another_state_is_refused_before_anything_is_judged(self, world: World) -> None:
        def stale(_: str) -> None:
            raise PreconditionFailed("stale")

        with pytest.raises(PreconditionFailed):
            mark(world, stale, paid_at=date(2099, 1, 1))
        assert the_bill(world).mark.revision == 0

    def test_today_is_wherever_a_day_comes_first(self, world: World) -> None:
        # 03:30 UTC on the 16th is still the 15th in New York, where the utility is
        world.clock.advance(datetime(2026, 3, 16, 3, 30, tzinfo=UTC) - world.clock.now())

        with pytest.raises(InvalidInput):
            mark(world, paid_at=date(2026, 3, 17))
        assert mark(world, paid_at=date(2026, 3, 16)).listed.status is Status.PAID


class TestLongHistories:
    @pytest.fixture
    def long(self, monkeypatch: pytest.MonkeyPatch) -> World:
        """30 bills, of which the 3 oldest are paid; a page looks at 10."""
        monkeypatch.setattr(service, "MAX_EXAMINED", 10)
        monkeypatch.setattr(service, "MAX_SUMMED", 20)
        world = World()
        paid = dict.fromkeys(range(3), ProviderStatus.PAID)
        world.answers = [
            [
                fetched(f"B-{n:02}", 100, NEW_YEAR + timedelta(n), provider_status=paid.get(n, ProviderStatus.UNPAID))
                for n in range(30)
            ]
        ]
        world.refresher.refresh_link(USER, LINK)
        return world

    def test_a_page_looks_at_so_many_bills_and_the_next_one_goes_on(self, long: World) -> None:
        pages: list[list[str]] = []
        cursor = ""
        while cursor or not pages:
            page = long.bills.list_bills(USER, Criteria(status=Status.PAID, cursor=cursor))
            pages.append([listed.bill.content.external_bill_id for listed in page.items])
            cursor = page.next_cursor or ""

        assert pages[:3] == [[], [], ["B-02", "B-01", "B-00"]]
        assert not any(pages[3:])

    def test_a_full_page_that_is_the_last_says_so(self, long: World) -> None:
        criteria = Criteria(status=Status.PAID, until=date(2026, 1, 5), limit=3)

        assert long.bills.list_bills(USER, criteria).next_cursor is None

    def test_sums_of_too_much_are_refused_by_name(self, long: World) -> None:
        with pytest.raises(InvalidInput) as refused:
            long.bills.summarise(USER, By.MONTH, None, None)
        assert [(error.field, error.code) for error in refused.value.errors] == [("from", "too_many")]

        (row,) = long.bills.summarise(USER, By.MONTH, NEW_YEAR, NEW_YEAR + timedelta(19)).items
        assert (row.count, row.amount_minor, row.paid_minor, row.outstanding_minor) == (20, 2000, 300, 1700)

    def test_sums_are_of_a_year_unless_it_is_said_otherwise(self, long: World) -> None:
        assert long.bills.summarise(USER, By.MONTH, None, date(2026, 1, 5)).since == date(2025, 2, 1)
        assert long.bills.summarise(USER, By.MONTH, None, date(2025, 12, 31)).items == ()


class TestCursors:
    def test_are_good_for_their_user_alone(self) -> None:
        world = World()
        world.answers = [[fetched("1"), fetched("2", due=date(2026, 4, 20))]]
        world.refresher.refresh_link(USER, LINK)
        cursor = world.bills.list_bills(USER, Criteria(limit=1)).next_cursor or ""

        for user_id, wrong in (
            (SOMEBODY, cursor),
            (USER, cursor[:-1]),
            (USER, world.cursors.encode(USER, {"after": "x"})),
        ):
            with pytest.raises(InvalidInput) as refused:
                world.bills.list_bills(user_id, Criteria(cursor=wrong))
            assert [error.field for error in refused.value.errors] == ["cursor"]

    @given(
        st.lists(st.integers(0, 60), unique=True, max_size=15),
        st.lists(st.lists(st.integers(0, 60), max_size=4), max_size=8),
        st.integers(1, 5),
    )
    def test_never_skip_or_repeat_a_bill_while_others_are_added(
        self, first: list[int], added: list[list[int]], limit: int
    ) -> None:
        """Bills of three a day, so that many stand on the same day; others come between any two pages."""
        world = World()

        def issue(numbers: list[int]) -> None:
            world.clock.advance(timedelta(minutes=1))
            world.answers = [[fetched(f"{n:02}", due=NEW_YEAR + timedelta(n // 3)) for n in numbers]]
            world.refresher.refresh_link(USER, LINK)

        issue(first)
        seen: list[str] = []
        cursor = ""
        while cursor or not seen:
            page = world.bills.list_bills(USER, Criteria(limit=limit, cursor=cursor))
            seen += [listed.bill.content.external_bill_id for listed in page.items]
            cursor = page.next_cursor or ""
            if not cursor:
                break
            if added:
                issue(added.pop())

        assert len(seen) == len(set(seen)), "none twice"
        assert {f"{n:02}" for n in first} <= set(seen), "none left out that was there from the start"


def test_bills_that_were_refused_show_in_the_sources(world: World) -> None:
    read(world, amount=1000, currency="XXX")

    (row,) = world.bills.list_bills(USER, Criteria()).sources

    assert row.error is not None
    assert (row.outcome.value, row.error.code, row.error.retryable) == ("cached", "bills_refused", False)


def test_a_bill_whose_link_has_no_record_is_not_listed(world: World) -> None:
    del world.store.rows[USER, LINK]
    world.store.rows[USER, OTHER_LINK] = Link(user_id=USER, link_id=OTHER_LINK, provider_id=PROVIDER.provider_id)

    assert world.bills.list_bills(USER, Criteria()).items == ()
