"""Refreshing links: outcomes, partial failure, time limits, and what heals by itself."""

import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta

import pytest

from functions.bill_aggregation_service.adapters.base import (
    Access,
    BadCredentials,
    MfaRequired,
    ProviderDown,
    ProviderMalformed,
    ProviderThrottled,
)
from functions.bill_aggregation_service.listing import SourceError
from functions.bill_aggregation_service.model import (
    Criteria,
    FetchedBill,
    Freshness,
    Link,
    LinkChoice,
    LinkId,
    Outcome,
    ProviderId,
)
from functions.bill_aggregation_service.refresh import LinkResult, Refreshed
from functions.bill_aggregation_service.upsert import MfaChallenge
from functions.common.context import invocation
from functions.common.errors import NotFound, Unavailable
from tests.unit.bill_aggregation_service.fakes import LINK, OTHER_LINK, PROVIDER, USER, World, fetched

GAS = ProviderId("prv_greenline_gas")


@pytest.fixture
def world() -> World:
    return World()


def test_a_refresh_stores_announces_and_records(world: World) -> None:
    world.answers = [[fetched("1"), fetched("2")]]

    done = world.refresher.refresh_link(USER, LINK)

    assert done == Refreshed(Outcome.SUCCESS, created=2)
    assert world.publisher.types == ["bill.created.v1"] * 2
    assert not [bill for bill in world.store.kept.values() if bill.unsent]
    assert world.cache.bumps == [(USER, "bills")]
    ((link, attempt),) = world.services.outcomes
    assert (link.bill_count, attempt.began) == (2, world.clock.now())


def test_a_refresh_of_an_unchanged_link_writes_no_bill_and_the_link_once(world: World) -> None:
    world.answers = [[fetched("1"), fetched("2")]]
    world.refresher.refresh_link(USER, LINK)
    world.store.bill_writes = world.store.link_writes = 0
    world.clock.advance(timedelta(hours=1))

    done = world.refresher.refresh_link(USER, LINK)

    assert done == Refreshed(Outcome.SUCCESS, unchanged=2)
    assert (world.store.bill_writes, world.store.link_writes) == (0, 1)
    assert len(world.publisher.events) == 2


def test_years_of_bills_are_kept_at_once_and_announced_by_and_by(world: World) -> None:
    world.answers = [[fetched(f"B-{week}", due=date(2014, 1, 1) + timedelta(7 * week)) for week in range(600)]]

    done = world.refresher.refresh_link(USER, LINK)

    assert done.created == 600
    assert world.services.outcomes[0][0].bill_count == 600
    assert len(world.publisher.events) == 100
    while world.outbox.flush(500)[1]:
        pass
    assert len({bytes(event.data) for event in world.publisher.events}) == len(world.publisher.events) == 600


def test_an_adjusted_bill_keeps_its_version_before(world: World) -> None:
    world.answers = [[fetched(amount=1000)], [fetched(amount=900)]]
    world.refresher.refresh_link(USER, LINK)
    world.clock.advance(timedelta(hours=1))

    done = world.refresher.refresh_link(USER, LINK)

    assert (done.created, done.updated) == (0, 1)
    assert [bill.content.amount_minor for bill in world.store.versions] == [1000]
    assert world.publisher.types == ["bill.created.v1", "bill.updated.v1"]


@pytest.mark.parametrize(
    ("error", "outcome", "code", "retryable"),
    [
        (BadCredentials("401"), Outcome.ACTION_REQUIRED, "invalid_credentials", False),
        (ProviderDown("503"), Outcome.FAILED, "provider_unavailable", True),
    ],
)
def test_a_utility_that_fails_is_an_outcome(
    world: World, error: Exception, outcome: Outcome, code: str, retryable: bool
) -> None:
    world.answers = [error]

    assert world.refresher.refresh_link(USER, LINK) == Refreshed(outcome, code, retryable)

    link = world.store.link(USER, LINK)
    assert link is not None
    assert (link.outcome, link.error_code, link.as_of) == (outcome, code, None)
    assert world.services.outcomes[0][1].error_code == code
    assert world.cache.bumps


def test_a_provider_that_left_the_registry_is_an_outcome(world: World) -> None:
    world.services.broken["get"] = NotFound("no such provider")

    assert world.refresher.refresh_link(USER, LINK).error_code == "provider_misconfigured"


def test_without_time_the_utility_is_not_asked(world: World) -> None:
    world.answers = [[]]
    with invocation(None, 2.0):
        assert world.refresher.refresh_link(USER, LINK).error_code == "provider_timeout"
    assert world.accesses == []


def test_a_fetch_gets_what_time_is_left(world: World) -> None:
    world.answers = [[]]
    with invocation(None, 10.0):
        world.refresher.refresh_link(USER, LINK)
    world.refresher.refresh_link(USER, LINK)

    (access, bounded), (_, whole) = world.accesses
    assert 6.5 < bounded <= 7.0
    assert whole == 20.0
    assert "s3cret" not in repr(access)
    assert "NP-10024817" not in repr(access)


