from collections.abc import Sequence
from datetime import timedelta

import msgspec
import pytest

from functions.broker_service.emitter import Emitter
from functions.broker_service.model import Job, JobId, JobState, LinkId, LinkResult, Outcome
from functions.broker_service.service import ANNOUNCED_WITHIN
from functions.common.errors import Conflict, NotFound, Unavailable
from functions.common.ids import new_id
from functions.contracts.events.bills import BillsRefreshRequestedV1
from functions.contracts.events.envelope import CloudEvent, unwrap, wrap
from tests.support.fakes import FakeClock, FakePublisher
from tests.unit.broker_service.fakes import ANNA, BERT, GAS, JOB_SECONDS, KEPT_SECONDS, POWER, WATER, World


def record(world: World, job: Job, link_id: LinkId, outcome: Outcome = Outcome.FRESH) -> Job:
    result = LinkResult(link_id=link_id, outcome=outcome, at=world.clock.now())
    return world.jobs.record_job_result(job.user_id, job.job_id, result)


def test_request_refresh_asks_for_every_link(world: World) -> None:
    world.link(ANNA, POWER, GAS)
    world.link(ANNA, WATER, state="REVOKED")

    job = world.refreshes.request_refresh(ANNA, None)

    asked = [unwrap(event, BillsRefreshRequestedV1) for event in world.publisher.events]
    assert {(data.user_id, data.link_id, data.job_id, data.reason) for data in asked} == {
        (ANNA, POWER, job.job_id, "user"),
        (ANNA, GAS, job.job_id, "user"),
    }
    assert (job.state, job.total, job.done) == (JobState.QUEUED, 2, 0)


def test_request_refresh_of_some_links_asks_for_each_once(world: World) -> None:
    world.link(ANNA, POWER, GAS)

    job = world.refreshes.request_refresh(ANNA, [GAS, GAS])

    assert job.link_ids == (GAS,)
    assert len(world.publisher.events) == 1


@pytest.mark.parametrize("link_id", [WATER, "lnk_unknown", "", "../etc"])
def test_request_refresh_of_a_link_that_is_not_the_users_own(world: World, link_id: str) -> None:
    world.link(ANNA, POWER)
    world.link(BERT, WATER)

    with pytest.raises(NotFound):
        world.refreshes.request_refresh(ANNA, [POWER, link_id])
    assert not world.table.jobs


def test_request_refresh_of_a_revoked_link(world: World) -> None:
    world.link(ANNA, POWER, state="REVOKED")

    with pytest.raises(NotFound):
        world.refreshes.request_refresh(ANNA, [POWER])


def test_request_refresh_without_any_link(world: World) -> None:
    with pytest.raises(Conflict) as raised:
        world.refreshes.request_refresh(ANNA, None)
    assert raised.value.code == "no_links"


def test_nobody_is_asked_for_what_files_feed(world: World) -> None:
    world.link(ANNA, POWER, GAS)
    world.accounts.manual.add(GAS)

    assert world.refreshes.request_refresh(ANNA, None).link_ids == (POWER,)

    with pytest.raises(Conflict) as raised:
        world.refreshes.request_refresh(ANNA, [POWER, GAS])
    assert raised.value.code == "link_is_manual"


def test_who_has_files_alone_has_nothing_to_refresh(world: World) -> None:
    world.link(ANNA, GAS)
    world.accounts.manual.add(GAS)

    with pytest.raises(Conflict) as raised:
        world.refreshes.request_refresh(ANNA, None)
    assert raised.value.code == "no_links"


def test_a_refresh_that_runs_already_is_joined(world: World) -> None:
    world.link(ANNA, POWER, GAS)
    first = world.refreshes.request_refresh(ANNA, None)
    record(world, first, GAS)

    second = world.refreshes.request_refresh(ANNA, [POWER, GAS])

    assert (second.job_id, second.done) == (first.job_id, 1)
    assert len(world.publisher.events) == 2


def test_another_set_of_links_is_another_job(world: World) -> None:
    world.link(ANNA, POWER, GAS)

    assert world.refreshes.request_refresh(ANNA, None) != world.refreshes.request_refresh(ANNA, [POWER])


