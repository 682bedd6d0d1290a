"""RPC `Users`, through its envelope."""

import pytest

from functions.common.errors import InvalidInput, NotFound, PreconditionFailed
from functions.common.rpc.client import Stub
from functions.common.rpc.server import LambdaRpcHandler
from functions.contracts.rpc.common_pb2 import FlushOutboxReply, FlushOutboxRequest, PurgeUserReply, PurgeUserRequest
from functions.contracts.rpc.users_pb2 import (
    MAIL_KIND_RESET_PASSWORD,
    GetUserRequest,
    SendMailReply,
    SendMailRequest,
    User,
)
from functions.user_service import bootstrap, rpc
from functions.user_service.model import UserId
from tests.support.fakes import LoopbackChannel
from tests.unit.user_service.fakes import World

EMAIL = "ada@example.com"


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    world = World()
    monkeypatch.setattr(bootstrap, "directory", lambda: world.directory)
    monkeypatch.setattr(bootstrap, "mailing", lambda: world.mailing)
    monkeypatch.setattr(bootstrap, "purge", lambda: world.purge)
    return world


@pytest.fixture
def stub(world: World) -> Stub:
    return Stub(rpc.SERVICE, LoopbackChannel(LambdaRpcHandler(rpc.SERVICE, rpc.build)))


@pytest.fixture
def user_id(world: World) -> UserId:
    return world.users.register(EMAIL, "correct horse", "Ada").user_id


def test_get_user(world: World, stub: Stub, user_id: UserId) -> None:
    world.users.grant_role(EMAIL, "admin")
    assert stub.call("GetUser", GetUserRequest(user_id=user_id), User) == User(
        user_id=user_id, email=EMAIL, name="Ada", roles=["admin"], created_at="2026-03-15T12:00:00.000Z"
    )


def test_get_user_tells_what_the_user_chose(world: World, stub: Stub, user_id: UserId) -> None:
    world.users.update_user(user_id, {"currency": "EUR", "time_zone": "Europe/Berlin", "reminder_days": 0})

    user = stub.call("GetUser", GetUserRequest(user_id=user_id), User)

    assert (user.currency, user.time_zone) == ("EUR", "Europe/Berlin")
    assert user.HasField("reminder_days"), "on the day itself is a choice"
    assert not user.HasField("reminder_repeat_days")


@pytest.mark.parametrize("unknown", ["", "usr_x", "email#ada@example.com"])
def test_an_unknown_user_is_not_found(stub: Stub, user_id: UserId, unknown: str) -> None:
    with pytest.raises(NotFound):
        stub.call("GetUser", GetUserRequest(user_id=unknown), User)


def test_send_mail(world: World, stub: Stub, user_id: UserId) -> None:
    for email, sent in ((EMAIL, True), ("nobody@example.com", False), ("no address", False)):
        request = SendMailRequest(email=email, kind=MAIL_KIND_RESET_PASSWORD)
        assert stub.call("SendMail", request, SendMailReply).sent is sent
    with pytest.raises(InvalidInput):
        stub.call("SendMail", SendMailRequest(email=EMAIL), SendMailReply)


def test_purge_user_and_flush_outbox(world: World, stub: Stub, user_id: UserId) -> None:
    with pytest.raises(PreconditionFailed):
        stub.call("PurgeUser", PurgeUserRequest(user_id=user_id), PurgeUserReply)
    world.publisher.down = True
    world.users.delete_user(user_id)
    world.publisher.down = False
    assert stub.call("FlushOutbox", FlushOutboxRequest(limit=10), FlushOutboxReply).published == 1
    assert stub.call("PurgeUser", PurgeUserRequest(user_id=user_id), PurgeUserReply).deleted == 2
    assert stub.call("PurgeUser", PurgeUserRequest(user_id=user_id), PurgeUserReply).deleted == 0
