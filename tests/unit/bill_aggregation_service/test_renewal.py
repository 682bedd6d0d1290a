"""What happens behind a reader who was served an old answer."""

from datetime import timedelta

import pytest

from functions.bill_aggregation_service.keeping import CACHE_SPACE
from functions.bill_aggregation_service.schemas import BillsQuery, SummaryQuery
from functions.common.cache import Entry
from functions.common.errors import InvalidInput
from functions.contracts.events.bills import BillsRefreshRequestedV1
from functions.contracts.events.envelope import unwrap
from functions.contracts.rpc.bills_pb2 import RenewAnswerReply, RenewAnswerRequest
from tests.unit.bill_aggregation_service.fakes import LINK, USER, World, fetched

PAGE = BillsQuery(limit=10)


@pytest.fixture
def world() -> World:
    built = World()
    built.answers = [[fetched("B-1", 1000)]]
    built.refresher.refresh_link(USER, LINK)
    built.publisher.events.clear()
    return built


def ask(world: World, **changes: object) -> RenewAnswerReply:
    given = {"user_id": USER, "path": "/bills", "query": '{"limit":10}', "version": 1, **changes}
    return world.rpc.call("RenewAnswer", RenewAnswerRequest(**given), RenewAnswerReply)  # type: ignore[arg-type]


def test_the_answer_is_made_anew_and_kept_where_readers_look(world: World) -> None:
    reply = ask(world)

    assert (reply.kept, reply.requested) == (True, 0)
    [(entry, (body, tag, soft_end, hard_end))] = world.cache.filled.items()
    assert entry == Entry(USER, CACHE_SPACE, PAGE.name)
    assert b'"external_bill_id":"B-1"' in body
    assert tag
    now = world.clock.now()
    assert (soft_end, hard_end) == (now + timedelta(minutes=5), now + timedelta(hours=1))


def test_sums_as_well(world: World) -> None:
    assert ask(world, path="/bills/summary", query='{"by":"provider"}').kept

    [(entry, (body, *_))] = world.cache.filled.items()
    assert entry.name == SummaryQuery(by="provider").name  # type: ignore[arg-type]  # a By is its text
    assert b'"key":"prv_northwind_power"' in body


def test_an_answer_to_older_data_is_not_kept(world: World) -> None:
    world.cache.version = 2

    assert not ask(world, version=1).kept
    assert world.cache.filled == {}


def test_links_past_their_soft_age_are_requested_once_whatever_shows_them(world: World) -> None:
    world.clock.advance(timedelta(hours=6))

    assert ask(world).requested == 1
    assert ask(world).requested == 0
    assert ask(world, path="/bills/summary", query="{}").requested == 0

    [event] = world.publisher.events
    assert unwrap(event, BillsRefreshRequestedV1) == BillsRefreshRequestedV1(user_id=USER, link_id=LINK, reason="user")
    assert list(world.cache.leases) == [(USER, LINK)]


def test_a_broker_that_is_down_costs_the_answer_nothing(world: World) -> None:
    world.clock.advance(timedelta(hours=6))
    world.publisher.down = True

    reply = ask(world)

    assert (reply.kept, reply.requested) == (True, 0)


@pytest.mark.parametrize("taken", [False, True])
def test_what_could_not_be_requested_the_next_reader_asks_for(world: World, taken: bool) -> None:
    """Whether the broker is down, or up and does not take the one event."""
    world.clock.advance(timedelta(hours=6))
    world.publisher.down = not taken
    world.publisher.refuse = {BillsRefreshRequestedV1.TYPE}
    assert ask(world).requested == 0
    assert world.cache.leases == {}

    world.publisher.down, world.publisher.refuse = False, set()

    assert ask(world).requested == 1
    assert list(world.cache.leases) == [(USER, LINK)]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"path": "/accounts"}, "path"),
        ({"path": ""}, "path"),
        ({"query": '{"limit":1000}'}, "query"),
        ({"query": "{"}, "query"),
        ({"user_id": ""}, "user_id"),
    ],
)
def test_what_no_answer_of_ours_is_made_of(world: World, changes: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        ask(world, **changes)

    assert [error.field for error in raised.value.errors] == [field]
