"""Carries unary RPCs over HTTP/2 to a real gRPC server (docs/grpc.md, ADR 0012).

grpcio is imported when a `grpc://` target is used and never before: an artefact holds it only if it was built for one.
What is sent and understood is what any gRPC peer knows: canonical status codes, `grpc-timeout` for the deadline, and
google.rpc.Status in `grpc-status-details-bin` with our ErrorInfo in it.
"""

import ipaddress
import logging
import os
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from functions.common import logs
from functions.common.context import TRACE_HEADER
from functions.common.errors import DeadlineExceeded, Unavailable
from functions.common.rpc.envelope import Call, Reply
from functions.common.rpc.status import StatusCode
from functions.common.settings import SettingsError, load
from functions.contracts.rpc.common_pb2 import ErrorInfo

if TYPE_CHECKING:
    import grpc

log = logging.getLogger(__name__)

CORRELATION_KEY = "x-correlation-id"
TOKEN_KEY = "authorization"  # noqa: S105 - a name
POST_KEY = "x-rpc-post"
"""Asks the server to take the call over and answer at once (`Channel.post`)."""
MAX_MESSAGE_BYTES = 6 << 20
"""As much as a Lambda Invoke carries."""
OPTIONS = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    # an error that names many fields travels in the trailers
    ("grpc.max_metadata_size", 1 << 18),
    ("grpc.absolute_max_metadata_size", 1 << 18),
    ("grpc.enable_http_proxy", 0),
    # a server that comes back is found within a second or two, not after the two minutes of the default
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
)
TRANSPORT = frozenset(
    {StatusCode.CANCELLED, StatusCode.UNKNOWN, StatusCode.RESOURCE_EXHAUSTED, StatusCode.INTERNAL,
     StatusCode.UNAVAILABLE, StatusCode.UNAUTHENTICATED, StatusCode.PERMISSION_DENIED}
)  # fmt: skip
"""What the wire, a proxy or the check of the call token says when no servicer has spoken: to the caller's own caller
none of it is his fault."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GrpcSettings:
    """What a caller of a `grpc://` target may need. Read when there is one, and never otherwise."""

    rpc_ca_file: str = ""
    """PEM file with the authorities that may sign the server's certificate. Empty: the public ones."""
    rpc_token: str = field(default="", repr=False)
    """The call token, which a server that is not on loopback wants to see."""


class GrpcChannel:
    def __init__(self, channel: "grpc.Channel", token: str = "") -> None:
        self._channel = channel
        self._token = token

    def invoke(self, call: Call) -> Reply:
        """Raises Unavailable when the server cannot be reached or breaks, DeadlineExceeded when it takes too long."""
        return self._send(call, ())

    def post(self, call: Call) -> None:
        """The server takes the call over. Raises Unavailable when it does not."""
        try:
            self._send(call, ((POST_KEY, "1"),))
        except DeadlineExceeded as error:
            raise Unavailable(f"{call.method} was not taken over in {call.timeout_ms} ms.") from error

    def _send(self, call: Call, more: tuple[tuple[str, str], ...]) -> Reply:
        import grpc

        metadata = ((CORRELATION_KEY, call.correlation_id), (TRACE_HEADER, call.traceparent), *more)
        if self._token:
            metadata += ((TOKEN_KEY, f"Bearer {self._token}"),)
        # without serializers: messages pass as bytes, so that fields of a newer contract are passed over, not lost
        method: grpc.UnaryUnaryMultiCallable[bytes, bytes] = self._channel.unary_unary(f"/{call.method}")
        try:
            return Reply(StatusCode.OK, method(call.message, timeout=call.timeout_ms / 1000, metadata=metadata))
        except grpc.RpcError as error:
            return _reply_of(call, error)


def _reply_of(call: Call, error: "grpc.RpcError") -> Reply:
    """What the servicer said; raises what the wire said."""
    status, detail = StatusCode(error.code().value[0]), error.details() or ""
    info = _info_in(call, error)
    if info is not None:
        return Reply(status, detail=detail, info=info)
    if status is StatusCode.DEADLINE_EXCEEDED:
        raise DeadlineExceeded(f"{call.method} did not answer in {call.timeout_ms} ms.") from error
    if status in TRANSPORT:
        log.warning("rpc_unreachable", extra=logs.fields(method=call.method, status=status.name, error=detail))
        raise Unavailable(f"{call.method} cannot be reached.") from error
    return Reply(status, detail=detail)


def _info_in(call: Call, error: "grpc.RpcError") -> ErrorInfo | None:
    """Of google.rpc.Status in the trailers; None when the answer has none."""
    from google.protobuf.message import DecodeError
    from grpc_status import rpc_status

    info = ErrorInfo()
    try:
        status = rpc_status.from_call(error)  # type: ignore[arg-type]  # an RpcError that was raised is a Call too
        if status is None:
            return None
        for detail in status.details:
            if detail.Is(ErrorInfo.DESCRIPTOR):
                detail.Unpack(info)
    except (ValueError, DecodeError) as garbled:
        raise Unavailable(f"{call.method} did not answer as an RPC.") from garbled
    return info


@cache
def channel_at(host: str, port: int) -> GrpcChannel:
    """One connection for the whole process, opened with the first call. Plain text goes to loopback only. Raises
    SettingsError when the artefact has no grpcio, or a setting is wrong."""
    settings = load(GrpcSettings, os.environ)
    address = f"{host}:{port}"
    try:
        import grpc
    except ModuleNotFoundError as error:
        wanted = f"The RPC target grpc://{address} needs grpcio, which is not in this artefact"
        raise SettingsError(f"{wanted}: build it with GRPC=1 (docs/grpc.md)") from error
    if is_loopback(host) and not settings.rpc_ca_file:
        return GrpcChannel(grpc.insecure_channel(address, OPTIONS), settings.rpc_token)
    credentials = grpc.ssl_channel_credentials(_authorities(settings.rpc_ca_file))
    return GrpcChannel(grpc.secure_channel(address, credentials, OPTIONS), settings.rpc_token)


def _authorities(path: str) -> bytes | None:
    try:
        return Path(path).read_bytes() if path else None
    except OSError as error:
        raise SettingsError(f"RPC_CA_FILE: cannot be read ({error.strerror})") from error


def is_loopback(host: str) -> bool:
    """Whether what is sent there never leaves this machine."""
    name = host.removeprefix("[").removesuffix("]").lower()
    try:
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
