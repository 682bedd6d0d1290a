"""A user's bills as the user may see them, and their end, on an emulated DynamoDB."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta

import pytest
from moto import mock_aws

from functions.bill_aggregation_service import personal as module
from functions.bill_aggregation_service.item_table import Item
from functions.bill_aggregation_service.keeping import LinkMoved, UserGone
from functions.bill_aggregation_service.model import Criteria, FetchedBill, LineItem, LineKind, Link, LinkId, UserId
from functions.bill_aggregation_service.personal import PersonalData
from functions.bill_aggregation_service.rpc import BILLS, BillsServicer
from functions.bill_aggregation_service.service import Said
from functions.bill_aggregation_service.table import BillTable
from functions.common import personal
from functions.common.errors import InvalidInput, NotFound
from functions.common.outbox import Outbox
from functions.common.personal import GONE, Record
from functions.common.rpc.client import Stub
from functions.common.rpc.server import LambdaRpcHandler
from functions.contracts.rpc.bills_pb2 import (
    ProjectLinkReply,
    ProjectLinkRequest,
    RefreshLinkReply,
    RefreshLinkRequest,
)
from functions.contracts.rpc.common_pb2 import ExportUserReply, ExportUserRequest, PurgeUserReply, PurgeUserRequest
from tests.support.fakes import LoopbackChannel
from tests.unit.bill_aggregation_service.fakes import LINK, OTHER_LINK, USER, World, fetched

SOMEBODY = UserId("usr_01JD3N8Z6W3V9K4T7Q2M5XBRPZ")


@pytest.fixture
def world() -> Iterator[World]:
    """As ever, but on a real table."""
    with mock_aws():
        built = World()
        table = BillTable("bills", built.clock)
        Item.create_table(wait=True)
        built.store = table  # type: ignore[assignment]  # the fake's place
        built.outbox = Outbox(table, built.publisher)
        built.refresher = replace(built.refresher, store=table, outbox=built.outbox)
        built.projection = replace(built.projection, store=table)
        built.bills = replace(built.bills, store=table)
        yield built


@pytest.fixture
def table(world: World) -> BillTable:
    return BillTable("bills", world.clock)


@pytest.fixture
def bills(world: World, table: BillTable) -> Stub:
    data = PersonalData(table, world.cache)
    servicer = BillsServicer(
        world.refresher, world.projection, world.outbox, data, world.documents, lambda: world.renewal
    )
    return Stub(BILLS, LoopbackChannel(LambdaRpcHandler(BILLS, lambda: servicer)))


def read(world: World, *found: FetchedBill, link_id: LinkId = LINK, user_id: UserId = USER) -> None:
    world.services.accounts.setdefault(link_id, world.services.accounts[LINK])
    world.answers = [list(found)]
    world.clock.advance(timedelta(minutes=1))
    world.refresher.refresh_link(user_id, link_id)


def purge(bills: Stub, user_id: UserId = USER) -> PurgeUserReply:
    return bills.call("PurgeUser", PurgeUserRequest(user_id=user_id), PurgeUserReply)


def keys_of(user_id: UserId) -> list[str]:
    return [item.sk for item in Item.query(user_id, attributes_to_get=["user_id", "sk"])]


def test_an_export_has_bills_versions_and_links(world: World, bills: Stub) -> None:
    read(world, fetched("1", 1000), fetched("2", 2000))
    read(world, fetched("1", 1500), fetched("2", 2000))
    read(world, fetched("3"), user_id=SOMEBODY)

    reply = bills.call("ExportUser", ExportUserRequest(user_id=USER), ExportUserReply)

    shown = json.loads(reply.json)
    assert reply.next_cursor == ""
    now = {bill["external_bill_id"]: bill for bill in shown["bills"]}
    (before,) = shown["versions"]
    (link,) = shown["links"]
    assert {number: bill["amount_minor"] for number, bill in now.items()} == {"1": 1500, "2": 2000}
    assert (now["1"]["version"], now["1"]["supersedes"], now["1"]["due_date"]) == (2, 1, "2026-03-20")
    assert (before["bill_id"], before["version"], before["amount_minor"]) == (now["1"]["bill_id"], 1, 1000)
    assert now["1"]["mark"] == dict.fromkeys(["paid_at", "paid_amount_minor", "note", "covered_minor"])
    assert [note["code"] for note in now["1"]["quality_notes"]] == ["overlap"]
    assert (link["link_id"], link["outcome"], link["bill_count"]) == (LINK, "success", 2)
    for internal in ("content_hash", "unsent", "revision", USER):
        assert internal not in reply.json.decode()


def test_an_export_has_what_the_user_said_of_payment_and_the_doubts_that_are_kept(world: World, bills: Stub) -> None:
    read(world, fetched("1", 1000, line_items=(LineItem("Energy", LineKind.USAGE, 900),)))
    (listed,) = world.bills.list_bills(USER, Criteria()).items
    said: Said = {"paid_at": date(2026, 3, 1), "note": "by card"}
    world.bills.mark_bill(USER, listed.bill.bill_id, lambda: said, lambda _: None)

    (bill,) = json.loads(bills.call("ExportUser", ExportUserRequest(user_id=USER), ExportUserReply).json)["bills"]

    assert bill["mark"] == {
        "paid_at": "2026-03-01",
        "paid_amount_minor": None,
        "covered_minor": 1000,
        "note": "by card",
    }
    assert (bill["paid_at"], bill["provider_status"]) == (None, "unknown"), "the utility's own word"
    assert [note["code"] for note in bill["quality_notes"]] == ["items_differ_from_total"]


def test_an_export_shows_where_the_platform_gives_a_document(world: World, bills: Stub) -> None:
    """Not the utility's own reference, in no version."""
    read(world, fetched("1", 1000, document_url="/secret/1.pdf"), fetched("2"))
    read(world, fetched("1", 1500, document_url="/secret/1.pdf"), fetched("2"))

    reply = bills.call("ExportUser", ExportUserRequest(user_id=USER), ExportUserReply)

    shown = json.loads(reply.json)
    path = f"/bills/{shown['versions'][0]['bill_id']}/document"
    assert {bill["external_bill_id"]: bill["document_url"] for bill in shown["bills"]} == {"1": path, "2": None}
    assert [version["document_url"] for version in shown["versions"]] == [path]
    assert "secret" not in reply.json.decode()


