"""What is done in one go for links that are read at once, and what becomes of it when one of them is in the way."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest

from functions.bill_aggregation_service.adapters.base import Access
from functions.bill_aggregation_service.gathering import Gathered, GatheringCache, GatheringStore
from functions.bill_aggregation_service.keeping import LinkMoved
from functions.bill_aggregation_service.model import FetchedBill, Link, LinkChoice, LinkId, Outcome
from functions.bill_aggregation_service.refresh import Refreshed
from functions.bill_aggregation_service.upsert import Change
from functions.common.errors import Unavailable
from functions.common.outbox import Pending
from tests.unit.bill_aggregation_service.fakes import LINK, OTHER_LINK, PROVIDER, USER, FakeCache, FakeStore, World

THIRD_LINK = LinkId("lnk_01JD3N8Z6W3V9K4T7Q2M5XBRPE")


class Busy:
    """Does nothing but take its time with the first call: until `release` is set."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.begun, self.release = threading.Event(), threading.Event()
        self.error: Exception | None = None

    def __call__(self, items: Sequence[str]) -> None:
        self.calls.append(list(items))
        if len(self.calls) == 1:
            self.begun.set()
            assert self.release.wait(10)
        if self.error and "poison" in items:
            raise self.error


def all_at_once(busy: Busy, gathered: Gathered[str], *items: str) -> list[Future[None]]:
    """The first item's call is under way while the others come."""
    pool = ThreadPoolExecutor(len(items))
    futures = [pool.submit(gathered, items[0])]
    assert busy.begun.wait(10)
    futures += [pool.submit(gathered, item) for item in items[1:]]
    until(lambda: len(gathered._waiting) == len(items) - 1)
    busy.release.set()
    pool.shutdown()
    return futures


