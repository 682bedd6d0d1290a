"""The audit upon its table: kept once, read by its user, gone with them."""

import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from moto import mock_aws

from functions.common import cursor as cursors
from functions.common import personal
from functions.common.errors import InvalidInput, Unavailable
from functions.contracts.events.envelope import CloudEvent, wrap
from functions.contracts.events.security import Action, SecurityActionRecordedV1
from functions.contracts.events.users import UserDeletedV1
from functions.listener_service import activity as module
from functions.listener_service.activity import Activity, Auditing, PersonalActivity
from functions.listener_service.entries import entry_of
from functions.listener_service.model import PLATFORM, UserId
from functions.listener_service.table import AuditItem, DynamoAuditTable
from tests.support.fakes import FakeClock

ANNA, BERT = UserId("usr_anna"), UserId("usr_bert")
KEPT = timedelta(days=400)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def table(clock: FakeClock) -> Iterator[DynamoAuditTable]:
    with mock_aws():
        repository = DynamoAuditTable("audit", clock)
        AuditItem.create_table(wait=True)
        yield repository


@pytest.fixture
def auditing(table: DynamoAuditTable) -> Auditing:
    return Auditing(table, KEPT)


@pytest.fixture
def activity(table: DynamoAuditTable, clock: FakeClock) -> Activity:
    return Activity(table, clock)


@pytest.fixture
def of_the_user(table: DynamoAuditTable, clock: FakeClock) -> PersonalActivity:
    return PersonalActivity(table, clock)


def login(clock: FakeClock, user_id: str = ANNA, action: Action = Action.LOGIN_SUCCEEDED) -> CloudEvent:
    return wrap(SecurityActionRecordedV1(user_id=user_id, action=action, actor=user_id), clock.now())


def stored() -> list[tuple[str, str]]:
    return sorted((item.user_id, item.sk) for item in AuditItem.scan())


def test_an_event_is_kept_once_however_often_it_comes(auditing: Auditing, activity: Activity, clock: FakeClock) -> None:
    first, second = login(clock), login(clock, action=Action.LOGIN_FAILED)

    for event in (first, second, first, second, first):
        auditing.audit(event)

    page = activity.list_activity(ANNA, 50)
    assert sorted(entry.event_id for entry in page.items) == sorted([first.id, second.id])
    assert set(page.items) == {entry_of(first, KEPT), entry_of(second, KEPT)}
    assert page.next_cursor is None


def test_everybody_reads_their_own_newest_first(auditing: Auditing, activity: Activity, clock: FakeClock) -> None:
    for user_id in (ANNA, BERT, ""):
        for _ in range(3):
            auditing.audit(login(clock, user_id))
            clock.advance(timedelta(minutes=1))

    times = [entry.at for entry in activity.list_activity(ANNA, 50).items]
    assert len(times) == 3
    assert times == sorted(times, reverse=True)
    assert {entry.user_id for entry in activity.list_activity(BERT, 50).items} == {BERT}
    assert len(activity.list_activity(PLATFORM, 50).items) == 3


def test_pages_hold_each_entry_once_also_while_more_come(
    auditing: Auditing, activity: Activity, clock: FakeClock
) -> None:
    events = []
    for _ in range(7):
        events.append(login(clock))
        auditing.audit(events[-1])
        clock.advance(timedelta(seconds=1))
    seen: list[str] = []
    sizes: list[int] = []
    cursor = ""
    while cursor or not sizes:
        page = activity.list_activity(ANNA, 3, cursor)
        seen += [entry.event_id for entry in page.items]
        sizes.append(len(page.items))
        cursor = page.next_cursor or ""
        auditing.audit(login(clock))

    assert seen == [event.id for event in reversed(events)]
    assert sizes == [3, 3, 1]


