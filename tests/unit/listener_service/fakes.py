"""The services that the listener calls, as servicers behind the RPC envelope, and the messages that reach it."""

import json
from collections.abc import Callable, Iterable

from functions.common.clock import rfc3339
from functions.common.errors import AppError, NotFound
from functions.common.rpc.client import Stub
from functions.common.rpc.server import LambdaRpcHandler, RpcContext
from functions.contracts.events.envelope import CloudEvent
from functions.contracts.rpc.accounts_pb2 import LinkedAccount, ListDueReply, ListDueRequest
from functions.contracts.rpc.bills_pb2 import (
    ProjectLinkReply,
    ProjectLinkRequest,
    RefreshLinkReply,
    RefreshLinkRequest,
)
from functions.contracts.rpc.broker_pb2 import RecordJobResultReply, RecordJobResultRequest
from functions.contracts.rpc.common_pb2 import (
    FlushOutboxReply,
    FlushOutboxRequest,
    PurgeUserReply,
    PurgeUserRequest,
)
from functions.contracts.rpc.reminders_pb2 import EmitDueReply, EmitDueRequest
from functions.contracts.rpc.webhooks_pb2 import NotifyReply, NotifyRequest, SendDueReply, SendDueRequest
from functions.listener_service.bootstrap import ACCOUNTS, BILLS, BROKER, PROVIDERS, REMINDERS, USERS, WEBHOOKS
from functions.listener_service.service import Notifying, Projecting, Purging, Refreshing
from functions.listener_service.sweeping import Sweeping
from tests.support.fakes import FakeClock, FakeDeadLetters, FakePublisher, LoopbackChannel


class Holder:
    """Holds `items` things on every user and deletes a hundred at a time; notes its name in the `purges` of all."""

    def __init__(self, name: str, purges: list[tuple[str, str]]) -> None:
        self.name = name
        self.purges = purges
        self.items = 0
        self.purge_error: AppError | None = None

    def PurgeUser(self, request: PurgeUserRequest, _context: RpcContext) -> PurgeUserReply:
        if self.purge_error:
            raise self.purge_error
        self.purges.append((self.name, request.user_id))
        deleted = min(self.items, 100)
        self.items -= deleted
        return PurgeUserReply(deleted=deleted, more=bool(self.items))


class FakeBills(Holder):
    """`replies` and `errors` by link id."""

    def __init__(self, purges: list[tuple[str, str]]) -> None:
        super().__init__("bills", purges)
        self.refreshed: list[str] = []
        self.projected: list[ProjectLinkRequest] = []
        self.replies: dict[str, RefreshLinkReply] = {}
        self.errors: dict[str, Exception] = {}
        self.before: Callable[[], object] = lambda: None
        self.unsent = [0]

    def RefreshLink(self, request: RefreshLinkRequest, _context: RpcContext) -> RefreshLinkReply:
        self.before()
        self.refreshed.append(request.link_id)
        if request.link_id in self.errors:
            raise self.errors[request.link_id]
        return self.replies.get(request.link_id, RefreshLinkReply(outcome="fresh", created=2, unchanged=1))

    def ProjectLink(self, request: ProjectLinkRequest, _context: RpcContext) -> ProjectLinkReply:
        if request.link_id in self.errors:
            raise self.errors[request.link_id]
        self.projected.append(request)
        return ProjectLinkReply(applied=True)

    def FlushOutbox(self, _request: FlushOutboxRequest, _context: RpcContext) -> FlushOutboxReply:
        return FlushOutboxReply(published=self.unsent.pop(0), more=bool(self.unsent))


class FakeBroker(Holder):
    def __init__(self, purges: list[tuple[str, str]]) -> None:
        super().__init__("broker", purges)
        self.results: list[RecordJobResultRequest] = []
        self.error: AppError | None = None

    def RecordJobResult(self, request: RecordJobResultRequest, _context: RpcContext) -> RecordJobResultReply:
        if self.error:
            raise self.error
        self.results.append(request)
        return RecordJobResultReply(state="running")


class FakeUsers(Holder):
    def __init__(self, purges: list[tuple[str, str]]) -> None:
        super().__init__("users", purges)
        self.unsent = [0]

    def FlushOutbox(self, _request: FlushOutboxRequest, _context: RpcContext) -> FlushOutboxReply:
        return FlushOutboxReply(published=self.unsent.pop(0), more=bool(self.unsent))


class FakeWebhooks(Holder):
    """`due`: how many deliveries each call of SendDue finds; `error`: what Notify raises."""

    def __init__(self, purges: list[tuple[str, str]]) -> None:
        super().__init__("webhooks", purges)
        self.notified: list[bytes] = []
        self.due = [0]
        self.error: AppError | None = None

    def Notify(self, request: NotifyRequest, _context: RpcContext) -> NotifyReply:
        if self.error:
            raise self.error
        self.notified.append(request.cloud_event)
        return NotifyReply(deliveries=1)

    def SendDue(self, _request: SendDueRequest, _context: RpcContext) -> SendDueReply:
        return SendDueReply(tried=self.due.pop(0), more=bool(self.due))


