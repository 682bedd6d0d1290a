"""Sweeps that tell of due dates: once per bill and version, whoever else writes the bill, and never of what is paid."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from moto import mock_aws

from functions.bill_aggregation_service import bootstrap, reminders_rpc
from functions.bill_aggregation_service.item_table import Item
from functions.bill_aggregation_service.keeping import keep
from functions.bill_aggregation_service.marks import marked
from functions.bill_aggregation_service.model import Bill, Link, Outcome, ProviderStatus, UserId
from functions.bill_aggregation_service.reminder_clients import ReminderProfilesClient
from functions.bill_aggregation_service.reminder_table import ReminderTable
from functions.bill_aggregation_service.reminders import Emitted, Preferences, Reminders
from functions.bill_aggregation_service.upsert import Attempt
from functions.common.errors import AppError, NotFound, Unavailable
from functions.common.outbox import Outbox, Pending
from functions.common.rpc.client import Stub
from functions.common.rpc.server import LambdaRpcHandler, RpcContext
from functions.contracts.events.bills import BillDueSoonV1, BillOverdueV1
from functions.contracts.events.envelope import unwrap
from functions.contracts.rpc import reminders_pb2, users_pb2
from tests.support.fakes import FakeClock, FakePublisher, LoopbackChannel
from tests.unit.bill_aggregation_service.fakes import LINK, PROVIDER, USER, FakeStore, fetched

T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)
DUE = date(2026, 3, 20)
SOON, OVERDUE = BillDueSoonV1.TYPE, BillOverdueV1.TYPE
ANYBODY = UserId("usr_01JD3N8Z6W3V9K4T7Q2M5XBRPE")


class Store(FakeStore):
    """With the index of reminders."""

    def to_look_at(self, now: datetime, limit: int) -> Sequence[Bill]:
        due = [bill for bill in self.kept.values() if bill.remind_at and bill.remind_at <= now]
        return sorted(due, key=lambda bill: bill.remind_at or now)[:limit]


@dataclass
class FakeProfiles:
    """`users`: what they chose, or what asking for them raises."""

    users: dict[UserId, Preferences | AppError] = field(
        default_factory=lambda: dict[UserId, Preferences | AppError]({USER: Preferences()})
    )
    asked: list[UserId] = field(default_factory=list)

    def preferences(self, user_id: UserId) -> Preferences:
        self.asked.append(user_id)
        chosen = self.users.get(user_id, NotFound("There is no such user.", code="user_not_found"))
        if isinstance(chosen, AppError):
            raise chosen
        return chosen


class World:
    def __init__(self) -> None:
        self.clock = FakeClock(T0)
        self.store = Store()
        self.profiles = FakeProfiles()
        self.publisher = FakePublisher()
        self.outbox = Outbox(self.store, self.publisher)
        self.reminders = Reminders(
            store=self.store, profiles=self.profiles, outbox=self.outbox, clock=self.clock, usual_days=7
        )

    def refresh(self, *numbers: str, amount: int = 1000, due: date = DUE, paid: bool = False) -> None:
        status = ProviderStatus.PAID if paid else ProviderStatus.UNPAID
        bills = [fetched(number, amount, due, provider_status=status) for number in numbers or ("B-1",)]
        attempt = Attempt(self.clock.now(), Outcome.SUCCESS, PROVIDER, bills)
        _, pending = keep(self.store, self.clock, USER, LINK, attempt, lambda _: None)
        self.outbox.send(pending)

    def mark(self, *, paid: bool) -> None:
        for bill in list(self.store.kept.values()):
            today = self.clock.now().date()
            changed = marked(bill, {"paid_at": today if paid else None}, self.clock.now())
            if changed is not bill:
                self.outbox.send([self.store.save_bill(bill, changed)])

    def at(self, now: datetime) -> Emitted:
        self.clock.advance(now - self.clock.now())
        return self.reminders.emit_due(100)

    @property
    def said(self) -> list[tuple[str, int, int]]:
        """Type, version and number of each reminder that left."""
        found = []
        for event in self.publisher.events:
            if event.type in (SOON, OVERDUE):
                data = unwrap(event, BillDueSoonV1 if event.type == SOON else BillOverdueV1)
                found.append((event.type, data.version, data.reminder))
        return found


@pytest.fixture
def world() -> World:
    return World()


def day(number: int, hour: int = 12) -> datetime:
    return datetime(2026, 3, 1, hour, tzinfo=UTC) + timedelta(number - 1)


def test_both_days_are_told_of_once(world: World) -> None:
    world.refresh()
    for number in range(1, 31):
        world.at(day(number))
        world.at(day(number))

    assert world.said == [(SOON, 1, 1), (OVERDUE, 1, 1)]
    soon, late = (event for event in world.publisher.events if event.type in (SOON, OVERDUE))
    assert (soon.time[:10], late.time[:10]) == ("2026-03-13", "2026-03-21")
    data = unwrap(soon, BillDueSoonV1)
    assert (data.day, data.time_zone) == ("2026-03-13", "America/New_York"), "without a choice: where the utility is"
    assert (data.due_date, data.outstanding_minor, data.user_id) == ("2026-03-20", 1000, USER)


def test_the_day_begins_where_the_user_chose_to_live(world: World) -> None:
    world.profiles.users[USER] = Preferences(time_zone="Pacific/Kiritimati", reminder_days=0)
    world.refresh()
    world.at(T0)

    world.at(datetime(2026, 3, 19, 9, 59, tzinfo=UTC))
    assert world.said == []
    world.at(datetime(2026, 3, 19, 10, 0, tzinfo=UTC))
    assert world.said == [(SOON, 1, 1)]


def test_a_change_of_settings_counts_within_a_day(world: World) -> None:
    world.profiles.users[USER] = Preferences(reminder_days=1)
    world.refresh()
    world.at(day(5))

    world.profiles.users[USER] = Preferences(reminder_days=30)
    world.at(day(6))

    assert world.said == [(SOON, 1, 1)]


def test_repetition_ends_with_the_payment(world: World) -> None:
    world.profiles.users[USER] = Preferences(reminder_days=0, reminder_repeat_days=2)
    world.refresh()
    for number in range(1, 25):
        world.at(day(number))
    world.mark(paid=True)
    for number in range(25, 60):
        world.at(day(number))

    assert world.said == [(SOON, 1, 1), (OVERDUE, 1, 1), (OVERDUE, 1, 2)]


def test_a_payment_that_is_taken_back_repeats_nothing(world: World) -> None:
    world.refresh()
    world.at(day(15))
    world.mark(paid=True)
    world.mark(paid=False)
    world.at(day(16))

    assert world.said == [(SOON, 1, 1)]
    world.at(day(22))
    assert world.said == [(SOON, 1, 1), (OVERDUE, 1, 1)]


def test_another_due_date_is_told_of_anew(world: World) -> None:
    world.refresh()
    world.at(day(15))

    world.refresh(due=date(2026, 3, 28))
    world.at(day(17))
    assert world.said == [(SOON, 1, 1)], "not within seven days of the new date"
    world.at(day(22))

    assert world.said == [(SOON, 1, 1), (SOON, 2, 1)]


def test_a_paid_bill_leaves_the_index(world: World) -> None:
    world.refresh()
    world.refresh(paid=True)
    assert [bill.remind_at for bill in world.store.kept.values()] == [None]
    writes = world.store.bill_writes

    assert world.at(day(25)) == Emitted(0, 0, more=False)
    assert world.store.bill_writes == writes


def test_an_unchanged_answer_writes_no_bill(world: World) -> None:
    world.refresh()
    world.at(day(14))
    writes = world.store.bill_writes

    world.refresh()

    assert world.store.bill_writes == writes
    assert [bill.reminded.due_soon for bill in world.store.kept.values()] == [1]


def test_a_reminder_that_did_not_leave_leaves_later(world: World) -> None:
    world.refresh()
    world.publisher.down = True
    assert world.at(day(14)).emitted == 1
    assert world.said == []

    world.publisher.down = False
    world.outbox.flush(100)
    world.at(day(14))

    assert world.said == [(SOON, 1, 1)]


def test_a_reminder_that_did_not_leave_before_the_payment_stays(world: World) -> None:
    world.refresh()
    world.publisher.down = True
    world.at(day(14))

    world.publisher.down = False
    world.mark(paid=True)
    world.outbox.flush(100)

    assert world.publisher.types == ["bill.created.v1", "bill.paid.v1"]


def test_of_two_sweeps_at_once_one_speaks(world: World) -> None:
    world.refresh()
    stale = list(world.store.kept.values())
    world.at(day(14))
    world.store.to_look_at = lambda now, limit: stale  # type: ignore[method-assign]  # read before the other wrote

    assert world.at(day(14)) == Emitted(0, 0, more=False)
    assert world.said == [(SOON, 1, 1)]


def test_a_mark_in_the_middle_of_a_sweep_wins(world: World) -> None:
    world.refresh()
    save = world.store.save_bill

    def late(before: Bill, after: Bill) -> Pending:
        world.store.save_bill = save  # type: ignore[method-assign]
        world.mark(paid=True)
        return save(before, after)

    world.store.save_bill = late  # type: ignore[method-assign]

    assert world.at(day(14)) == Emitted(0, 0, more=False)
    assert world.said == []


def test_nothing_is_said_to_who_is_gone(world: World) -> None:
    world.refresh()
    del world.profiles.users[USER]

    assert world.at(day(14)) == Emitted(1, 0, more=False)
    assert world.at(day(22)) == Emitted(0, 0, more=False), "nor is it looked at again"
    assert world.said == []


@pytest.mark.parametrize("forgotten", [True, False])
def test_nothing_is_said_of_an_unlinked_account(world: World, forgotten: bool) -> None:
    world.refresh()
    key = (USER, LINK)
    if forgotten:
        del world.store.rows[key]
    else:
        world.store.rows[key] = replace(world.store.rows[key], gone=True)

    assert world.at(day(14)) == Emitted(1, 0, more=False)
    assert world.said == []


def test_a_user_whose_settings_cannot_be_read_costs_the_others_nothing(world: World) -> None:
    world.refresh("B-1", "B-2")
    foreign = next(bill for bill in world.store.kept.values() if bill.content.external_bill_id == "B-2")
    world.store.kept[foreign.key] = replace(foreign, user_id=ANYBODY)
    world.store.rows[ANYBODY, LINK] = Link(user_id=ANYBODY, link_id=LINK)
    world.profiles.users[ANYBODY] = Unavailable("down")

    assert world.at(day(14)) == Emitted(1, 1, more=False)
    world.profiles.users[ANYBODY] = Preferences()
    assert world.at(day(14)) == Emitted(1, 1, more=False)


def test_each_user_is_asked_for_once_in_a_run(world: World) -> None:
    world.refresh(*(f"B-{number}" for number in range(9)))

    world.at(day(14))

    assert world.profiles.asked == [USER]
    assert len(world.said) == 9


def test_a_run_is_bounded_and_says_that_there_is_more(world: World) -> None:
    world.refresh(*(f"B-{number}" for number in range(5)))
    world.clock.advance(timedelta(13))

    runs = [world.reminders.emit_due(2) for _ in range(4)]

    assert [(run.emitted, run.more) for run in runs] == [(2, True), (2, True), (1, False), (0, False)]


STEPS = st.sampled_from(["sweep", "sweep twice", "refresh", "change", "postpone", "paid", "mark", "unmark", "flush",
                         "broker down", "broker up", "day", "week"])  # fmt: skip


@settings(max_examples=300)
@given(steps=st.lists(STEPS, max_size=40), days=st.integers(0, 20))
def test_each_once_per_version_and_nothing_once_paid(steps: list[str], days: int) -> None:
    world, amount, due, paid = World(), 1000, DUE, False
    world.profiles.users[USER] = Preferences(reminder_days=days)
    for step in steps:
        settled = bool(world.store.kept) and all(bill.remind_at is None for bill in world.store.kept.values())
        before = len(world.said)
        match step:
            case "sweep":
                world.at(world.clock.now())
            case "sweep twice":
                stale = world.store.to_look_at(world.clock.now(), 100)
                world.at(world.clock.now())
                world.store.to_look_at = lambda now, limit, read=stale: read  # type: ignore[method-assign, misc]
                world.at(world.clock.now())
                del world.store.to_look_at
            case "refresh" | "change" | "postpone" | "paid":
                amount += step == "change"
                due += timedelta(5 * (step == "postpone"))
                paid = paid or step == "paid"
                world.clock.advance(timedelta(seconds=1))
                world.refresh(amount=amount, due=due, paid=paid)
            case "mark" | "unmark":
                world.mark(paid=step == "mark")
            case "flush":
                world.outbox.flush(100)
            case "broker down" | "broker up":
                world.publisher.down = step == "broker down"
            case "day" | "week":
                world.clock.advance(timedelta(1 if step == "day" else 7))
        if settled and step in ("sweep", "sweep twice", "flush", "mark", "paid"):
            assert len(world.said) == before, f"{step} spoke of what is settled"

    world.publisher.down = False
    world.outbox.flush(100)
    once = {(event.id, event.type) for event in world.publisher.events}
    told = world.said
    assert len(set(told)) == len(told) == sum(kind in (SOON, OVERDUE) for _, kind in once)
    assert {number for *_, number in told} <= {1}


# --- on the table ---


@pytest.fixture
def table() -> Iterator[ReminderTable]:
    with mock_aws():
        built = ReminderTable("bills", FakeClock(T0))
        Item.create_table(wait=True)
        yield built


def fill(table: ReminderTable, count: int) -> None:
    bills = [fetched(f"B-{number}", due=DUE + timedelta(number)) for number in range(count)]
    keep(table, FakeClock(T0), USER, LINK, Attempt(T0, Outcome.SUCCESS, PROVIDER, bills), lambda _: None)


def test_the_index_finds_what_is_due_and_no_more(table: ReminderTable) -> None:
    fill(table, 20)
    assert table.to_look_at(T0 - timedelta(1), 100) == []
    assert len(table.to_look_at(T0, 100)) == 20
    assert len(table.to_look_at(T0, 8)) <= 8

    for bill in table.to_look_at(T0, 100):
        table.save_bill(bill, replace(bill, remind_at=T0 + timedelta(1) if bill.content.due_date == DUE else None))

    assert table.to_look_at(T0, 100) == []
    assert [bill.content.due_date for bill in table.to_look_at(T0 + timedelta(1), 100)] == [DUE]


def test_reminders_go_through_the_table(table: ReminderTable) -> None:
    fill(table, 3)
    publisher, clock = FakePublisher(), FakeClock(T0 + timedelta(30))
    reminders = Reminders(
        store=table, profiles=FakeProfiles(), outbox=Outbox(table, publisher), clock=clock, usual_days=7
    )

    assert [reminders.emit_due(100) for _ in range(2)] == [Emitted(3, 3, more=False), Emitted(0, 0, more=False)]
    assert sorted(publisher.types) == ["bill.created.v1"] * 3 + [OVERDUE] * 3, "with what was left behind"
    kept = table.bills_between(USER, LINK, DUE, DUE + timedelta(9))
    assert [bill.reminded.overdue for bill in kept] == [1, 1, 1]
    assert not any(OVERDUE in event for bill in kept for event in bill.unsent), "they have left"


# --- the RPC ---


class Users:
    def __init__(self, reply: users_pb2.User) -> None:
        self.reply = reply

    def GetUser(self, request: users_pb2.GetUserRequest, _context: RpcContext) -> users_pb2.User:
        return self.reply


@pytest.mark.parametrize(
    ("reply", "chosen"),
    [
        (users_pb2.User(), Preferences()),
        (
            users_pb2.User(time_zone="Asia/Kolkata", reminder_days=0, reminder_repeat_days=2),
            Preferences(time_zone="Asia/Kolkata", reminder_days=0, reminder_repeat_days=2),
        ),
    ],
)
def test_no_days_are_not_zero_days(reply: users_pb2.User, chosen: Preferences) -> None:
    service = users_pb2.DESCRIPTOR.services_by_name["Users"]
    stub = Stub(service, LoopbackChannel(LambdaRpcHandler(service, lambda: Users(reply))))

    assert ReminderProfilesClient(stub).preferences(USER) == chosen


@pytest.mark.parametrize(("asked", "looked"), [(0, 1), (3, 3), (10_000, 5)])
def test_the_rpc_is_bounded(world: World, asked: int, looked: int) -> None:
    world.refresh(*(f"B-{number}" for number in range(5)))
    service = reminders_pb2.DESCRIPTOR.services_by_name["Reminders"]
    servicer = reminders_rpc.RemindersServicer(world.reminders)
    stub = Stub(service, LoopbackChannel(LambdaRpcHandler(service, lambda: servicer)))

    request = reminders_pb2.EmitDueRequest(limit=asked)
    reply = stub.call("EmitDue", request, reminders_pb2.EmitDueReply)

    assert (reply.looked, reply.emitted, reply.more) == (looked, 0, asked in (0, 3))


def test_the_function_is_built_from_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"BILLS_TABLE": "bills", "RPC_USERS": "lambda:users", "RPC_BROKER": "lambda:broker"}.items():
        monkeypatch.setenv(name, value)
    try:
        assert isinstance(reminders_rpc.handler._servicer, reminders_rpc.RemindersServicer)
        assert bootstrap.reminders().usual_days == 7
    finally:
        bootstrap.reminders.cache_clear()
        bootstrap.publisher.cache_clear()
