"""RPC Reminders: what the sweep asks, of a function that reaches neither utilities nor credentials."""

from functions.bill_aggregation_service import bootstrap
from functions.bill_aggregation_service.reminders import Reminders
from functions.common.rpc.server import LambdaRpcHandler, RpcContext
from functions.contracts.rpc.reminders_pb2 import DESCRIPTOR, EmitDueReply, EmitDueRequest

MAX_BILLS = 500


class RemindersServicer:
    def __init__(self, reminders: Reminders) -> None:
        self._reminders = reminders

    def EmitDue(self, request: EmitDueRequest, context: RpcContext) -> EmitDueReply:  # noqa: ARG002
        done = self._reminders.emit_due(min(max(request.limit, 1), MAX_BILLS))
        return EmitDueReply(looked=done.looked, emitted=done.emitted, more=done.more)


handler = LambdaRpcHandler(
    DESCRIPTOR.services_by_name["Reminders"],
    lambda: RemindersServicer(bootstrap.reminders()),
)
