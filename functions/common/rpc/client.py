"""Calls another service by its contract. The calling code does not know how the call travels: the target in the
settings does.

    providers = Stub(providers_pb2.DESCRIPTOR.services_by_name["Providers"], channel_to(settings.rpc_providers))
    provider = providers.call("GetProvider", GetProviderRequest(provider_id="prv_…"), Provider)
"""

import re
from typing import Protocol, TypeVar

from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import DecodeError, Message

from functions.common.context import correlation_id, remaining_seconds, traceparent
from functions.common.errors import DeadlineExceeded, Unavailable
from functions.common.rpc.envelope import Call, Reply
from functions.common.rpc.status import StatusCode, error_from
from functions.contracts.rpc.common_pb2 import ErrorInfo

DEFAULT_SECONDS = 10.0
M = TypeVar("M", bound=Message)
_HOST_AND_PORT = re.compile(r"//(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+):[0-9]{1,5}")


class Channel(Protocol):
    """Carries one unary call. Raises Unavailable when it cannot be carried, DeadlineExceeded when it takes too long."""

    def invoke(self, call: Call) -> Reply: ...

    def post(self, call: Call) -> None:
        """Hands the call over and does not wait: what becomes of it, nobody learns."""
        ...


class Stub:
    """The methods of one service. The deadline of a call is `seconds`, or less if the own caller waits less long."""

    def __init__(self, service: ServiceDescriptor, channel: Channel, seconds: float = DEFAULT_SECONDS) -> None:
        self._service = service
        self._channel = channel
        self._seconds = seconds

    def call(self, method: str, request: Message, reply_type: type[M]) -> M:
        """Raises the AppError that the callee raised, or the channel's."""
        name = self._name(method)
        seconds = remaining_seconds(default=self._seconds)
        if seconds <= 0:
            raise DeadlineExceeded(f"No time was left to call {name}.")
        timeout_ms = int(min(self._seconds, seconds) * 1000)
        reply = self._channel.invoke(_call(name, request, timeout_ms))
        if reply.status is not StatusCode.OK:
            raise error_from(reply.status, reply.detail, reply.info or ErrorInfo())
        try:
            return reply_type.FromString(reply.message)
        except DecodeError as error:
            raise Unavailable(f"{name} did not answer with a {reply_type.DESCRIPTOR.name}.") from error

    def post(self, method: str, request: Message) -> None:
        """Has the callee do it without waiting for the answer. Raises Unavailable when it cannot be handed over."""
        timeout_ms = int(self._seconds * 1000)
        self._channel.post(_call(self._name(method), request, timeout_ms))

    def _name(self, method: str) -> str:
        return f"{self._service.full_name}/{self._service.methods_by_name[method].name}"


def _call(name: str, request: Message, timeout_ms: int) -> Call:
    return Call(name, request.SerializeToString(), timeout_ms, correlation_id(), traceparent())


def channel_to(target: str) -> Channel:
    """Raises ValueError for a target of no known kind."""
    kind, address = target_of(target)
    if kind == "lambda":
        from functions.common.rpc.lambda_channel import LambdaChannel

        return LambdaChannel(address)
    from functions.common.rpc.grpc_channel import channel_at

    host, _, port = address.rpartition(":")
    return channel_at(host, int(port))


def target_of(target: str) -> tuple[str, str]:
    """("lambda", name) of `lambda:<function name>`, ("grpc", "host:port") of `grpc://<host>:<port>`. Raises ValueError
    for anything else."""
    kind, _, address = target.partition(":")
    if kind == "lambda" and address:
        return kind, address
    if kind == "grpc" and _HOST_AND_PORT.fullmatch(address):
        return kind, address.removeprefix("//")
    raise ValueError(f"RPC target {target!r}: want lambda:<function name> or grpc://<host>:<port>")
