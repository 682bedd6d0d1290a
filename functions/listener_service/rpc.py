"""RPC Activity: what other services may ask of the audit."""

from functions.common.errors import FieldError, InvalidInput
from functions.common.rpc.server import LambdaRpcHandler, RpcContext
from functions.contracts.rpc import activity_pb2
from functions.contracts.rpc.common_pb2 import ExportUserReply, ExportUserRequest, PurgeUserReply, PurgeUserRequest
from functions.listener_service import bootstrap
from functions.listener_service.activity import PersonalActivity
from functions.listener_service.model import PLATFORM, UserId


class ActivityServicer:
    def __init__(self, personal: PersonalActivity) -> None:
        self._personal = personal

    def ExportUser(self, request: ExportUserRequest, _context: RpcContext) -> ExportUserReply:
        page = self._personal.export_user(_user(request.user_id), request.cursor)
        return ExportUserReply(json=page.json, next_cursor=page.next_cursor)

    def PurgeUser(self, request: PurgeUserRequest, _context: RpcContext) -> PurgeUserReply:
        deleted, more = self._personal.purge_user(_user(request.user_id))
        return PurgeUserReply(deleted=deleted, more=more)


def _user(user_id: str) -> UserId:
    """Raises InvalidInput when it is nobody's."""
    if user_id in ("", PLATFORM):
        raise InvalidInput.of(FieldError("user_id", "invalid", "This is no user's id."))
    return UserId(user_id)


handler = LambdaRpcHandler(
    activity_pb2.DESCRIPTOR.services_by_name["Activity"],
    lambda: ActivityServicer(bootstrap.personal_activity()),
)
