"""The RPC service Bills, through the envelope that it travels in."""

import threading
from collections.abc import Sequence

import pytest

from functions.bill_aggregation_service.adapters.base import Access, BadCredentials
from functions.bill_aggregation_service.model import FetchedBill
from functions.bill_aggregation_service.rpc import BILLS, BillsServicer, handler
from functions.common.context import invocation, remaining_seconds
from functions.common.errors import InvalidInput, NotFound
from functions.common.rpc.client import Stub
from functions.contracts.rpc.bills_pb2 import (
    ProjectLinkReply,
    ProjectLinkRequest,
    RefreshLinkReply,
    RefreshLinkRequest,
    RefreshLinksReply,
    RefreshLinksRequest,
)
from functions.contracts.rpc.common_pb2 import FlushOutboxReply, FlushOutboxRequest
from tests.unit.bill_aggregation_service.fakes import LINK, OTHER_LINK, USER, World, fetched


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def bills(world: World) -> Stub:
    return world.rpc


def test_every_method_of_the_contract_has_a_servicer_method() -> None:
    assert handler.service is BILLS
    assert {method.name for method in BILLS.methods} <= set(dir(BillsServicer))


def test_refresh_link(world: World, bills: Stub) -> None:
    world.answers = [[fetched("1"), fetched("2")], BadCredentials()]
    asked = RefreshLinkRequest(user_id=USER, link_id=LINK)

    first, second = (bills.call("RefreshLink", asked, RefreshLinkReply) for _ in range(2))

    assert (first.outcome, first.created, first.error_code) == ("fresh", 2, "")
    assert (second.outcome, second.error_code, second.retryable) == ("action_required", "invalid_credentials", False)


def test_refresh_link_of_nobody(bills: Stub) -> None:
    with pytest.raises(NotFound):
        bills.call("RefreshLink", RefreshLinkRequest(user_id=USER, link_id=OTHER_LINK), RefreshLinkReply)
    with pytest.raises(InvalidInput) as refused:
        bills.call("RefreshLink", RefreshLinkRequest(), RefreshLinkReply)
    assert [error.field for error in refused.value.errors] == ["user_id", "link_id"]


def test_refresh_links(world: World, bills: Stub) -> None:
    world.services.accounts[OTHER_LINK] = world.services.accounts[LINK]
    world.answers = [[fetched("1"), fetched("2")], BadCredentials()]

    done = bills.call("RefreshLinks", RefreshLinksRequest(user_id=USER), RefreshLinksReply)
    one = bills.call("RefreshLinks", RefreshLinksRequest(user_id=USER, link_ids=[LINK]), RefreshLinksReply)
    others = bills.call("RefreshLinks", RefreshLinksRequest(user_id=USER, except_link_ids=[LINK]), RefreshLinksReply)
    none = bills.call("RefreshLinks", RefreshLinksRequest(user_id=USER, provider_id="prv_x"), RefreshLinksReply)

    assert {item.link_id for item in done.items} == {LINK, OTHER_LINK}
    assert sorted(item.result.outcome for item in done.items) == ["action_required", "fresh"]
    assert sorted(item.result.created for item in done.items) == [0, 2]
    assert [item.link_id for item in one.items] == [LINK]
    assert [item.link_id for item in others.items] == [OTHER_LINK]
    assert list(none.items) == []
    with pytest.raises(InvalidInput):
        bills.call("RefreshLinks", RefreshLinksRequest(), RefreshLinksReply)


def test_refresh_links_answers_before_its_caller_gives_up(world: World, bills: Stub) -> None:
    """One link hangs: the other's result arrives all the same, and in time."""
    world.services.accounts[OTHER_LINK] = world.services.accounts[LINK]
    release, taken = threading.Event(), threading.Lock()

    def one_hangs(_: Access) -> Sequence[FetchedBill]:
        if taken.acquire(blocking=False):
            release.wait(20)
        return [fetched()]

    world.answers = [one_hangs]
    try:
        with invocation(None, 4.0):
            done = bills.call("RefreshLinks", RefreshLinksRequest(user_id=USER), RefreshLinksReply)
            assert remaining_seconds() > 0
    finally:
        release.set()

    assert sorted((item.result.outcome, item.result.error_code) for item in done.items) == [
        ("failed", "deadline_exceeded"),
        ("fresh", ""),
    ]


def test_project_link(bills: Stub) -> None:
    told = ProjectLinkRequest(user_id=USER, link_id=LINK, provider_id="prv_clearwater", state="ACTIVE", version=2)

    assert bills.call("ProjectLink", told, ProjectLinkReply).applied
    assert not bills.call("ProjectLink", told, ProjectLinkReply).applied
    with pytest.raises(InvalidInput):
        bills.call("ProjectLink", ProjectLinkRequest(user_id=USER, link_id=LINK), ProjectLinkReply)


def test_flush_outbox(world: World, bills: Stub) -> None:
    world.answers = [[fetched("1"), fetched("2"), fetched("3")]]
    world.publisher.down = True
    world.refresher.refresh_link(USER, LINK)
    world.publisher.down = False

    first = bills.call("FlushOutbox", FlushOutboxRequest(limit=2), FlushOutboxReply)
    rest = bills.call("FlushOutbox", FlushOutboxRequest(limit=2), FlushOutboxReply)

    assert (first.published, first.more) == (2, True)
    assert (rest.published, rest.more) == (1, False)
    assert len(world.publisher.events) == 3
