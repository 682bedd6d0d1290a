"""One servicer behind either transport: the real Lambda channel on a client of 20 lines, and real gRPC on loopback."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from botocore.exceptions import EndpointConnectionError
from google.protobuf.message import Message

from functions.common import aws
from functions.common.rpc.client import Channel, Stub
from functions.common.rpc.grpc_channel import channel_at
from functions.common.rpc.lambda_channel import LambdaChannel
from functions.common.rpc.server import LambdaRpcHandler, RpcContext
from functions.contracts.rpc import users_pb2
from functions.contracts.rpc.users_pb2 import GetUserRequest, User
from infra.grpc_server import GrpcServer, ServerSettings

USERS = users_pb2.DESCRIPTOR.services_by_name["Users"]
Answer = Callable[[GetUserRequest, RpcContext], Message]


class Users:
    """A servicer whose answer each test chooses."""

    def __init__(self) -> None:
        self.answer: Answer = lambda request, context: User(user_id=request.user_id, name="Ada")

    def GetUser(self, request: GetUserRequest, context: RpcContext) -> Message:
        return self.answer(request, context)


@dataclass
class Transport:
    name: str
    users: Users
    channel: Channel
    go_down: Callable[[], None]
    come_back: Callable[[], None]

    def stub(self, seconds: float = 10) -> Stub:
        return Stub(USERS, self.channel, seconds)


class LambdaClient:
    """boto3's Lambda client with one function behind it, in this process."""

    def __init__(self, handler: LambdaRpcHandler) -> None:
        self._handler = handler
        self.down = False

    def invoke(self, *, FunctionName: str, Payload: bytes, **options: str) -> dict[str, Any]:  # noqa: N803 - boto3's
        if self.down:
            raise EndpointConnectionError(endpoint_url="http://nowhere")
        answer = json.dumps(self._handler(json.loads(Payload), None)).encode()

        class Body:
            def read(self) -> bytes:
                return answer

        return {"Payload": Body()}

    def set_down(self, *, down: bool) -> None:
        self.down = down


@contextmanager
def over_lambda() -> Iterator[Transport]:
    users = Users()
    client = LambdaClient(LambdaRpcHandler(USERS, lambda: users, {}))
    with patch.object(aws, "lambda_invoke", lambda: client):
        yield Transport(
            "lambda",
            users,
            LambdaChannel("users"),
            lambda: client.set_down(down=True),
            lambda: client.set_down(down=False),
        )


@contextmanager
def over_grpc() -> Iterator[Transport]:
    users = Users()
    handler = LambdaRpcHandler(USERS, lambda: users, {})
    servers = [GrpcServer([handler], ServerSettings(port=0))]
    port = servers[0].start()
    channel_at.cache_clear()

    def come_back() -> None:
        servers.append(GrpcServer([handler], ServerSettings(port=port)))
        servers[-1].start()

    try:
        yield Transport("grpc", users, channel_at("127.0.0.1", port), lambda: servers[-1].stop(0), come_back)
    finally:
        servers[-1].stop(0)
        channel_at.cache_clear()