def test_a_link_that_nobody_has_is_not_found(world: World) -> None:
    with pytest.raises(NotFound):
        world.refresher.refresh_link(USER, OTHER_LINK)


def test_a_tombstone_keeps_everything_out(world: World) -> None:
    world.answers = [[fetched()]]
    world.store.rows[USER, LINK] = Link(user_id=USER, link_id=LINK, revision=4, gone=True)

    with pytest.raises(NotFound):
        world.refresher.refresh_link(USER, LINK)

    assert (world.store.bill_writes, world.store.link_writes, world.publisher.events) == (0, 0, [])


def test_an_account_unlinked_while_it_is_read_stays_gone(world: World) -> None:
    def unlinked_meanwhile(_: Access) -> Sequence[FetchedBill]:
        world.projection.project_link(USER, LINK, PROVIDER.provider_id, "REVOKED", "", 9)
        return [fetched()]

    world.answers = [unlinked_meanwhile]

    with pytest.raises(NotFound):
        world.refresher.refresh_link(USER, LINK)
    assert world.store.kept == {}


def test_who_is_beaten_reads_again_and_wins(world: World) -> None:
    world.answers = [[fetched()]]
    world.store.moves = 3

    assert world.refresher.refresh_link(USER, LINK).created == 1


def test_who_is_always_beaten_gives_up(world: World) -> None:
    world.answers = [[fetched()]]
    world.store.moves = 99

    with pytest.raises(Unavailable):
        world.refresher.refresh_link(USER, LINK)


def test_a_failed_publish_heals_by_flush(world: World) -> None:
    world.answers = [[fetched()]]
    world.publisher.down = True
    assert world.refresher.refresh_link(USER, LINK).created == 1
    assert world.publisher.events == []

    world.publisher.down = False
    assert world.outbox.flush(10) == (1, False)

    assert world.publisher.types == ["bill.created.v1"]
    assert world.outbox.flush(10) == (0, False)


def test_an_outcome_that_cannot_be_recorded_costs_nothing_else(world: World) -> None:
    world.answers = [[fetched()]]
    world.services.broken["record_outcome"] = Unavailable("down")

    assert world.refresher.refresh_link(USER, LINK).created == 1


def test_a_late_failure_does_not_hide_a_newer_success(world: World) -> None:
    world.answers = [[fetched()], ProviderDown()]
    world.refresher.refresh_link(USER, LINK)
    world.clock.advance(timedelta(minutes=-5))
    before = world.store.link(USER, LINK)

    world.refresher.refresh_link(USER, LINK)

    assert world.store.link(USER, LINK) == before


def all_at_once(world: World, seconds: float = 5.0) -> dict[LinkId, Refreshed]:
    return {one.link_id: one.refreshed for one in world.refresher.refresh_links(USER, LinkChoice(), seconds)}


class TestFirstAttempt:
    def test_is_told_before_it_begins_and_once(self, world: World) -> None:
        seen: list[int] = []

        def looking(_: Access) -> Sequence[FetchedBill]:
            seen.append(len(world.services.started))
            raise ProviderDown

        world.answers = [looking]
        began = world.clock.now()
        world.refresher.refresh_link(USER, LINK)
        world.clock.advance(timedelta(hours=1))
        world.refresher.refresh_link(USER, LINK)

        assert world.services.started == [(LINK, began)]
        assert seen == [1, 1]

    def test_of_a_link_that_events_have_told_of(self, world: World) -> None:
        world.answers = [[]]
        world.projection.project_link(USER, LINK, PROVIDER.provider_id, "PENDING", "", 1)

        world.refresher.refresh_link(USER, LINK)

        assert len(world.services.started) == 1

    def test_that_cannot_be_told_is_made_all_the_same(self, world: World) -> None:
        world.answers = [[fetched()]]
        world.services.broken["record_started"] = Unavailable("down")

        assert world.refresher.refresh_link(USER, LINK).created == 1