def test_a_finished_refresh_is_not_joined(world: World) -> None:
    world.link(ANNA, POWER)
    first = world.refreshes.request_refresh(ANNA, None)
    record(world, first, POWER)

    assert world.refreshes.request_refresh(ANNA, None).job_id != first.job_id


def test_a_job_that_died_holds_up_no_other(world: World) -> None:
    world.link(ANNA, POWER)
    dead = world.refreshes.request_refresh(ANNA, None)
    world.clock.advance(timedelta(seconds=JOB_SECONDS))

    assert world.refreshes.request_refresh(ANNA, None).job_id != dead.job_id
    assert world.jobs.get_job(ANNA, dead.job_id).state == JobState.FAILED


def test_a_lost_race_is_run_again(world: World) -> None:
    world.link(ANNA, POWER)
    world.table.losing_races = 1
    assert world.refreshes.request_refresh(ANNA, None).state == JobState.QUEUED

    world.table.running.clear()
    world.table.losing_races = 99
    with pytest.raises(Unavailable):
        world.refreshes.request_refresh(ANNA, None)


class Died(Exception):
    """The function ended here."""


def die_between_job_and_events(world: World) -> Job:
    class Dying(FakePublisher):
        def publish(self, events: Sequence[CloudEvent]) -> frozenset[str]:
            raise Died

    world.refreshes._publisher = Dying()
    with pytest.raises(Died):
        world.refreshes.request_refresh(ANNA, None)
    world.refreshes._publisher = world.publisher
    (job,) = world.table.jobs.values()
    return job


def asked_for(world: World) -> list[tuple[str, str | None]]:
    asked = [unwrap(event, BillsRefreshRequestedV1) for event in world.publisher.events]
    return [(data.link_id, data.job_id) for data in asked]


def test_whoever_joins_a_job_whose_events_never_left_sends_them(world: World) -> None:
    world.link(ANNA, POWER, GAS)
    dead = die_between_job_and_events(world)

    assert world.refreshes.request_refresh(ANNA, None) == dead  # it may still be at it
    assert asked_for(world) == []
    world.clock.advance(ANNOUNCED_WITHIN)
    for _ in range(2):
        assert world.refreshes.request_refresh(ANNA, None).job_id == dead.job_id

    assert asked_for(world) == [(GAS, dead.job_id), (POWER, dead.job_id)]


def test_links_that_have_answered_are_not_asked_again(world: World) -> None:
    world.link(ANNA, POWER, GAS)
    dead = die_between_job_and_events(world)
    record(world, dead, GAS)  # its event had left
    world.clock.advance(ANNOUNCED_WITHIN)

    assert world.refreshes.request_refresh(ANNA, None).done == 1

    assert asked_for(world) == [(POWER, dead.job_id)]


def test_a_job_that_cannot_be_announced_again_either_has_failed(world: World) -> None:
    world.link(ANNA, POWER, GAS)
    dead = die_between_job_and_events(world)
    record(world, dead, GAS)
    world.clock.advance(ANNOUNCED_WITHIN)
    world.publisher.down = True

    with pytest.raises(Unavailable):
        world.refreshes.request_refresh(ANNA, None)

    assert world.jobs.get_job(ANNA, dead.job_id).state == JobState.PARTIAL
    assert not world.table.running


def test_a_job_that_was_announced_is_joined_in_silence(world: World) -> None:
    world.link(ANNA, POWER)
    job = world.refreshes.request_refresh(ANNA, None)
    world.clock.advance(ANNOUNCED_WITHIN)

    assert world.refreshes.request_refresh(ANNA, None) == job
    assert len(world.publisher.events) == 1


def test_events_that_are_out_are_no_failure_for_want_of_the_mark(world: World) -> None:
    world.link(ANNA, POWER)
    world.table.takes_marks = False

    job = world.refreshes.request_refresh(ANNA, None)

    assert asked_for(world) == [(POWER, job.job_id)]
    world.table.takes_marks = True
    world.clock.advance(ANNOUNCED_WITHIN)
    assert world.refreshes.request_refresh(ANNA, None) == job
    assert asked_for(world) == [(POWER, job.job_id)] * 2