def until(condition: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(1000):
        if condition():
            return
        pause.wait(0.01)
    pytest.fail("it never came to that")


class TestGathered:
    def test_who_comes_alone_does_not_wait(self) -> None:
        calls: list[Sequence[str]] = []
        gathered = Gathered[str](calls.append)

        gathered("a")
        gathered("b")

        assert calls == [["a"], ["b"]]

    def test_who_come_while_a_call_is_under_way_share_the_next(self) -> None:
        busy = Busy()

        for future in all_at_once(busy, Gathered(busy), "a", "b", "c", "d"):
            future.result(10)

        first, rest = busy.calls
        assert (first, sorted(rest)) == (["a"], ["b", "c", "d"])

    def test_an_error_is_told_to_all_of_its_call_and_to_nobody_else(self) -> None:
        busy = Busy()
        busy.error = Unavailable("The table did not answer.")
        gathered = Gathered(busy)

        first, *rest = all_at_once(busy, gathered, "a", "poison", "c")

        assert first.exception(10) is None
        assert [future.exception(10) for future in rest] == [busy.error] * 2
        gathered("later")
        assert busy.calls[-1] == ["later"]


class SlowStore(FakeStore):
    """The next write ends when `waiting` others wait for it."""

    gathering: GatheringStore
    waiting: int = 0

    def save(self, before: Link, after: Link, changes: Sequence[Change] = ()) -> Sequence[Pending]:
        waiting, self.waiting = self.waiting, 0
        if waiting:
            until(lambda: len(self.gathering._records._waiting) == waiting)
        return super().save(before, after, changes)


@pytest.fixture
def store() -> SlowStore:
    store = SlowStore()
    for link_id in (LINK, OTHER_LINK, THIRD_LINK):
        store.save(*record(link_id, 0))
    store.link_writes = 0
    store.gathering = GatheringStore(store)
    return store


def record(link_id: LinkId, revision: int) -> tuple[Link, Link]:
    link = Link(user_id=USER, link_id=link_id, provider_id=PROVIDER.provider_id, revision=revision)
    return link, replace(link, outcome=Outcome.SUCCESS)


def saved(store: SlowStore, *records: tuple[Link, Link]) -> list[BaseException | None]:
    """How saving ended for each: the first alone, the others together."""
    store.waiting = len(records) - 1
    with ThreadPoolExecutor(len(records)) as pool:
        futures = [pool.submit(store.gathering.save, *records[0])]
        until(lambda: store.waiting == 0)
        futures += [pool.submit(store.gathering.save, *each) for each in records[1:]]
        return [future.exception(10) for future in futures]


class TestGatheringStore:
    def test_records_of_one_moment_go_together(self, store: SlowStore) -> None:
        ended = saved(store, record(LINK, 1), record(OTHER_LINK, 1), record(THIRD_LINK, 1))

        assert ended == [None] * 3
        assert store.together == [2]
        assert {link.revision for link in store.rows.values()} == {2}

    def test_one_that_was_written_meanwhile_costs_the_others_nothing(self, store: SlowStore) -> None:
        """And it is told to its own writer, who reads again."""
        moved = record(OTHER_LINK, 1)
        FakeStore.save(store, *record(OTHER_LINK, 1))

        ended = saved(store, record(LINK, 1), moved, record(THIRD_LINK, 1))

        assert [type(error) for error in ended] == [type(None), LinkMoved, type(None)]
        assert store.together == []
        assert {link.revision for link in store.rows.values()} == {2}

    def test_one_alone_that_was_written_meanwhile_is_told(self, store: SlowStore) -> None:
        FakeStore.save(store, *record(LINK, 1))

        with pytest.raises(LinkMoved):
            store.gathering.save(*record(LINK, 1))

    def test_a_first_record_goes_alone(self, store: SlowStore) -> None:
        """Its user may be gone, which only a write of its own looks for."""
        store.rows.clear()

        store.gathering.save(*record(LINK, 0))

        assert (store.rows[USER, LINK].revision, store.together) == (1, [])


class TestGatheringCache:
    def test_what_comes_while_a_bump_is_under_way_needs_another(self) -> None:
        """A bump tells of what was written before it, and of nothing else."""
        bumping, release = threading.Event(), threading.Event()

        class SlowCache(FakeCache):
            def bump(self, owner: str, space: str) -> None:
                super().bump(owner, space)
                bumping.set()
                assert release.wait(10)

        known = SlowCache()
        cache = GatheringCache(known)
        with ThreadPoolExecutor(4) as pool:
            pool.submit(cache.bump, USER, "bills")
            assert bumping.wait(10)
            others = [pool.submit(cache.bump, USER, "bills") for _ in range(3)]
            until(lambda: len(cache._bumps._waiting) == 3)
            assert not any(future.done() for future in others)
            release.set()

        assert known.bumps == [(USER, "bills")] * 2


class TestLiveRead:
    def test_an_account_unlinked_while_others_are_read_with_it_stays_gone(self) -> None:
        world = World()
        links = [LINK, OTHER_LINK, THIRD_LINK]
        world.services.accounts = dict.fromkeys(links, PROVIDER.provider_id)
        world.answers = [[]]
        world.refresher.refresh_links(USER, LinkChoice(), 5.0)
        world.clock.advance(timedelta(minutes=1))

        def unlink() -> None:
            world.projection.project_link(USER, OTHER_LINK, PROVIDER.provider_id, "REVOKED", "", 9)

        def answer(_: Access) -> Sequence[FetchedBill]:
            all_asked.wait(10)
            return []

        all_asked = threading.Barrier(3, unlink)
        world.answers = [answer]
        done = {one.link_id: one.refreshed for one in world.refresher.refresh_links(USER, LinkChoice(), 5.0)}

        assert done[OTHER_LINK] == Refreshed(Outcome.FAILED, "link_not_found")
        assert done[LINK] == done[THIRD_LINK] == Refreshed(Outcome.SUCCESS)
        assert world.store.rows[USER, OTHER_LINK].gone
