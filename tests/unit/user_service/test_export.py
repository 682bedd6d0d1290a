"""An export is whole or none."""

import json

import pytest

from functions.common.errors import NotFound, Unavailable
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
