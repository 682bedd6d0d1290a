"""An RPC that does nothing but answer: as a Lambda handler, and as a gRPC server (`python -m … rpc|bare`)."""

import sys
from typing import TYPE_CHECKING

from functions.common import logs
from functions.common.rpc.server import LambdaRpcHandler, RpcContext
from functions.contracts.rpc import users_pb2
from functions.contracts.rpc.users_pb2 import GetUserRequest, User

if TYPE_CHECKING:
    import grpc

    from infra.grpc_server import GrpcServer

USERS = users_pb2.DESCRIPTOR.services_by_name["Users"]
METHOD = f"/{USERS.full_name}/GetUser"


class Echo:
    def GetUser(self, request: GetUserRequest, _context: RpcContext) -> User:
        return User(user_id=request.user_id)


handler = LambdaRpcHandler(USERS, Echo)


def serve(kind: str) -> None:
    """Prints its port and serves until its standard input ends."""
    server, port = _rpc() if kind == "rpc" else _bare()
    print(port, flush=True)
    sys.stdin.read()
    server.stop(0)


def _rpc() -> tuple["GrpcServer", int]:
    from infra.grpc_server import GrpcServer, ServerSettings

    logs.configure("INFO", sys.stderr)
    server = GrpcServer([handler], ServerSettings(port=0))
    return server, server.start()


def _bare() -> tuple["grpc.Server", int]:
    from concurrent.futures import ThreadPoolExecutor

    import grpc

    echo: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(lambda message, _: message)
    methods = grpc.method_handlers_generic_handler(USERS.full_name, {"GetUser": echo})
    server = grpc.server(ThreadPoolExecutor(16), handlers=[methods])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, port


if __name__ == "__main__":
    serve(sys.argv[1])
