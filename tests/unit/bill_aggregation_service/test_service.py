"""Listing bills and following links."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from functions.bill_aggregation_service import rpc
from functions.bill_aggregation_service.adapters.base import Access, BadCredentials, ProviderDown
from functions.bill_aggregation_service.clients import LiveReadsClient
from functions.bill_aggregation_service.listing import FILES, BillPage, Lifetime, SourceError
from functions.bill_aggregation_service.live import LiveReader
from functions.bill_aggregation_service.model import (
    Criteria,
    FetchedBill,
    Freshness,
    LinkId,
    Outcome,
    ProviderId,
    Status,
    UserId,
)
from functions.bill_aggregation_service.refresh import LinkResult
from functions.common.context import invocation
from functions.common.errors import Unavailable
from functions.common.rpc.client import Stub
from tests.support.fakes import LoopbackChannel
from tests.unit.bill_aggregation_service.fakes import LINK, OTHER_LINK, PROVIDER, USER, World, fetched

GAS = ProviderId("prv_greenline_gas")


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def settled(world: World) -> World:
    """Five bills, due monthly from 20 November to 20 March; it is 15 March noon."""
    months = [date(2025, 11, 20), date(2025, 12, 20), date(2026, 1, 20), date(2026, 2, 20), date(2026, 3, 20)]
    world.answers = [[fetched(f"B-{n}", 1000 + n, due) for n, due in enumerate(months)]]
    world.refresher.refresh_link(USER, LINK)
    return world


def numbers(world: World, **criteria: object) -> list[str]:
    page = world.bills.list_bills(USER, Criteria(**criteria))  # type: ignore[arg-type]  # fields of Criteria
    return [listed.bill.content.external_bill_id for listed in page.items]


class TestItems:
    def test_come_by_day_newest_first_with_their_status(self, settled: World) -> None:
        page = settled.bills.list_bills(USER, Criteria())

        assert numbers(settled) == ["B-4", "B-3", "B-2", "B-1", "B-0"]
        assert [listed.status for listed in page.items] == [Status.DUE_SOON] + [Status.OVERDUE] * 4
        assert page.next_cursor is None

    def test_pages_join_to_the_whole(self, settled: World) -> None:
        first = settled.bills.list_bills(USER, Criteria(limit=2))
        assert first.next_cursor is not None

        assert [listed.bill.content.external_bill_id for listed in first.items] == ["B-4", "B-3"]
        assert numbers(settled, limit=3, cursor=first.next_cursor) == ["B-2", "B-1", "B-0"]

    def test_filters(self, settled: World) -> None:
        assert numbers(settled, status=Status.DUE_SOON) == ["B-4"]
        assert numbers(settled, status=Status.PAID) == []
        assert len(numbers(settled, link_id=LINK)) == 5
        assert numbers(settled, link_id=OTHER_LINK) == []
        assert len(numbers(settled, provider_id=PROVIDER.provider_id)) == 5
        assert numbers(settled, provider_id=GAS) == []
        assert len(numbers(settled, service_type="electricity")) == 5
        assert numbers(settled, service_type="gas") == []

    @pytest.mark.parametrize(
        ("zone", "at", "status"),
        [
            # due on 20 March; in Kiritimati (+14) the 21st begins at 10:00 UTC of the 20th, in Niue (-11) at 11:00
            ("Pacific/Kiritimati", datetime(2026, 3, 20, 9, 59, 59, tzinfo=UTC), Status.DUE_SOON),
            ("Pacific/Kiritimati", datetime(2026, 3, 20, 10, 0, 0, tzinfo=UTC), Status.OVERDUE),
            ("Pacific/Niue", datetime(2026, 3, 21, 10, 59, 59, tzinfo=UTC), Status.DUE_SOON),
            ("Pacific/Niue", datetime(2026, 3, 21, 11, 0, 0, tzinfo=UTC), Status.OVERDUE),
        ],
    )
    def test_status_turns_at_midnight_of_the_utility(
        self, settled: World, zone: str, at: datetime, status: Status
    ) -> None:
        settled.store.rows[USER, LINK] = replace(settled.store.rows[USER, LINK], time_zone=zone)
        settled.clock.advance(at - settled.clock.now())

        newest = settled.bills.list_bills(USER, Criteria()).items[0]

        assert newest.status is status

    def test_bills_of_a_link_that_is_gone_are_not_shown(self, settled: World) -> None:
        del settled.store.rows[USER, LINK]
        assert numbers(settled) == []


class TestSources:
    def test_young_data_are_cached_and_old_ones_stale(self, settled: World) -> None:
        (young,) = settled.bills.list_bills(USER, Criteria()).sources
        settled.clock.advance(timedelta(hours=6))
        (old,) = settled.bills.list_bills(USER, Criteria()).sources

        assert (young.outcome, young.as_of, young.error) == (
            Freshness.CACHED,
            datetime(2026, 3, 15, 12, tzinfo=UTC),
            None,
        )
        assert (old.outcome, old.as_of) == (Freshness.STALE, young.as_of)

    def test_a_link_not_read_yet(self, world: World) -> None:
        world.projection.project_link(USER, LINK, PROVIDER.provider_id, "PENDING", "", 1)

        (row,) = world.bills.list_bills(USER, Criteria()).sources

        assert (row.outcome, row.as_of, row.error) == (Freshness.STALE, None, SourceError("not_read_yet", True))
        assert row.provider_id == PROVIDER.provider_id

    def test_a_link_that_needs_its_user_before_it_was_read(self, world: World) -> None:
        world.projection.project_link(USER, LINK, PROVIDER.provider_id, "ACTION_REQUIRED", "consent_expired", 1)

        (row,) = world.bills.list_bills(USER, Criteria()).sources

        assert (row.outcome, row.error) == (Freshness.ACTION_REQUIRED, SourceError("consent_expired", False))

    def test_a_failure_shows_its_code_and_the_age_of_what_is_there(self, settled: World) -> None:
        read_at = settled.clock.now()
        settled.clock.advance(timedelta(hours=1))
        settled.answers = [ProviderDown()]
        settled.refresher.refresh_link(USER, LINK)

        page = settled.bills.list_bills(USER, Criteria())

        assert len(page.items) == 5
        assert page.sources[0].outcome is Freshness.FAILED
        assert page.sources[0].as_of == read_at
        assert page.sources[0].error == SourceError("provider_unavailable", True)


class TestKeeping:
    def test_a_page_is_kept_no_longer_than_midnight(self, settled: World) -> None:
        # New York, in March: midnight is 04:00 UTC
        settled.clock.advance(datetime(2026, 3, 16, 3, 58, 20, tzinfo=UTC) - settled.clock.now())

        midnight = datetime(2026, 3, 16, 4, tzinfo=UTC)
        assert settled.bills.list_bills(USER, Criteria()).lifetime == Lifetime(midnight, midnight)

    def test_is_renewed_when_a_source_gets_old(self, settled: World) -> None:
        settled.clock.advance(timedelta(seconds=21_600 - 30))
        now = settled.clock.now()

        assert settled.bills.list_bills(USER, Criteria()).lifetime == Lifetime(
            now + timedelta(seconds=30), now + timedelta(hours=1)
        )

    def test_else_as_the_settings_say(self, settled: World) -> None:
        now = settled.clock.now()

        assert settled.bills.list_bills(USER, Criteria()).lifetime == Lifetime(
            now + timedelta(minutes=5), now + timedelta(hours=1)
        )


class TestOutdated:
    def page_of(self, world: World, **changes: object) -> BillPage:
        world.clock.advance(timedelta(seconds=21_600))
        link = world.store.rows[USER, LINK]
        world.store.rows[USER, LINK] = replace(link, **changes)  # type: ignore[arg-type]  # fields of Link
        return world.bills.list_bills(USER, Criteria())

    def test_a_link_past_its_soft_age(self, settled: World) -> None:
        assert settled.bills.list_bills(USER, Criteria()).outdated == ()
        page = self.page_of(settled)
        assert page.outdated == (LINK,)
        assert page.sources[0].outcome is Freshness.STALE

    @pytest.mark.parametrize(
        "changes",
        [
            {"outcome": Outcome.FAILED},
            {"outcome": Outcome.NEVER},
            {"state": "MFA_REQUIRED"},
            {"state": "ACTION_REQUIRED"},
            {"provider_id": FILES},
        ],
    )
    def test_not_one_that_fails_waits_for_its_user_or_has_nobody_to_ask(
        self, settled: World, changes: dict[str, object]
    ) -> None:
        assert self.page_of(settled, **changes).outdated == ()


class TestLive:
    def test_reads_first_and_says_fresh(self, world: World) -> None:
        world.answers = [[fetched()]]

        page = world.bills.list_bills(USER, Criteria(), refresh=True)

        assert len(page.items) == 1
        assert [row.outcome for row in page.sources] == [Freshness.FRESH]

    def test_a_failing_link_costs_its_own_row(self, settled: World) -> None:
        settled.services.accounts[OTHER_LINK] = GAS
        settled.services.providers[GAS] = replace(PROVIDER, provider_id=GAS)

        def gas_refuses(access: Access) -> Sequence[FetchedBill]:
            if access.provider.provider_id == GAS:
                raise BadCredentials
            return [fetched("B-4")]

        settled.answers = [gas_refuses]

        page = settled.bills.list_bills(USER, Criteria(), refresh=True)

        assert [(row.link_id, row.outcome) for row in page.sources] == [
            (LINK, Freshness.FRESH),
            (OTHER_LINK, Freshness.ACTION_REQUIRED),
        ]
        assert page.sources[1].error == SourceError("invalid_credentials", False)
        assert len(page.items) == 5

    def test_every_link_has_a_row_even_without_a_record(self, world: World) -> None:
        world.services.broken["open"] = Unavailable("down")

        (row,) = world.bills.list_bills(USER, Criteria(), refresh=True).sources

        assert (row.provider_id, row.outcome, row.error) == (
            PROVIDER.provider_id,
            Freshness.FAILED,
            SourceError("unavailable", True),
        )

    def test_when_nobody_knows_the_links_the_own_records_do(self, settled: World) -> None:
        settled.services.broken["linked"] = Unavailable("down")
        settled.clock.advance(timedelta(hours=1))

        (row,) = settled.bills.list_bills(USER, Criteria(), refresh=True).sources

        assert (row.outcome, row.as_of) == (Freshness.FRESH, settled.clock.now())

    def test_only_the_links_asked_for_are_read(self, settled: World) -> None:
        settled.services.accounts[OTHER_LINK] = PROVIDER.provider_id
        settled.projection.project_link(USER, OTHER_LINK, PROVIDER.provider_id, "PENDING", "", 1)
        settled.accesses.clear()

        page = settled.bills.list_bills(USER, Criteria(link_id=LINK), refresh=True)

        assert len(settled.accesses) == 1
        assert [row.outcome for row in page.sources] == [Freshness.FRESH, Freshness.STALE]

    def test_without_time_nothing_is_waited_for(self, settled: World) -> None:
        settled.clock.advance(timedelta(hours=1))
        with invocation(None, 1.0):
            page = settled.bills.list_bills(USER, Criteria(), refresh=True)

        assert page.sources[0].error == SourceError("deadline_exceeded", True)
        assert page.sources[0].outcome is Freshness.FAILED
        assert len(page.items) == 5

    def test_when_the_utilities_cannot_be_asked_what_is_kept_is_shown(
        self, settled: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        settled.projection.project_link(USER, OTHER_LINK, GAS, "PENDING", "", 1)
        channel = LoopbackChannel(rpc.handler)
        channel.down = True
        live = LiveReadsClient(Stub(rpc.BILLS, channel))
        bills = replace(settled.bills, live=lambda: LiveReader(settled.store, live))

        page = bills.list_bills(USER, Criteria(provider_id=PROVIDER.provider_id), refresh=True)

        assert len(page.items) == 5
        assert [(row.outcome, row.error) for row in page.sources] == [
            (Freshness.FAILED, SourceError("unavailable", True)),
            (Freshness.STALE, SourceError("not_read_yet", True)),  # not asked for
        ]

    def test_a_live_read_is_given_what_time_is_left_but_what_answering_takes(self, settled: World) -> None:
        given: list[float] = []

        class Patience:
            def read_live(self, user_id: UserId, criteria: Criteria, seconds: float) -> Mapping[LinkId, LinkResult]:
                given.append(seconds)
                return {}

        bills = replace(settled.bills, live=Patience)
        bills.list_bills(USER, Criteria(), refresh=True)
        with invocation(None, 10.0):
            bills.list_bills(USER, Criteria(), refresh=True)

        assert given == [25.0, pytest.approx(8.0, abs=0.5)]


class TestProjectLink:
    def test_takes_events_in_any_order_once(self, world: World) -> None:
        tell = world.projection.project_link

        assert tell(USER, LINK, PROVIDER.provider_id, "ACTIVE", "", 3)
        assert not tell(USER, LINK, PROVIDER.provider_id, "PENDING", "", 1)
        assert not tell(USER, LINK, PROVIDER.provider_id, "ACTIVE", "", 3)

        link = world.store.link(USER, LINK)
        assert link is not None
        assert (link.state, link.link_version) == ("ACTIVE", 3)
        assert world.cache.bumps == [(USER, "bills")]

    def test_keeps_what_reading_the_link_found(self, settled: World) -> None:
        settled.projection.project_link(USER, LINK, PROVIDER.provider_id, "ACTIVE", "", 3)

        (row,) = settled.bills.list_bills(USER, Criteria()).sources
        assert row.outcome is Freshness.CACHED

    def test_an_unlinked_account_loses_its_bills_for_good(self, settled: World) -> None:
        assert settled.projection.project_link(USER, LINK, PROVIDER.provider_id, "REVOKED", "", 7)

        assert settled.store.kept == {}
        assert settled.bills.list_bills(USER, Criteria()).sources == ()
        assert not settled.projection.project_link(USER, LINK, PROVIDER.provider_id, "ACTIVE", "", 8)

    def test_unlinking_again_deletes_what_was_left(self, settled: World) -> None:
        left = dict(settled.store.kept)
        settled.projection.project_link(USER, LINK, PROVIDER.provider_id, "REVOKED", "", 7)
        settled.store.kept = left

        assert not settled.projection.project_link(USER, LINK, PROVIDER.provider_id, "REVOKED", "", 7)
        assert settled.store.kept == {}

    def test_reads_again_when_beaten_and_gives_up_in_the_end(self, world: World) -> None:
        world.store.moves = 2
        assert world.projection.project_link(USER, LINK, PROVIDER.provider_id, "ACTIVE", "", 1)
        world.store.moves = 99
        with pytest.raises(Unavailable):
            world.projection.project_link(USER, LINK, PROVIDER.provider_id, "ACTIVE", "", 2)
