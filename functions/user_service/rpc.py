"""RPC `Users`, contract in functions/contracts/rpc/users.proto."""

from dataclasses import dataclass

from functions.common.clock import rfc3339
from functions.common.errors import FieldError, InvalidInput
from functions.common.rpc.server import LambdaRpcHandler, RpcContext
from functions.contracts.rpc import users_pb2
from functions.contracts.rpc.common_pb2 import FlushOutboxReply, FlushOutboxRequest, PurgeUserReply, PurgeUserRequest
from functions.user_service import bootstrap
from functions.user_service.mailer import KINDS
from functions.user_service.model import UserId
from functions.user_service.recovery import Mailing
from functions.user_service.service import Directory, Purge

SERVICE = users_pb2.DESCRIPTOR.services_by_name["Users"]
MAILS = {kind: mail for mail, kind in KINDS.items()}


@dataclass(frozen=True, slots=True)
class UsersServicer:
    directory: Directory
    mailing: Mailing
    purge: Purge

    def GetUser(self, request: users_pb2.GetUserRequest, _context: RpcContext) -> users_pb2.User:
        user = self.directory.get_user(UserId(request.user_id))
        return users_pb2.User(
            user_id=user.user_id,
            email=user.email,
            name=user.name,
            roles=sorted(user.roles),
            created_at=rfc3339(user.created_at),
            currency=user.preferences.currency or "",
            time_zone=user.preferences.time_zone or "",
            reminder_days=user.preferences.reminder_days,
            reminder_repeat_days=user.preferences.reminder_repeat_days,
        )

    def SendMail(self, request: users_pb2.SendMailRequest, _context: RpcContext) -> users_pb2.SendMailReply:
        if request.kind not in MAILS:
            raise InvalidInput.of(FieldError("kind", "invalid", "It must say which mail."))
        return users_pb2.SendMailReply(sent=self.mailing.send_mail(request.email, MAILS[request.kind]))

    def PurgeUser(self, request: PurgeUserRequest, _context: RpcContext) -> PurgeUserReply:
        return PurgeUserReply(deleted=self.purge.purge_user(UserId(request.user_id)))

    def FlushOutbox(self, request: FlushOutboxRequest, _context: RpcContext) -> FlushOutboxReply:
        published, more = self.purge.flush_outbox(max(request.limit, 1))
        return FlushOutboxReply(published=published, more=more)


def build() -> UsersServicer:
    return UsersServicer(bootstrap.directory(), bootstrap.mailing(), bootstrap.purge())


handler = LambdaRpcHandler(SERVICE, build)
