"""RPC `Users`, through its envelope."""

import pytest

from functions.common.errors import NotFound
from functions.common.rpc.client import Stub
from functions.common.rpc.server import LambdaRpcHandler
from functions.contracts.rpc.users_pb2 import GetUserRequest, User
from functions.user_service import bootstrap, rpc
from tests.support.fakes import LoopbackChannel
from tests.unit.user_service.fakes import World


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    world = World()
    monkeypatch.setattr(bootstrap, "users", lambda: world.users)
    monkeypatch.setattr(rpc, "handler", LambdaRpcHandler(rpc.SERVICE, rpc.build))
    return world


def test_get_user(world: World) -> None:
    user = world.users.register("ada@example.com", "correct horse", "Ada")
    world.users.grant_role("ada@example.com", "admin")
    reply = Stub(rpc.SERVICE, LoopbackChannel(rpc.handler)).call("GetUser", GetUserRequest(user_id=user.user_id), User)
    assert reply == User(
        user_id=user.user_id,
        email="ada@example.com",
        name="Ada",
        roles=["admin"],
        created_at="2026-03-15T12:00:00.000Z",
    )


@pytest.mark.parametrize("user_id", ["", "usr_x", "email#ada@example.com"])
def test_an_unknown_user_is_not_found(world: World, user_id: str) -> None:
    world.users.register("ada@example.com", "correct horse", "Ada")
    with pytest.raises(NotFound):
        Stub(rpc.SERVICE, LoopbackChannel(rpc.handler)).call("GetUser", GetUserRequest(user_id=user_id), User)
