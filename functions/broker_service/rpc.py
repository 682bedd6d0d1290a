"""RPC Broker and RPC Webhooks, a function each: what other services may ask for."""

from typing import TYPE_CHECKING

import msgspec

from functions.broker_service import bootstrap
from functions.broker_service.emitter import Emitter
from functions.broker_service.model import JobId, LinkId, LinkResult, Outcome, UserId
from functions.broker_service.service import Jobs
from functions.broker_service.webhook_model import DeliveryId, WebhookId
from functions.common.clock import Clock, SystemClock
from functions.common.errors import FieldError, InvalidInput
from functions.common.rpc.server import LambdaRpcHandler, RpcContext
from functions.contracts.events.envelope import CloudEvent, parse
from functions.contracts.rpc import broker_pb2, webhooks_pb2
from functions.contracts.rpc.broker_pb2 import (
    Event,
    PublishReply,
    PublishRequest,
    RecordJobResultReply,
    RecordJobResultRequest,
)
from functions.contracts.rpc.common_pb2 import ExportUserReply, ExportUserRequest, PurgeUserReply, PurgeUserRequest
from functions.contracts.rpc.webhooks_pb2 import (
    NotifyReply,
    NotifyRequest,
    SendDueReply,
    SendDueRequest,
    SendReply,
    SendRequest,
)

if TYPE_CHECKING:
    from functions.broker_service.sending import Sending


class BrokerServicer:
    def __init__(self, emitter: Emitter, jobs: Jobs, clock: Clock) -> None:
        self._emitter = emitter
        self._jobs = jobs
        self._clock = clock

    def Publish(self, request: PublishRequest, _context: RpcContext) -> PublishReply:
        events = [_read(number, event) for number, event in enumerate(request.events)]
        return PublishReply(failed_event_ids=sorted(self._emitter.publish(events)))

    def RecordJobResult(self, request: RecordJobResultRequest, _context: RpcContext) -> RecordJobResultReply:
        result = LinkResult(
            link_id=LinkId(request.link_id),
            outcome=_outcome(request.outcome),
            error_code=request.error_code,
            created=request.created,
            updated=request.updated,
            unchanged=request.unchanged,
            at=self._clock.now(),
        )
        job = self._jobs.record_job_result(UserId(request.user_id), JobId(request.job_id), result)
        return RecordJobResultReply(state=job.state)

    def ExportUser(self, request: ExportUserRequest, _context: RpcContext) -> ExportUserReply:
        page = self._jobs.export_user(_user(request.user_id), request.cursor)
        return ExportUserReply(json=page.json, next_cursor=page.next_cursor)

    def PurgeUser(self, request: PurgeUserRequest, _context: RpcContext) -> PurgeUserReply:
        deleted, more = self._jobs.purge_user(_user(request.user_id))
        return PurgeUserReply(deleted=deleted, more=more)


class WebhooksServicer:
    def __init__(self, sending: "Sending") -> None:
        self._sending = sending

    def Notify(self, request: NotifyRequest, _context: RpcContext) -> NotifyReply:
        try:
            event = parse(request.cloud_event)
        except msgspec.MsgspecError as error:
            message = f"This is no CloudEvent: {error}."
            raise InvalidInput.of(FieldError("cloud_event", "invalid", message)) from error
        return NotifyReply(deliveries=self._sending.notify(event))

    def SendDue(self, request: SendDueRequest, _context: RpcContext) -> SendDueReply:
        if request.limit < 1:
            raise InvalidInput.of(FieldError("limit", "invalid", "It must be at least 1."))
        tried, more = self._sending.send_due(request.limit)
        return SendDueReply(tried=tried, more=more)

    def Send(self, request: SendRequest, _context: RpcContext) -> SendReply:
        webhook_id, delivery_id = WebhookId(request.webhook_id), DeliveryId(request.delivery_id)
        return SendReply(tried=self._sending.send(_user(request.user_id), webhook_id, delivery_id))

    def ExportUser(self, request: ExportUserRequest, _context: RpcContext) -> ExportUserReply:
        page = self._sending.export_user(_user(request.user_id), request.cursor)
        return ExportUserReply(json=page.json, next_cursor=page.next_cursor)

    def PurgeUser(self, request: PurgeUserRequest, _context: RpcContext) -> PurgeUserReply:
        deleted, more = self._sending.purge_user(_user(request.user_id))
        return PurgeUserReply(deleted=deleted, more=more)


def _read(number: int, event: Event) -> CloudEvent:
    try:
        document = parse(event.cloud_event)
    except msgspec.MsgspecError as error:
        path = f"events[{number}].cloud_event"
        raise InvalidInput.of(FieldError(path, "invalid", f"This is no CloudEvent: {error}.")) from error
    for name, told, found in (("event_id", event.event_id, document.id), ("type", event.type, document.type)):
        if told != found:
            path = f"events[{number}].{name}"
            raise InvalidInput.of(FieldError(path, "differs", "The event's document says otherwise."))
    return document


def _user(user_id: str) -> UserId:
    """Raises InvalidInput when it is empty."""
    if not user_id:
        raise InvalidInput.of(FieldError("user_id", "missing", "This field is required."))
    return UserId(user_id)


def _outcome(text: str) -> Outcome:
    try:
        return Outcome(text)
    except ValueError as error:
        message = f"It must be one of: {', '.join(Outcome)}."
        raise InvalidInput.of(FieldError("outcome", "invalid", message)) from error


handler = LambdaRpcHandler(
    broker_pb2.DESCRIPTOR.services_by_name["Broker"],
    lambda: BrokerServicer(bootstrap.emitter(), bootstrap.jobs(), SystemClock()),
)
webhooks_handler = LambdaRpcHandler(
    webhooks_pb2.DESCRIPTOR.services_by_name["Webhooks"],
    lambda: WebhooksServicer(bootstrap.sending()),
)