class FakeProviders:
    def __init__(self) -> None:
        self.unsent = [0]

    def FlushOutbox(self, _request: FlushOutboxRequest, _context: RpcContext) -> FlushOutboxReply:
        return FlushOutboxReply(published=self.unsent.pop(0), more=bool(self.unsent))


class FakeReminders:
    """`due`: of how many bills each call finds something to say."""

    def __init__(self) -> None:
        self.due = [0]

    def EmitDue(self, request: EmitDueRequest, _context: RpcContext) -> EmitDueReply:
        return EmitDueReply(looked=request.limit, emitted=self.due.pop(0), more=bool(self.due))


class FakeAccounts(Holder):
    """`due`: one list of link ids per call of ListDue."""

    def __init__(self, purges: list[tuple[str, str]]) -> None:
        super().__init__("accounts", purges)
        self.due: list[list[str]] = [[]]
        self.asked: list[ListDueRequest] = []
        self.unsent = [0]
        self.error: AppError | None = None

    def ListDue(self, request: ListDueRequest, _context: RpcContext) -> ListDueReply:
        if self.error:
            raise self.error
        self.asked.append(request)
        items = [LinkedAccount(user_id="usr_1", link_id=link_id) for link_id in self.due.pop(0)]
        return ListDueReply(items=items, more=bool(self.due))

    def FlushOutbox(self, _request: FlushOutboxRequest, _context: RpcContext) -> FlushOutboxReply:
        return FlushOutboxReply(published=self.unsent.pop(0), more=bool(self.unsent))


class World:
    def __init__(self) -> None:
        self.purges: list[tuple[str, str]] = []
        """Service and user of each call of PurgeUser that was done."""
        self.bills, self.broker = FakeBills(self.purges), FakeBroker(self.purges)
        self.accounts, self.users = FakeAccounts(self.purges), FakeUsers(self.purges)
        self.webhooks = FakeWebhooks(self.purges)
        self.reminders = FakeReminders()
        self.providers = FakeProviders()
        self.publisher = FakePublisher()
        self.dead_letters = FakeDeadLetters()
        self.bills_channel = LoopbackChannel(LambdaRpcHandler(BILLS, lambda: self.bills))
        bills = Stub(BILLS, self.bills_channel)
        broker = Stub(BROKER, LoopbackChannel(LambdaRpcHandler(BROKER, lambda: self.broker)))
        accounts = Stub(ACCOUNTS, LoopbackChannel(LambdaRpcHandler(ACCOUNTS, lambda: self.accounts)))
        users = Stub(USERS, LoopbackChannel(LambdaRpcHandler(USERS, lambda: self.users)))
        webhooks = Stub(WEBHOOKS, LoopbackChannel(LambdaRpcHandler(WEBHOOKS, lambda: self.webhooks)))
        self.notifying = Notifying(webhooks)
        self.refreshing = Refreshing(bills, broker)
        self.projecting = Projecting(bills)
        self.purging = Purging(
            holders={"accounts": accounts, "bills": bills, "jobs": broker, "webhooks": webhooks}, users=users
        )
        reminders = Stub(REMINDERS, LoopbackChannel(LambdaRpcHandler(REMINDERS, lambda: self.reminders)))
        self.sweeping = Sweeping(
            accounts=accounts,
            bills=bills,
            reminders=reminders,
            providers=Stub(PROVIDERS, LoopbackChannel(LambdaRpcHandler(PROVIDERS, lambda: self.providers))),
            users=users,
            webhooks=webhooks,
            publisher=self.publisher,
            clock=FakeClock(),
        )


class FakeContext:
    def __init__(self, milliseconds: int = 30_000) -> None:
        self._milliseconds = milliseconds

    def get_remaining_time_in_millis(self) -> int:
        return self._milliseconds


def sqs_event(bodies: Iterable[CloudEvent | str]) -> dict[str, object]:
    """As Lambda is called by SQS; the n-th message's id is `msg-n`."""
    return {
        "Records": [
            {
                "messageId": f"msg-{number}",
                "receiptHandle": f"handle-{number}",
                "body": body if isinstance(body, str) else body.to_json(),
                "attributes": {"ApproximateReceiveCount": "1"},
                "messageAttributes": {},
                "eventSource": "aws:sqs",
            }
            for number, body in enumerate(bodies)
        ]
    }


def schedule_event() -> dict[str, object]:
    return {
        "version": "0", "id": "1", "detail-type": "Scheduled Event", "source": "aws.events", "account": "123456789012",
        "time": rfc3339(FakeClock().now()), "region": "us-east-1", "resources": [], "detail": json.loads("{}"),
    }  # fmt: skip


def gone() -> NotFound:
    return NotFound("There is no such link.")
