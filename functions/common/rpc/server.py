"""Serves a gRPC servicer: from a Lambda function, or behind a real gRPC server (infra/grpc_server.py).

The servicer has one method per RPC with gRPC's own signature `(request, context) -> reply`. It raises AppErrors. An
answer is always a Reply, never an exception: an engine may kill the worker over one, and the caller could not tell what
went wrong.
"""

import functools
import logging
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from functions.common import logs
from functions.common.context import invocation, remaining_seconds
from functions.common.errors import AppError, DeadlineExceeded, MalformedBody, NotImplementedYet
from functions.common.rpc.envelope import Call, Reply
from functions.common.rpc.status import StatusCode, info_of, status_of

log = logging.getLogger(__name__)


class RpcContext(Protocol):
    """What a servicer method may ask of its call; `grpc.ServicerContext` fits."""

    def time_remaining(self) -> float:
        """Seconds until the caller gives up."""
        ...


@dataclass(frozen=True, slots=True)
class InvocationContext:
    def time_remaining(self) -> float:
        return remaining_seconds()


class LambdaRpcHandler:
    """A Lambda handler: `handler = LambdaRpcHandler(USERS, build_servicer)`. The servicer is built on the first
    call, or by `prepare`."""

    def __init__(
        self, service: ServiceDescriptor, build: Callable[[], object], environ: Mapping[str, str] = os.environ
    ) -> None:
        self.service = service
        self._build = build
        self._environ = environ

    @functools.cached_property
    def _servicer(self) -> object:
        return self._build()

    def prepare(self) -> None:
        """Builds the servicer now: raises what that raises."""
        _ = self._servicer

    def __call__(self, event: dict[str, Any], context: Any) -> dict[str, Any]:  # Any: Lambda's own event and context
        logs.configure(self._environ.get("LOG_LEVEL", "INFO"))
        try:
            call = Call.from_payload(event)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            log.warning("rpc_malformed", extra=logs.fields(error=type(error).__name__))
            return Reply(StatusCode.INVALID_ARGUMENT, detail="The payload is no RPC envelope.").to_payload()
        own = context.get_remaining_time_in_millis() if context else call.timeout_ms
        return self.answer(call, own / 1000).to_payload()

    def answer(self, call: Call, seconds: float, context: RpcContext | None = None) -> Reply:
        """Carries the call out, whatever brought it here; `seconds` is how long the server itself may take."""
        started = time.perf_counter()
        with invocation(call.correlation_id, min(call.timeout_ms / 1000, seconds), call.traceparent):
            reply = self._serve(call, context or InvocationContext())
            milliseconds = round((time.perf_counter() - started) * 1000, 1)
            log.info("rpc", extra=logs.fields(method=call.method, status=reply.status.name, ms=milliseconds))
            return reply

    def _serve(self, call: Call, context: RpcContext) -> Reply:
        try:
            method = self._method(call.method)
            request = _decode(method, call.message)
            if remaining_seconds() <= 0:
                raise DeadlineExceeded("The caller's deadline had passed before the call began.")
            servicer_method: Callable[[Message, RpcContext], Message] = getattr(self._servicer, method.name)
            return Reply(StatusCode.OK, servicer_method(request, context).SerializeToString())
        except AppError as error:
            return Reply(status_of(error), detail=error.detail, info=info_of(error))
        # The outermost edge of an RPC: the caller learns that it failed, the log learns why.
        except Exception:
            log.exception("unhandled", extra=logs.fields(method=call.method))
            internal = AppError("Something went wrong in the called service.")
            return Reply(status_of(internal), detail=internal.detail, info=info_of(internal))

    def _method(self, full_name: str) -> MethodDescriptor:
        service_name, _, name = full_name.partition("/")
        method = self.service.methods_by_name.get(name)
        if service_name != self.service.full_name or method is None:
            raise NotImplementedYet(f"{full_name} is not served here.")
        return method


def _decode(method: MethodDescriptor, message: bytes) -> Message:
    try:
        return GetMessageClass(method.input_type).FromString(message)
    except DecodeError as error:
        raise MalformedBody(f"The message is no {method.input_type.name}.") from error