class TestCodes:
    def test_a_challenge_is_kept_for_the_user_to_answer(self, world: World) -> None:
        world.answers = [MfaRequired(["SMS ", "pigeon", "email"], "ref-1", expires_in=300)]

        done = world.refresher.refresh_link(USER, LINK)

        assert done == Refreshed(Outcome.ACTION_REQUIRED, "mfa_required")
        ((_, attempt),) = world.services.outcomes
        expires_at = world.clock.now() + timedelta(seconds=300)
        assert attempt.mfa == MfaChallenge(("email", "sms"), "ref-1", expires_at)
        assert "ref-1" not in repr(attempt)

    def test_one_without_an_end(self, world: World) -> None:
        world.answers = [MfaRequired(["app"], "ref-1", code_refused=True)]

        world.refresher.refresh_link(USER, LINK)

        assert world.services.outcomes[0][1].mfa == MfaChallenge(("app",), "ref-1", None, code_refused=True)

    def test_sources_say_that_the_user_must_act(self, world: World) -> None:
        world.answers = [MfaRequired(["app"], "ref-1", code_refused=True)]

        (row,) = world.bills.list_bills(USER, Criteria(), refresh=True).sources

        assert (row.outcome, row.error) == (Freshness.ACTION_REQUIRED, SourceError("mfa_required", False))

    def test_the_answer_goes_to_the_utility(self, world: World) -> None:
        world.answers = [[]]
        world.services.mfa = ("246810", "ref-1")

        world.refresher.refresh_link(USER, LINK)

        ((access, _),) = world.accesses
        assert (access.mfa_code, access.mfa_reference) == ("246810", "ref-1")
        assert "246810" not in repr(access)
        assert "ref-1" not in repr(access)

    @pytest.mark.parametrize("reference", ["", "a" * 513, "a\nb", "é"])
    def test_a_reference_that_cannot_be_kept_is_malformed(self, reference: str) -> None:
        with pytest.raises(ProviderMalformed):
            MfaRequired(["sms"], reference)


def test_a_wish_to_wait_is_passed_on(world: World) -> None:
    world.answers = [ProviderThrottled(retry_after=120)]

    done = world.refresher.refresh_link(USER, LINK)

    assert done == Refreshed(Outcome.FAILED, "provider_throttled", True)
    assert world.services.outcomes[0][1].retry_after == 120


def test_a_provider_out_of_service_is_not_called(world: World) -> None:
    world.services.providers[PROVIDER.provider_id] = replace(PROVIDER, deactivated=True)

    done = world.refresher.refresh_link(USER, LINK)

    assert done == Refreshed(Outcome.FAILED, "provider_deactivated")
    assert (world.accesses, world.services.started) == ([], [])
    assert world.services.outcomes[0][1].error_code == "provider_deactivated"


def test_a_link_that_files_feed_is_left_alone(world: World) -> None:
    world.services.providers[PROVIDER.provider_id] = replace(PROVIDER, adapter="manual")

    assert world.refresher.refresh_link(USER, LINK) == Refreshed(Outcome.SUCCESS)
    assert (world.accesses, world.services.outcomes, world.store.link_writes) == ([], [], 0)


