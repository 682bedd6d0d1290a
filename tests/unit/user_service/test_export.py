"""An export is whole or none."""

import json
from dataclasses import replace

import pytest

from functions.common import cursor as cursors
from functions.common.errors import InvalidInput, NotFound, Unavailable
from functions.common.rpc.client import Stub
from functions.common.rpc.envelope import Call, Reply
from functions.common.rpc.status import StatusCode
from functions.contracts.rpc import broker_pb2
from functions.contracts.rpc.common_pb2 import ExportUserReply, ExportUserRequest
from functions.user_service.model import UserId
from tests.unit.user_service.fakes import World

BROKER = broker_pb2.DESCRIPTOR.services_by_name["Broker"]


class Owner:
    """A service that holds these pages on everybody."""

    def __init__(self, *pages: bytes) -> None:
        self.pages = pages
        self.asked: list[ExportUserRequest] = []

    def invoke(self, call: Call) -> Reply:
        request = ExportUserRequest.FromString(call.message)
        self.asked.append(request)
        if not self.pages:
            return Reply(StatusCode.UNAVAILABLE, detail="down")
        number = int(request.cursor or 0)
        more = str(number + 1) if number + 1 < len(self.pages) else ""
        return Reply(StatusCode.OK, ExportUserReply(json=self.pages[number], next_cursor=more).SerializeToString())

    def post(self, call: Call) -> None:
        raise AssertionError


def world_with(**owners: Owner) -> tuple[World, UserId]:
    world = World()
    user = world.users.register("ada@example.com", "correct horse", "Ada")
    world.sessions.log_in("ada@example.com", "correct horse", "192.0.2.7")
    world.owners = {name: Stub(BROKER, owner) for name, owner in owners.items()}
    return world, user.user_id


def test_all_parts_and_pages_come_together() -> None:
    bills = Owner(b'{"bills": [{"n": 1}], "links": []}', b'{"bills": [{"n": 2}], "links": [{"l": 1}]}')
    world, user_id = world_with(accounts=Owner(b'{"accounts": []}'), bills=bills)

    export = world.export.export_user(user_id)

    assert (export.user.email, len(export.sessions), export.exported_at) == ("ada@example.com", 1, world.clock.now())
    shown = {
        name: {k: [json.loads(bytes(raw)) for raw in v] for k, v in part.items()} for name, part in export.parts.items()
    }
    assert shown == {"accounts": {"accounts": []}, "bills": {"bills": [{"n": 1}, {"n": 2}], "links": [{"l": 1}]}}
    assert [(request.user_id, request.cursor) for request in bills.asked] == [(user_id, ""), (user_id, "1")]


@pytest.mark.parametrize("document_bytes", [1, 40, 60, 10_000])
def test_what_does_not_fit_a_document_goes_on_in_the_next(document_bytes: int) -> None:
    pages = [json.dumps({"bills": [{"n": number}]}).encode() for number in range(5)]
    world, user_id = world_with(accounts=Owner(b'{"links": [1]}'), bills=Owner(*pages), jobs=Owner(b'{"items": [2]}'))
    joined: dict[str, list[object]] = {"accounts.links": [], "bills.bills": [], "jobs.items": []}
    cursor, documents = "", 0
    while cursor or not documents:
        export = replace(world.export, document_bytes=document_bytes).export_user(user_id, cursor)
        for name, part in export.parts.items():
            for kind, records in part.items():
                joined[f"{name}.{kind}"] += [json.loads(bytes(record)) for record in records]
        cursor, documents = export.next_cursor or "", documents + 1

    assert joined == {"accounts.links": [1], "bills.bills": [{"n": n} for n in range(5)], "jobs.items": [2]}
    assert documents == {1: 7, 40: 5, 60: 3, 10_000: 1}[document_bytes]


@pytest.mark.parametrize("cursor", ["nonsense!", cursors.encode({"part": "users", "cursor": ""}), cursors.encode({})])
def test_a_cursor_that_is_none(cursor: str) -> None:
    world, user_id = world_with(accounts=Owner(b"{}"))

    with pytest.raises(InvalidInput):
        world.export.export_user(user_id, cursor)


def test_a_cursor_that_the_part_does_not_know() -> None:
    class Strict(Owner):
        def invoke(self, call: Call) -> Reply:
            return Reply(StatusCode.INVALID_ARGUMENT, detail="no cursor")

    world, user_id = world_with(accounts=Strict())

    with pytest.raises(InvalidInput):
        world.export.export_user(user_id, cursors.encode({"part": "accounts", "cursor": "x"}))


@pytest.mark.parametrize("broken", [Owner(), Owner(b"no json"), Owner(b"[]"), Owner(b'{"bills": 1}')])
def test_a_part_that_lacks_is_named(broken: Owner) -> None:
    world, user_id = world_with(accounts=Owner(b"{}"), bills=broken, jobs=Owner())

    with pytest.raises(Unavailable) as refused:
        world.export.export_user(user_id)

    assert refused.value.detail.endswith(": bills, jobs.")
    assert refused.value.code == "export_incomplete"


def test_nobody_has_no_export() -> None:
    world, _ = world_with(accounts=Owner(b"{}"))
    with pytest.raises(NotFound):
        world.export.export_user(UserId("usr_x"))
