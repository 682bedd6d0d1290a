"""Live reads: which links go together in a call, and what becomes of them when one of the calls fails."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

import pytest

from functions.bill_aggregation_service.adapters.base import Access
from functions.bill_aggregation_service.clients import LiveReadsClient
from functions.bill_aggregation_service.listing import FILES, SourceError
from functions.bill_aggregation_service.live import LINKS_PER_CALL, LiveReader, groups_of
from functions.bill_aggregation_service.model import (
    Criteria,
    FetchedBill,
    Freshness,
    LinkChoice,
    LinkId,
    Outcome,
    ProviderId,
    UserId,
)
from functions.bill_aggregation_service.refresh import LinkResult, Refreshed
from functions.common.context import correlation_id, invocation
from functions.common.errors import AppError, DeadlineExceeded, Unavailable
from functions.common.rpc.client import Stub
from functions.common.rpc.envelope import Call, Reply
from functions.contracts.rpc import bills_pb2
from tests.unit.bill_aggregation_service.fakes import LINK, OTHER_LINK, PROVIDER, USER, World, fetched

FRESH = Refreshed(Outcome.SUCCESS)
HERE = PROVIDER.provider_id


def link(number: int) -> LinkId:
    return LinkId(f"lnk_{number:026}")


def links(count: int) -> dict[LinkId, ProviderId]:
    return {link(number): HERE for number in range(count)}


@dataclass
class Household:
    """What the own table knows of, and what there really is; a call that would read `poison` fails."""

    known: dict[LinkId, ProviderId]
    real: dict[LinkId, ProviderId] = field(default_factory=dict)
    poison: dict[LinkId, AppError] = field(default_factory=dict)
    asked: list[LinkChoice] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    correlation_ids: set[str] = field(default_factory=set)
    together: threading.Barrier = field(default_factory=lambda: threading.Barrier(1))
    """How many calls must be under way before one of them ends."""

    def linked(self, user_id: UserId) -> Mapping[LinkId, ProviderId]:
        return self.known

    def refresh_links(self, user_id: UserId, choice: LinkChoice, seconds: float) -> Sequence[LinkResult]:
        self.asked.append(choice)
        self.seconds.append(seconds)
        self.correlation_ids.add(correlation_id())
        self.together.wait(10)
        found = [each for each, provider in (self.real or self.known).items() if choice.admits(each, provider)]
        for each in found:
            if each in self.poison:
                raise self.poison[each]
        return [LinkResult(each, HERE, FRESH) for each in found]

    def read(self, seconds: float = 20.0, **criteria: object) -> Mapping[LinkId, LinkResult]:
        asked = Criteria(**criteria)  # type: ignore[arg-type]  # fields of Criteria
        return LiveReader(self, self).read_live(USER, asked, seconds)


class TestGroups:
    @pytest.mark.parametrize("count", [0, 1, LINKS_PER_CALL])
    def test_few_links_are_one_call_for_all_there_are(self, count: int) -> None:
        (group,) = groups_of(links(count), Criteria())

        assert group.choice == LinkChoice()
        assert group.known == list(links(count))

    @pytest.mark.parametrize("count", [LINKS_PER_CALL + 1, 25, 50, 199, 200])
    def test_many_are_spread_evenly_and_each_is_in_one_call(self, count: int) -> None:
        groups = groups_of(links(count), Criteria())

        read = [[each for each in links(count) if group.choice.admits(each, HERE)] for group in groups]
        assert read == [list(group.known) for group in groups]
        assert sorted(chain.from_iterable(read)) == list(links(count))
        sizes = {len(part) for part in read}
        assert max(sizes) <= LINKS_PER_CALL
        assert max(sizes) - min(sizes) <= 1

    def test_one_that_is_not_known_yet_is_in_the_last(self) -> None:
        groups = groups_of(links(25), Criteria())

        assert [group.choice.admits(link(99), HERE) for group in groups] == [False, False, True]

    def test_all_of_one_provider(self) -> None:
        groups = groups_of(links(25), Criteria(provider_id=HERE))

        assert {group.choice.provider_id for group in groups} == {HERE}

    @pytest.mark.parametrize("known", [[], [LINK]])
    def test_one_link_is_asked_for_by_name(self, known: list[LinkId]) -> None:
        (group,) = groups_of(known, Criteria(link_id=LINK, provider_id=HERE))

        assert (group.choice, group.known) == (LinkChoice(frozenset([LINK]), provider_id=HERE), known)


class TestReading:
    def test_all_calls_are_made_at_once_for_the_same_request_in_the_same_time(self) -> None:
        household = Household(links(50), together=threading.Barrier(5))

        with invocation("cor-of-the-request", 29.0):
            done = household.read(20.0)

        assert {link_id: result.refreshed for link_id, result in done.items()} == dict.fromkeys(links(50), FRESH)
        assert household.correlation_ids == {"cor-of-the-request"}
        assert [round(seconds) for seconds in household.seconds] == [20] * 5
        assert max(household.seconds) <= 20.0

    def test_what_was_linked_a_moment_ago_is_read_as_well(self) -> None:
        household = Household(links(25), real=links(27))

        assert set(household.read()) == set(links(27))

    def test_what_was_unlinked_a_moment_ago_has_no_result(self) -> None:
        household = Household(links(25), real=links(24))

        assert set(household.read()) == set(links(24))

    @pytest.mark.parametrize("number", [0, 24], ids=["a group by name", "the rest"])
    def test_a_call_that_fails_costs_its_own_links(self, number: int, caplog: pytest.LogCaptureFixture) -> None:
        household = Household(links(25), poison={link(number): Unavailable("throttled")})

        done = household.read()

        assert set(done) == set(links(25))
        failed = {link_id for link_id, result in done.items() if result.refreshed != FRESH}
        assert link(number) in failed
        assert len(failed) in (8, 9)
        assert {done[each].refreshed for each in failed} == {Refreshed(Outcome.FAILED, "unavailable", retryable=True)}
        assert {done[each].provider_id for each in failed} == {HERE}
        assert [record.getMessage() for record in caplog.records] == ["live_read_failed"]

    def test_a_call_that_is_late_costs_its_own_links(self) -> None:
        household = Household(links(11), poison={link(0): DeadlineExceeded("No answer in time.")})

        done = household.read()

        assert [done[link(number)].refreshed.error_code for number in range(11)] == ["deadline_exceeded"] * 5 + [""] * 6

    def test_files_are_nobody_to_ask(self) -> None:
        household = Household(links(10) | {OTHER_LINK: FILES}, poison={link(3): Unavailable("down")})

        done = household.read()

        assert OTHER_LINK not in done
        assert len(household.asked) == 1

    def test_only_what_was_asked_for(self) -> None:
        gas = ProviderId("prv_greenline_gas")
        household = Household(links(12) | {OTHER_LINK: gas}, poison={OTHER_LINK: Unavailable("down")})

        assert set(household.read(provider_id=HERE)) == set(links(12))
        assert set(household.read(link_id=link(3))) == {link(3)}
        assert set(household.read(provider_id=gas)) == {OTHER_LINK}


class TestThroughTheService:
    def test_every_link_has_one_row_while_one_of_the_calls_cannot_be_made(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        world = World()
        world.services.accounts = {**links(30), link(99): HERE}
        world.answers = [lambda _: [fetched()]]
        world.refresher.refresh_links(USER, LinkChoice(frozenset(links(30))), 20.0)
        live = LiveReadsClient(Stub(world.rpc._service, Throttled(world)))
        bills = replace(world.bills, live=lambda: LiveReader(world.store, live))

        page = bills.list_bills(USER, Criteria(limit=200), refresh=True)

        rows = {row.link_id: row for row in page.sources}
        assert sorted(rows) == [link(number) for number in [*range(30), 99]]
        assert [rows[link(n)].outcome for n in range(10)] == [Freshness.FAILED] * 10
        assert {rows[link(n)].error for n in range(10)} == {SourceError("unavailable", True)}
        assert {row.outcome for link_id, row in rows.items() if link_id >= link(10)} == {Freshness.FRESH}
        assert len(page.items) == 31, "what is kept of the others is listed all the same"

    def test_a_group_whose_utility_hangs_answers_with_the_others_in_time(self) -> None:
        world = World()
        world.services.accounts = links(20)
        release = threading.Event()
        for each in links(20):
            world.projection.project_link(USER, each, HERE, "ACTIVE", "", 1)
        first = threading.Lock()

        def one_hangs(_: Access) -> Sequence[FetchedBill]:
            if first.acquire(blocking=False):
                release.wait(20)
            return [fetched()]

        world.answers = [one_hangs]
        try:
            with invocation(None, 6.0):
                page = world.bills.list_bills(USER, Criteria(), refresh=True)
        finally:
            release.set()

        assert sorted(row.outcome for row in page.sources) == [Freshness.FAILED] + [Freshness.FRESH] * 19
        assert {row.error for row in page.sources} == {None, SourceError("deadline_exceeded", True)}


class Throttled:
    """Refuses the call that names the household's first link."""

    def __init__(self, world: World) -> None:
        self._channel = world.rpc._channel

    def invoke(self, call: Call) -> Reply:
        if link(0) in bills_pb2.RefreshLinksRequest.FromString(call.message).link_ids:
            raise Unavailable("Too many calls.")
        return self._channel.invoke(call)

    def post(self, call: Call) -> None:
        raise NotImplementedError