def test_links_whose_event_was_refused_have_failed(world: World) -> None:
    class Refusing(FakePublisher):
        def publish(self, events: Sequence[CloudEvent]) -> frozenset[str]:
            super().publish(events)
            return frozenset({events[0].id})

    world.link(ANNA, POWER, GAS)
    world.refreshes._publisher = Refusing()

    job = world.refreshes.request_refresh(ANNA, None)

    assert (job.state, job.done, job.failed) == (JobState.RUNNING, 1, 1)
    assert [(r.link_id, r.error_code) for r in job.results] == [(GAS, "publish_failed")]


def test_when_no_event_gets_out_the_job_has_failed(world: World) -> None:
    world.link(ANNA, POWER, GAS)
    world.publisher.down = True

    with pytest.raises(Unavailable):
        world.refreshes.request_refresh(ANNA, None)

    (job,) = world.table.jobs.values()
    assert job.state == JobState.FAILED
    assert not world.table.running


def test_get_job_only_for_its_owner_and_in_its_time(world: World) -> None:
    world.link(ANNA, POWER)
    job = world.refreshes.request_refresh(ANNA, None)

    assert world.jobs.get_job(ANNA, job.job_id) == job
    for user_id, job_id in ((BERT, job.job_id), (ANNA, JobId(new_id("job"))), (ANNA, JobId("job_1"))):
        with pytest.raises(NotFound):
            world.jobs.get_job(user_id, job_id)
    world.clock.advance(timedelta(seconds=KEPT_SECONDS))
    with pytest.raises(NotFound):
        world.jobs.get_job(ANNA, job.job_id)


def test_the_last_result_finishes_the_job(world: World) -> None:
    world.link(ANNA, POWER, GAS)
    job = world.refreshes.request_refresh(ANNA, None)

    assert record(world, job, POWER, Outcome.ACTION_REQUIRED).state == JobState.RUNNING
    assert record(world, job, GAS).state == JobState.PARTIAL
    assert not world.table.running


def test_a_repeated_result_changes_nothing(world: World) -> None:
    world.link(ANNA, POWER, GAS)
    job = world.refreshes.request_refresh(ANNA, None)
    first = record(world, job, POWER)

    assert record(world, job, POWER, Outcome.FAILED) == first


def test_a_result_for_an_unknown_job_or_link(world: World) -> None:
    world.link(ANNA, POWER, GAS)
    job = world.refreshes.request_refresh(ANNA, [POWER])

    with pytest.raises(NotFound):
        record(world, job, GAS)
    world.clock.advance(timedelta(seconds=KEPT_SECONDS))
    with pytest.raises(NotFound):
        record(world, job, POWER)


def test_an_event_that_is_none_is_told_and_holds_up_no_other(caplog: pytest.LogCaptureFixture) -> None:
    publisher = FakePublisher()
    good = wrap(BillsRefreshRequestedV1(user_id=ANNA, link_id=POWER, reason="sweep"), FakeClock().now())
    unknown = msgspec.structs.replace(good, id=new_id("evt"), type="bills.refresh_requested.v9")
    wrong = msgspec.structs.replace(good, id=new_id("evt"), data=msgspec.Raw(b'{"user_id": 7}'))

    assert Emitter(publisher).publish([unknown, good, wrong]) == {unknown.id, wrong.id}

    assert publisher.events == [good]
    said = [record.__dict__["fields"] for record in caplog.records if record.message == "event_refused"]
    assert [(each["event_id"], each["code"]) for each in said] == [(unknown.id, "unknown_type"), (wrong.id, "invalid")]
    assert "bills.refresh_requested.v9" in said[0]["reason"]


def test_without_any_good_event_the_topic_is_left_alone() -> None:
    publisher = FakePublisher()
    publisher.down = True
    good = wrap(BillsRefreshRequestedV1(user_id=ANNA, link_id=POWER, reason="sweep"), FakeClock().now())
    unknown = msgspec.structs.replace(good, id=new_id("evt"), type="bills.refresh_requested.v9")

    assert Emitter(publisher).publish([]) == frozenset()
    assert Emitter(publisher).publish([unknown]) == {unknown.id}
    with pytest.raises(Unavailable):
        Emitter(publisher).publish([good, unknown])
