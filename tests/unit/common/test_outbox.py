from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from functions.common.errors import Unavailable
from functions.common.outbox import Outbox, Pending
from functions.contracts.events.accounts import AccountLinkedV1, AccountUnlinkedV1
from functions.contracts.events.envelope import EventData, wrap
from tests.support.fakes import FakePublisher
from tests.support.logs import Lines

AT = datetime(2026, 3, 1, tzinfo=UTC)


class FakeStore:
    """Items with events, by key; `broken` names the keys that cannot be written."""

    def __init__(self, *items: Pending) -> None:
        self.items = {item.key: item for item in items}
        self.broken: set[tuple[str, ...]] = set()

    def pending_events(self, limit: int) -> Sequence[Pending]:
        return list(self.items.values())[:limit]

    def clear_outbox(self, pending: Pending) -> None:
        if pending.key in self.broken:
            raise Unavailable("The table did not answer.")
        if self.items[pending.key].version == pending.version:
            del self.items[pending.key]


def linked(link_id: str) -> AccountLinkedV1:
    return AccountLinkedV1(user_id="usr_1", link_id=link_id, provider_id="prv_a", state="PENDING", version=1)


def unlinked(link_id: str) -> AccountUnlinkedV1:
    return AccountUnlinkedV1(user_id="usr_1", link_id=link_id, provider_id="prv_a", state="REVOKED", version=2)


def item(name: str, *events: EventData, version: int = 1) -> Pending:
    return Pending((name,), version, tuple(wrap(event, AT).to_json() for event in events))


@pytest.fixture
def publisher() -> FakePublisher:
    return FakePublisher()


def test_events_go_out_in_one_call_and_their_items_forget_them(publisher: FakePublisher) -> None:
    items = [item("a", linked("lnk_1")), item("b", linked("lnk_2"), unlinked("lnk_2"))]
    store = FakeStore(*items)

    assert Outbox(store, publisher).send(items) == 2

    assert publisher.types == ["account.linked.v1", "account.linked.v1", "account.unlinked.v1"]
    assert store.items == {}


def test_without_events_nothing_is_published(publisher: FakePublisher) -> None:
    publisher.down = True

    assert Outbox(FakeStore(), publisher).send([]) == 0
    assert Outbox(FakeStore(), publisher).send([item("a")]) == 0


def test_an_item_of_which_one_event_was_refused_keeps_all_of_them(publisher: FakePublisher) -> None:
    items = [item("a", linked("lnk_1")), item("b", linked("lnk_2"), unlinked("lnk_2"))]
    store = FakeStore(*items)
    publisher.refuse = {"account.unlinked.v1"}

    assert Outbox(store, publisher).send(items) == 1

    assert list(store.items) == [("b",)]


def test_a_broker_that_is_down_costs_nothing_but_a_warning(publisher: FakePublisher, log_lines: Lines) -> None:
    items = [item("a", linked("lnk_1")), item("b", linked("lnk_2"))]
    store, publisher.down = FakeStore(*items), True

    assert Outbox(store, publisher).send(items) == 0

    assert len(store.items) == 2
    [line] = log_lines()
    assert (line["event"], line["events"], line["code"]) == ("publish_deferred", 2, "unavailable")


def test_a_table_that_fails_after_publishing_does_not_undo_the_write(
    publisher: FakePublisher, log_lines: Lines
) -> None:
    items = [item("a", linked("lnk_1")), item("b", linked("lnk_2"))]
    store = FakeStore(*items)
    store.broken = {("a",)}

    assert Outbox(store, publisher).send(items) == 1

    assert list(store.items) == [("a",)]
    assert [line["event"] for line in log_lines()] == ["outbox_not_cleared"]


def test_flush_sends_what_was_left_behind_and_says_whether_more_waits(publisher: FakePublisher) -> None:
    store = FakeStore(*(item(f"i{number}", linked(f"lnk_{number}")) for number in range(5)))
    outbox = Outbox(store, publisher)

    assert outbox.flush(2) == (2, True)
    assert outbox.flush(2) == (2, True)
    assert outbox.flush(2) == (1, False)
    assert outbox.flush(2) == (0, False)
    assert len(publisher.events) == 5


def test_flush_does_not_ask_to_be_called_again_while_nothing_gets_out(publisher: FakePublisher) -> None:
    store, publisher.down = FakeStore(item("a", linked("lnk_1"))), True

    assert Outbox(store, publisher).flush(1) == (0, False)


def test_the_same_event_goes_out_again_under_the_same_id(publisher: FakePublisher) -> None:
    left = item("a", linked("lnk_1"))
    store = FakeStore(left)
    store.items[left.key] = Pending(left.key, 2, left.events)  # changed since it was read

    Outbox(store, publisher).send([left])
    Outbox(store, publisher).flush(10)

    assert publisher.events[0].id == publisher.events[1].id