def test_one_type_alone_and_a_page_that_looks_no_further(
    auditing: Auditing, activity: Activity, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOKED_AT", 4)
    rare = wrap(UserDeletedV1(user_id=ANNA), clock.now())
    auditing.audit(rare)
    for _ in range(6):
        clock.advance(timedelta(seconds=1))
        auditing.audit(login(clock))

    first = activity.list_activity(ANNA, 50, only=rare.type)
    second = activity.list_activity(ANNA, 50, first.next_cursor or "", only=rare.type)

    assert first.items == ()
    assert [entry.event_id for entry in second.items] == [rare.id]
    assert second.next_cursor is None


def test_what_is_past_its_time_shows_no_more(
    auditing: Auditing, activity: Activity, of_the_user: PersonalActivity, clock: FakeClock
) -> None:
    auditing.audit(login(clock))
    clock.advance(KEPT)

    assert activity.list_activity(ANNA, 50).items == ()
    assert json.loads(of_the_user.export_user(ANNA, "").json) == {"items": []}


@pytest.mark.parametrize(
    "cursor",
    ["nonsense", *(cursors.encode(key) for key in ({"after": "x"}, {}, {"before": "zzz"}, {"before": "\ud800"}))],
)
def test_a_cursor_that_is_none_is_refused(activity: Activity, cursor: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        activity.list_activity(ANNA, 50, cursor)

    assert [error.field for error in caught.value.errors] == ["cursor"]


def test_the_mark_is_no_activity(of_the_user: PersonalActivity, activity: Activity) -> None:
    of_the_user.purge_user(ANNA)

    assert activity.list_activity(ANNA, 50).items == ()
    assert json.loads(of_the_user.export_user(ANNA, "").json) == {"items": []}


def test_an_export_holds_every_entry_page_by_page(
    auditing: Auditing, of_the_user: PersonalActivity, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = personal.export_page
    monkeypatch.setattr(personal, "export_page", lambda kinds, records: whole(kinds, records, 300))
    events = []
    for _ in range(5):
        events.append(login(clock))
        auditing.audit(events[-1])
        clock.advance(timedelta(seconds=1))
    auditing.audit(login(clock, BERT))
    found: list[dict[str, Any]] = []
    cursor, pages = "", 0
    while cursor or not pages:
        page = of_the_user.export_user(ANNA, cursor)
        found += json.loads(page.json)["items"]
        cursor, pages = page.next_cursor, pages + 1

    assert [entry["event_id"] for entry in found] == [event.id for event in events]
    assert found[0]["at"] == "2026-03-15T12:00:00.000Z"
    assert pages > 1


def test_a_purge_leaves_a_mark_and_nothing_comes_back(
    auditing: Auditing, of_the_user: PersonalActivity, clock: FakeClock
) -> None:
    for _ in range(3):
        auditing.audit(login(clock))
        clock.advance(timedelta(seconds=1))
    auditing.audit(login(clock, BERT))

    assert of_the_user.purge_user(ANNA) == (3, False)
    assert of_the_user.purge_user(ANNA) == (0, False)
    auditing.audit(login(clock))
    auditing.audit(wrap(UserDeletedV1(user_id=ANNA), clock.now()))

    assert [sk for user_id, sk in stored() if user_id == ANNA] == ["user#gone"]
    assert len([sk for user_id, sk in stored() if user_id == BERT]) == 1


def test_a_purge_of_many_goes_in_parts(
    auditing: Auditing, of_the_user: PersonalActivity, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(personal, "PURGED_AT_ONCE", 2)
    for _ in range(3):
        auditing.audit(login(clock))

    assert [of_the_user.purge_user(ANNA) for _ in range(2)] == [(2, True), (1, False)]


def test_a_second_delivery_after_the_purge_takes_away_what_the_first_left(
    table: DynamoAuditTable, auditing: Auditing, of_the_user: PersonalActivity, clock: FakeClock
) -> None:
    """The first died between its write and its look at the mark."""
    event = login(clock)
    of_the_user.purge_user(ANNA)
    table._item(entry_of(event, KEPT)).save()

    auditing.audit(event)

    assert [sk for _, sk in stored()] == ["user#gone"]


def test_events_that_come_while_the_purge_is_at_work_leave_nothing(
    auditing: Auditing, of_the_user: PersonalActivity, clock: FakeClock
) -> None:
    events = [login(clock) for _ in range(40)]
    start = threading.Barrier(5, timeout=10)

    def deliver(some: list[CloudEvent]) -> None:
        start.wait()
        for event in some:
            auditing.audit(event)

    workers = [threading.Thread(target=deliver, args=(events[number::4],)) for number in range(4)]
    for worker in workers:
        worker.start()
    start.wait()
    of_the_user.purge_user(ANNA)
    for worker in workers:
        worker.join()

    assert [sk for _, sk in stored()] == ["user#gone"]


def test_a_table_that_is_down_is_told_as_such(clock: FakeClock) -> None:
    with mock_aws():
        table = DynamoAuditTable("missing", clock)
        with pytest.raises(Unavailable):
            Auditing(table, KEPT).audit(login(clock))
        with pytest.raises(Unavailable):
            Activity(table, clock).list_activity(ANNA, 5)
        with pytest.raises(Unavailable):
            PersonalActivity(table, clock).purge_user(ANNA)
