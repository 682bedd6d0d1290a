import msgspec
import pytest

from functions.common.context import invocation
from functions.common.errors import DeadlineExceeded, NotFound, Unavailable
from functions.common.worker import UnknownEventError
from functions.contracts.events.accounts import AccountLinkedV1, AccountStateChangedV1, AccountUnlinkedV1
from functions.contracts.events.bills import BillsRefreshRequestedV1
from functions.contracts.events.envelope import CloudEvent, EventData, unwrap, wrap
from functions.contracts.events.users import UserDeletedV1
from functions.contracts.rpc.bills_pb2 import RefreshLinkReply
from functions.listener_service.sweeping import LEASE_SECONDS, SweepReport
from tests.support.fakes import FakeClock
from tests.unit.listener_service.fakes import World, gone


def event(data: EventData) -> CloudEvent:
    return wrap(data, FakeClock().now())


def refresh_requested(job_id: str = "job_1", link_id: str = "lnk_1") -> CloudEvent:
    return event(BillsRefreshRequestedV1(user_id="usr_1", link_id=link_id, job_id=job_id, reason="user"))


LINKED = event(AccountLinkedV1(user_id="usr_1", link_id="lnk_1", provider_id="prv_1", state="CONNECTING", version=1))
CHANGED = event(
    AccountStateChangedV1(
        user_id="usr_1",
        link_id="lnk_1",
        provider_id="prv_1",
        state="ACTION_REQUIRED",
        status_detail="locked",
        version=4,
        previous_state="ACTIVE",
    )
)
UNLINKED = event(AccountUnlinkedV1(user_id="usr_1", link_id="lnk_1", provider_id="prv_1", state="REVOKED", version=5))


def test_refresh_reads_the_link_and_tells_the_job(world: World) -> None:
    world.refreshing.refresh(refresh_requested())

    assert world.bills.refreshed == ["lnk_1"]
    (result,) = world.broker.results
    assert (result.user_id, result.job_id, result.link_id) == ("usr_1", "job_1", "lnk_1")
    assert (result.outcome, result.error_code, result.created, result.unchanged) == ("fresh", "", 2, 1)


@pytest.mark.parametrize("asked", [LINKED, refresh_requested(job_id="")])
def test_refresh_without_a_job(world: World, asked: CloudEvent) -> None:
    world.refreshing.refresh(asked)

    assert world.bills.refreshed == ["lnk_1"]
    assert not world.broker.results


def test_a_utility_that_fails_is_an_outcome(world: World) -> None:
    world.bills.replies["lnk_1"] = RefreshLinkReply(outcome="failed", error_code="provider_unavailable", retryable=True)

    world.refreshing.refresh(refresh_requested())

    assert [(r.outcome, r.error_code) for r in world.broker.results] == [("failed", "provider_unavailable")]


def test_a_link_that_is_gone_is_an_outcome(world: World) -> None:
    world.bills.errors["lnk_1"] = gone()

    world.refreshing.refresh(refresh_requested())
    world.refreshing.refresh(LINKED)

    assert [(r.outcome, r.error_code) for r in world.broker.results] == [("failed", "link_not_found")]


def test_a_job_that_is_gone_is_no_failure(world: World) -> None:
    world.broker.error = NotFound("There is no such job.")

    world.refreshing.refresh(refresh_requested())

    assert world.bills.refreshed == ["lnk_1"]


@pytest.mark.parametrize("error", [Unavailable("down"), DeadlineExceeded("slow")])
def test_a_service_that_is_down_must_be_tried_again(world: World, error: Unavailable | DeadlineExceeded) -> None:
    world.bills.errors["lnk_1"] = error
    with pytest.raises(type(error)):
        world.refreshing.refresh(refresh_requested())
    assert not world.broker.results

    world.bills.errors.clear()
    world.broker.error = error
    with pytest.raises(type(error)):
        world.refreshing.refresh(refresh_requested())


@pytest.mark.parametrize("unfit", [CHANGED, UNLINKED])
def test_refresh_takes_no_other_event(world: World, unfit: CloudEvent) -> None:
    with pytest.raises(UnknownEventError):
        world.refreshing.refresh(unfit)


def test_project_takes_no_other_event(world: World) -> None:
    with pytest.raises(UnknownEventError):
        world.projecting.project(refresh_requested())


def test_wrong_data_is_refused(world: World) -> None:
    wrong = msgspec.structs.replace(LINKED, data=msgspec.Raw(b'{"user_id": 7}'))

    for handle in (world.refreshing.refresh, world.projecting.project):
        with pytest.raises(msgspec.ValidationError):
            handle(wrong)


@pytest.mark.parametrize(
    ("told", "state", "detail", "version"),
    [(LINKED, "CONNECTING", "", 1), (CHANGED, "ACTION_REQUIRED", "locked", 4), (UNLINKED, "REVOKED", "", 5)],
)
def test_project_tells_the_aggregator(world: World, told: CloudEvent, state: str, detail: str, version: int) -> None:
    world.projecting.project(told)

    (request,) = world.bills.projected
    assert (request.user_id, request.link_id, request.provider_id) == ("usr_1", "lnk_1", "prv_1")
    assert (request.state, request.status_detail, request.version) == (state, detail, version)


DELETED = event(UserDeletedV1(user_id="usr_1"))


