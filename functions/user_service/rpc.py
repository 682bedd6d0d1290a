"""RPC `Users`, contract in functions/contracts/rpc/users.proto."""

from dataclasses import dataclass

from functions.common.clock import rfc3339
from functions.common.rpc.server import LambdaRpcHandler, RpcContext
from functions.contracts.rpc import users_pb2
from functions.user_service import bootstrap
from functions.user_service.model import UserId
from functions.user_service.service import Users

SERVICE = users_pb2.DESCRIPTOR.services_by_name["Users"]


@dataclass(frozen=True, slots=True)
class UsersServicer:
    users: Users

    def GetUser(self, request: users_pb2.GetUserRequest, context: RpcContext) -> users_pb2.User:  # noqa: ARG002
        user = self.users.get_user(UserId(request.user_id))
        return users_pb2.User(
            user_id=user.user_id,
            email=user.email,
            name=user.name,
            roles=sorted(user.roles),
            created_at=rfc3339(user.created_at),
        )


def build() -> UsersServicer:
    return UsersServicer(bootstrap.users())


handler = LambdaRpcHandler(SERVICE, build)