class TestAllAtOnce:
    def test_a_code_is_left_to_the_refresh_that_was_asked_for_with_it(self, world: World) -> None:
        """It is good for one try: two at once, and the utility would refuse the later one."""
        world.services.mfa = ("246810", "ref-1")

        assert all_at_once(world) == {LINK: Refreshed(Outcome.FAILED, "link_connecting", retryable=True)}
        assert (world.accesses, world.services.outcomes) == ([], [])

    def test_each_link_has_its_own_outcome(self, world: World) -> None:
        world.services.accounts[OTHER_LINK] = PROVIDER.provider_id

        def by_link(access: Access) -> Sequence[FetchedBill]:
            with lock:
                calls.append(access)
                if len(calls) == 1:
                    raise ProviderDown
            return [fetched()]

        lock, calls = threading.Lock(), list[Access]()
        world.answers = [by_link]

        done = all_at_once(world)

        assert sorted(one.outcome for one in done.values()) == [Outcome.FAILED, Outcome.SUCCESS]

    def test_a_slow_link_does_not_hold_the_others_up(self, world: World) -> None:
        world.services.accounts[OTHER_LINK] = PROVIDER.provider_id
        release, taken = threading.Event(), threading.Lock()

        def one_hangs(_: Access) -> Sequence[FetchedBill]:
            if taken.acquire(blocking=False):
                release.wait(10)
            return [fetched()]

        world.answers = [one_hangs]
        begun = time.monotonic()
        try:
            done = all_at_once(world, 0.3)
        finally:
            took = time.monotonic() - begun
            release.set()

        assert took < 2
        assert sorted((one.outcome, one.error_code) for one in done.values()) == [
            (Outcome.FAILED, "deadline_exceeded"),
            (Outcome.SUCCESS, ""),
        ]

    def test_without_credentials_every_link_says_so(self, world: World) -> None:
        world.services.broken["open"] = Unavailable("down")

        done = all_at_once(world)

        assert done == {LINK: Refreshed(Outcome.FAILED, "unavailable", retryable=True)}

    def test_without_their_records_every_link_says_so(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        def down(*_: object) -> Sequence[Link]:
            raise Unavailable("The table did not answer.")

        monkeypatch.setattr(world.store, "links", down)

        (result,) = world.refresher.refresh_links(USER, LinkChoice(), 20.0)

        assert (result.refreshed.outcome, result.refreshed.error_code) == (Outcome.FAILED, "unavailable")
        assert world.accesses == [], "no utility is asked for what could not be written"

    def test_their_records_are_read_all_at_once_and_not_again(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        world.services.accounts = {LINK: PROVIDER.provider_id, OTHER_LINK: PROVIDER.provider_id}
        world.answers = [lambda _: [fetched("1")]]
        world.refresher.refresh_links(USER, LinkChoice(), 20.0)
        monkeypatch.setattr(world.store, "link", lambda *_: pytest.fail("one was read by itself"))

        results = world.refresher.refresh_links(USER, LinkChoice(), 20.0)

        assert [result.refreshed for result in results] == [Refreshed(Outcome.SUCCESS, unchanged=1)] * 2

    def test_a_link_that_vanished_says_so(self, world: World) -> None:
        world.answers = [[]]
        world.services.vanished = {LINK}

        assert all_at_once(world)[LINK].error_code == "link_not_found"

    def test_a_link_that_cannot_be_written_says_so(self, world: World) -> None:
        world.answers = [[fetched()]]
        world.store.moves = 99
        assert all_at_once(world)[LINK] == Refreshed(Outcome.FAILED, "link_busy", True)

    def test_a_broken_adapter_costs_its_own_link(self, world: World) -> None:
        world.answers = [ZeroDivisionError("a mistake of ours")]
        assert all_at_once(world)[LINK] == Refreshed(Outcome.FAILED, "internal")

    def test_nothing_linked_asks_nobody(self, world: World) -> None:
        world.services.broken["open"] = Unavailable("down")
        world.services.accounts.clear()

        assert all_at_once(world) == {}

    def test_those_that_are_asked_for_and_belong_to_the_user(self, world: World) -> None:
        world.answers = [[]]
        world.services.accounts[OTHER_LINK] = GAS
        world.services.providers[GAS] = replace(PROVIDER, provider_id=GAS)

        def read(*link_ids: LinkId, provider_id: ProviderId | None = None) -> list[tuple[LinkId, ProviderId]]:
            choice = LinkChoice(frozenset(link_ids), provider_id=provider_id)
            done = world.refresher.refresh_links(USER, choice, 5.0)
            return [(one.link_id, one.provider_id) for one in done]

        assert read() == [(LINK, PROVIDER.provider_id), (OTHER_LINK, GAS)]
        assert read(LINK) == read(provider_id=PROVIDER.provider_id) == [(LINK, PROVIDER.provider_id)]
        assert read(OTHER_LINK, provider_id=GAS) == [(OTHER_LINK, GAS)]
        assert read(LINK, provider_id=GAS) == read(LinkId("lnk_of_somebody_else")) == []

    def test_all_but_those_that_others_read(self, world: World) -> None:
        world.answers = [[]]
        world.services.accounts[OTHER_LINK] = PROVIDER.provider_id

        (done,) = world.refresher.refresh_links(USER, LinkChoice(excluded=frozenset([OTHER_LINK])), 5.0)

        assert done.link_id == LINK

    def test_those_that_are_named_and_open_need_nobody_else_to_know_them(self, world: World) -> None:
        world.answers = [[fetched()]]
        world.services.broken["linked"] = Unavailable("down")

        (done,) = world.refresher.refresh_links(USER, LinkChoice(frozenset([LINK])), 5.0)

        assert done == LinkResult(LINK, PROVIDER.provider_id, Refreshed(Outcome.SUCCESS, created=1))

    def test_of_those_named_one_that_does_not_open_costs_its_own_row(self, world: World) -> None:
        """Whether it was unlinked, the account service knows."""
        world.answers = [[fetched()]]
        world.services.accounts[OTHER_LINK] = PROVIDER.provider_id
        world.services.vanished = {OTHER_LINK}
        unlinked = LinkId("lnk_01JD3N8Z6W3V9K4T7Q2M5XBRPE")

        done = world.refresher.refresh_links(USER, LinkChoice(frozenset([LINK, OTHER_LINK, unlinked])), 5.0)

        assert {one.link_id: one.refreshed.error_code for one in done} == {LINK: "", OTHER_LINK: "link_not_found"}

    def test_of_those_named_each_says_that_none_opens(self, world: World) -> None:
        world.services.broken["open"] = Unavailable("down")

        (done,) = world.refresher.refresh_links(USER, LinkChoice(frozenset([LINK])), 5.0)

        assert done.refreshed == Refreshed(Outcome.FAILED, "unavailable", retryable=True)

    def test_while_nobody_knows_the_links_the_own_records_do(self, world: World) -> None:
        world.answers = [[]]
        world.refresher.refresh_link(USER, LINK)
        world.services.broken["linked"] = Unavailable("down")

        assert all_at_once(world)[LINK].outcome is Outcome.SUCCESS