def test_notify_hands_the_whole_event_over(world: World) -> None:
    world.notifying.notify(LINKED)

    assert world.webhooks.notified == [LINKED.to_json().encode()]


def test_notify_is_tried_again_when_the_webhooks_cannot_be_told(world: World) -> None:
    world.webhooks.error = Unavailable("down")

    with pytest.raises(Unavailable):
        world.notifying.notify(LINKED)


def test_the_sweep_has_what_is_due_sent_until_there_is_no_more(world: World) -> None:
    world.webhooks.due = [100, 100, 7]

    assert world.sweeping.sweep() == SweepReport(webhooks_tried=207)


def test_purge_asks_every_service_and_the_user_service_last(world: World) -> None:
    world.purging.purge(DELETED)

    assert world.purges == [
        ("accounts", "usr_1"),
        ("bills", "usr_1"),
        ("broker", "usr_1"),
        ("webhooks", "usr_1"),
        ("users", "usr_1"),
    ]


def test_purge_asks_until_there_is_no_more(world: World) -> None:
    world.bills.items = 250

    world.purging.purge(DELETED)

    assert world.bills.items == 0
    assert [name for name, _ in world.purges] == ["accounts", "bills", "bills", "bills", "broker", "webhooks", "users"]


def test_a_service_that_is_down_stops_the_end_but_not_the_others(world: World) -> None:
    world.accounts.purge_error = Unavailable("down")
    world.bills.purge_error = DeadlineExceeded("slow")

    with pytest.raises(Unavailable):
        world.purging.purge(DELETED)
    assert world.purges == [("broker", "usr_1"), ("webhooks", "usr_1")]

    world.accounts.purge_error = world.bills.purge_error = None
    world.purging.purge(DELETED)
    assert [name for name, _ in world.purges[2:]] == ["accounts", "bills", "broker", "webhooks", "users"]


def test_a_user_service_that_is_down_has_the_purge_run_again(world: World) -> None:
    world.users.purge_error = Unavailable("down")

    with pytest.raises(Unavailable):
        world.purging.purge(DELETED)


def test_a_purge_that_takes_too_long_is_tried_again(world: World) -> None:
    world.bills.items = 10**9

    with invocation(None, 0.3), pytest.raises(DeadlineExceeded):
        world.purging.purge(DELETED)
    assert ("users", "usr_1") not in world.purges


def test_purge_takes_no_other_event(world: World) -> None:
    with pytest.raises(UnknownEventError):
        world.purging.purge(UNLINKED)


def test_sweep_asks_for_every_due_link(world: World) -> None:
    world.accounts.due = [["lnk_1", "lnk_2"], ["lnk_3"]]

    report = world.sweeping.sweep()

    asked = [unwrap(sent, BillsRefreshRequestedV1) for sent in world.publisher.events]
    assert [(data.link_id, data.reason, data.job_id) for data in asked] == [
        ("lnk_1", "sweep", ""), ("lnk_2", "sweep", ""), ("lnk_3", "sweep", ""),
    ]  # fmt: skip
    assert report == SweepReport(due=3, requested=3)
    assert {request.lease_seconds for request in world.accounts.asked} == {LEASE_SECONDS}


def test_sweep_sends_what_was_left_behind(world: World) -> None:
    world.accounts.unsent = [100, 7]
    world.bills.unsent = [100, 100, 0]
    world.users.unsent = [2]
    world.providers.unsent = [100, 1]

    report = world.sweeping.sweep()

    assert report == SweepReport(account_items=107, bill_items=200, user_items=2, provider_items=101)


def test_sweep_tells_of_due_dates_until_all_are_looked_at(world: World) -> None:
    world.reminders.due = [200, 0, 3]

    assert world.sweeping.sweep() == SweepReport(reminders=203)


def test_sweep_counts_links_whose_event_was_refused(world: World) -> None:
    world.accounts.due = [["lnk_1", "lnk_2"]]
    world.publisher.refuse = {BillsRefreshRequestedV1.TYPE}

    assert world.sweeping.sweep() == SweepReport(due=2, requested=0)


def test_a_part_that_fails_does_not_stop_the_others(world: World) -> None:
    world.accounts.error = Unavailable("down")
    world.accounts.unsent = [3]
    world.bills.unsent = [4]

    assert world.sweeping.sweep() == SweepReport(account_items=3, bill_items=4, failed_parts=("due_links",))


def test_a_broker_that_is_down_ends_the_first_part(world: World) -> None:
    world.accounts.due = [["lnk_1"], ["lnk_2"]]
    world.publisher.down = True

    report = world.sweeping.sweep()

    assert (report.due, report.requested, report.failed_parts) == (1, 0, ("due_links",))


def test_sweep_ends_when_its_time_is_over(world: World) -> None:
    world.accounts.due = [["lnk_1"], ["lnk_2"]]

    with invocation(None, 0):
        assert world.sweeping.sweep() == SweepReport()


def test_a_part_that_takes_long_leaves_time_for_the_others(world: World) -> None:
    world.accounts.due = [[f"lnk_{number}"] for number in range(100_000)]
    world.accounts.unsent = [1]
    world.bills.unsent = [1]

    with invocation(None, 0.3):
        report = world.sweeping.sweep()

    assert 0 < report.due < 100_000
    assert (report.account_items, report.bill_items) == (1, 1)