def test_an_export_of_nobody(bills: Stub) -> None:
    reply = bills.call("ExportUser", ExportUserRequest(user_id=SOMEBODY), ExportUserReply)

    assert json.loads(reply.json) == {"bills": [], "versions": [], "links": [], "imports": []}


def test_pages_join_to_the_whole(world: World, bills: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    read(world, *(fetched(str(number)) for number in range(7)))
    whole = json.loads(bills.call("ExportUser", ExportUserRequest(user_id=USER), ExportUserReply).json)
    monkeypatch.setattr(personal.export_page, "__defaults__", (1_500,))

    joined: dict[str, list[object]] = {"bills": [], "versions": [], "links": [], "imports": []}
    cursor, pages = "", 0
    while cursor or not pages:
        reply = bills.call("ExportUser", ExportUserRequest(user_id=USER, cursor=cursor), ExportUserReply)
        for kind, rows in json.loads(reply.json).items():
            joined[kind] += rows
        cursor, pages = reply.next_cursor, pages + 1

    assert joined == whole
    assert pages > 2
    with pytest.raises(InvalidInput):
        bills.call("ExportUser", ExportUserRequest(user_id=USER, cursor="?"), ExportUserReply)


def test_an_export_fits_the_answer_of_a_function() -> None:
    """6 MB of JSON, in which the message stands in base64; a record is at most an item of DynamoDB."""
    assert (personal.PAGE_BYTES + 400_000) * 4 / 3 < 6_000_000


def test_what_no_user_has_is_not_shown() -> None:
    with pytest.raises(TypeError):
        module._shown(Record("key", "bills", "text").data)


def test_a_purge_takes_everything_and_leaves_a_mark(world: World, table: BillTable, bills: Stub) -> None:
    read(world, fetched("1", 1000), fetched("2", 2000))
    read(world, fetched("1", 1500), fetched("2", 2000))
    world.projection.project_link(USER, OTHER_LINK, world.services.accounts[LINK], "REVOKED", "", 3)
    read(world, fetched("3"), user_id=SOMEBODY)
    world.cache.bumps.clear()

    first, again = purge(bills), purge(bills)

    assert (first.deleted, first.more) == (5, False)
    assert (again.deleted, again.more) == (0, False)
    assert keys_of(USER) == [GONE]
    assert len(keys_of(SOMEBODY)) == 2
    assert world.cache.bumps == [(USER, "bills")] * 2
    mark = Item.get(USER, GONE)
    assert set(mark.attribute_values) == {"user_id", "sk", "expires_at"}
    assert mark.expires_at == world.clock.now() + timedelta(days=30)


def test_a_purge_in_parts_begins_with_the_links(world: World, table: BillTable) -> None:
    read(world, *(fetched(str(number)) for number in range(5)))
    table.mark_gone(USER)

    assert table.delete(USER, 1) == 1
    assert not table.link(USER, LINK)
    assert [table.delete(USER, 3) for _ in range(3)] == [3, 2, 0]


def test_a_late_refresh_writes_nothing(world: World, bills: Stub) -> None:
    """It opened the credentials before they were shredded."""
    read(world, fetched("1"))
    purge(bills)

    for link_id in (LINK, OTHER_LINK):
        world.services.accounts.setdefault(link_id, world.services.accounts[LINK])
        world.answers = [[fetched("1"), fetched("2")]]
        with pytest.raises(NotFound):
            bills.call("RefreshLink", RefreshLinkRequest(user_id=USER, link_id=link_id), RefreshLinkReply)

    assert keys_of(USER) == [GONE]


@pytest.mark.parametrize("state", ["ACTIVE", "REVOKED"])
def test_a_late_event_is_done_and_writes_nothing(world: World, bills: Stub, state: str) -> None:
    purge(bills)
    told = ProjectLinkRequest(user_id=USER, link_id=LINK, provider_id="prv_clearwater", state=state, version=9)

    assert not bills.call("ProjectLink", told, ProjectLinkReply).applied
    assert keys_of(USER) == [GONE]


def test_a_refresh_that_meets_the_purge_halfway(world: World, table: BillTable) -> None:
    """It read the link's record, then the purge took it, then it writes."""
    read(world, fetched("1"))
    seen = table.link(USER, LINK)
    assert seen is not None
    table.mark_gone(USER)
    table.delete(USER, 1000)

    with pytest.raises(LinkMoved):
        table.save(seen, replace(seen, bill_count=9))
    with pytest.raises(UserGone):
        table.save(Link(user_id=USER, link_id=LINK), Link(user_id=USER, link_id=LINK))
    assert keys_of(USER) == [GONE]


def test_late_news_of_an_outbox_write_nothing(world: World, table: BillTable, bills: Stub) -> None:
    world.publisher.down = True
    read(world, fetched("1"))
    world.clock.advance(timedelta(minutes=5))
    (waiting,) = table.pending_events(10)
    purge(bills)

    table.clear_outbox(waiting)

    assert table.pending_events(10) == []
    assert keys_of(USER) == [GONE]


@pytest.mark.parametrize("method", ["ExportUser", "PurgeUser"])
def test_nobody_is_exported_or_purged(bills: Stub, method: str) -> None:
    request = ExportUserRequest() if method == "ExportUser" else PurgeUserRequest()
    with pytest.raises(InvalidInput):
        bills.call(method, request, ExportUserReply)
