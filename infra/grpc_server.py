"""A real gRPC server for the servicers that otherwise stand behind Lambda functions (docs/grpc.md, ADR 0012).

Every call goes through the same `LambdaRpcHandler` as over Lambda: decoding, deadline, errors and the log line are one
code. Here stands what HTTP/2 adds: metadata, the call token, health, reflection, TLS, a graceful stop.
"""

import hmac
import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import grpc
from google.rpc.status_pb2 import Status
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from grpc_status import rpc_status

from functions.common import logs
from functions.common.context import TRACE_HEADER, correlation_id, invocation, remaining_seconds, traceparent
from functions.common.rpc.envelope import Call, Reply
from functions.common.rpc.grpc_channel import CORRELATION_KEY, MAX_MESSAGE_BYTES, POST_KEY, TOKEN_KEY, is_loopback
from functions.common.rpc.server import LambdaRpcHandler
from functions.common.rpc.status import StatusCode
from functions.contracts.rpc.common_pb2 import ErrorInfo
from infra.console import Failure

log = logging.getLogger(__name__)

LONGEST_CALL = 60.0
"""Seconds for a call whose caller gave no deadline; the slowest function's own limit."""
POSTS_WAITING = 256
"""Calls taken over and not begun. More are refused: the caller is told, and tries again or does without."""
MIN_TOKEN_CHARS = 32
OPTIONS = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.so_reuseport", 0),  # with it a second server on the same port would be no error, and get half of the calls
)
PUBLIC = f"/{health.SERVICE_NAME}/"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """Where it listens and whom it answers. Off loopback it speaks TLS and wants the call token."""

    host: str = "127.0.0.1"
    port: int = 50051
    """0: any that is free."""
    rpc_token: str = field(default="", repr=False)
    rpc_cert_file: str = ""
    """PEM file with the server's certificate and those that lead to its authority."""
    rpc_key_file: str = ""
    rpc_workers: int = 16
    """Calls of one service that are carried out at once; more wait."""

    def check(self) -> None:
        """Raises Failure when this would be open to others."""
        if bool(self.rpc_cert_file) != bool(self.rpc_key_file):
            raise Failure("RPC_CERT_FILE and RPC_KEY_FILE go together: one of them is missing.")
        if self.rpc_token and len(self.rpc_token) < MIN_TOKEN_CHARS:
            raise Failure(f"RPC_TOKEN is shorter than {MIN_TOKEN_CHARS} characters.", "openssl rand -hex 32 makes one")
        if is_loopback(self.host):
            return
        if not self.rpc_token:
            raise Failure(f"HOST={self.host} is reached by others: RPC_TOKEN must be set.", "openssl rand -hex 32")
        if not self.rpc_cert_file:
            raise Failure(f"HOST={self.host} is reached by others: RPC_CERT_FILE and RPC_KEY_FILE must be set.")


class GrpcServer:
    """Serves the contracts of `handlers`, whose servicers it builds at once. Raises what building one raises."""

    def __init__(self, handlers: Sequence[LambdaRpcHandler], settings: ServerSettings) -> None:
        settings.check()
        self._settings = settings
        self._posts = Posts(settings.rpc_workers)
        # A pool for each service: one that waits for another on the same server must not hold the threads that the
        # other needs. No service waits for itself, however many others stand between.
        self._pools = {handler.service.full_name: _pool(settings, handler.service.name) for handler in handlers}
        self._server = grpc.server(
            _pool(settings, "grpc"),
            handlers=[_generic_handler(it, self._posts, self._pools[it.service.full_name]) for it in handlers],
            interceptors=[CallToken(settings.rpc_token)],
            options=OPTIONS,
        )
        self.names = list(self._pools)
        self._health = health.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        reflection.enable_server_reflection([*self.names, health.SERVICE_NAME, reflection.SERVICE_NAME], self._server)
        for handler in handlers:
            handler.prepare()
            self._health.set(handler.service.full_name, health_pb2.HealthCheckResponse.SERVING)

    def start(self) -> int:
        """Begins to answer; the port. Raises Failure when it cannot listen."""
        host, port = self._settings.host, self._settings.port
        address = f"[{host}]:{port}" if ":" in host and not host.startswith("[") else f"{host}:{port}"
        try:
            bound = self._listen(address)
        except RuntimeError as error:
            raise Failure(
                f"Nothing can listen on {address}: {error}", "Choose another: make grpc PORT=50052"
            ) from error
        self._server.start()
        return bound

    def _listen(self, address: str) -> int:
        if not self._settings.rpc_cert_file:
            return self._server.add_insecure_port(address)
        pair = (_pem("RPC_KEY_FILE", self._settings.rpc_key_file), _pem("RPC_CERT_FILE", self._settings.rpc_cert_file))
        return self._server.add_secure_port(address, grpc.ssl_server_credentials([pair]))

    def stop(self, grace: float) -> None:
        """Takes no more calls and lets those that run end, for at most `grace` seconds; then does what was posted."""
        self._health.enter_graceful_shutdown()
        self._server.stop(grace).wait()
        self._posts.finish()
        for pool in self._pools.values():
            pool.shutdown(wait=False, cancel_futures=True)


def _pool(settings: ServerSettings, name: str) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(settings.rpc_workers, thread_name_prefix=name)


def _pem(variable: str, path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise Failure(f"{variable}={path} cannot be read: {error.strerror}") from error


@dataclass(frozen=True, slots=True)
class GrpcContext:
    """What a servicer may ask of its call."""

    call: grpc.ServicerContext

    def time_remaining(self) -> float:
        """None is left when the caller has cancelled or hung up."""
        return remaining_seconds() if self.call.is_active() else 0.0


class Posts:
    """Calls that were taken over: carried out after their callers have been answered."""

    def __init__(self, workers: int) -> None:
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="post")
        self._room = threading.BoundedSemaphore(POSTS_WAITING)

    def take(self, handler: LambdaRpcHandler, call: Call) -> bool:
        """False when too many wait already."""
        if not self._room.acquire(blocking=False):
            return False
        done = self._pool.submit(handler.answer, call, LONGEST_CALL)
        done.add_done_callback(lambda _: self._room.release())
        return True

    def finish(self) -> None:
        """Waits until all are carried out; each has a deadline of its own."""
        self._pool.shutdown(wait=True)


class CallToken(grpc.ServerInterceptor):
    """Refuses calls without the token, if there is one. Health may be asked by anyone: a balancer has no token."""

    def __init__(self, token: str) -> None:
        self._wanted = f"Bearer {token}".encode() if token else b""

    def intercept_service(  # type: ignore[override]  # the stubs promise a handler; None means: no such method
        self,
        continuation: Callable[[grpc.HandlerCallDetails], "grpc.RpcMethodHandler[object, object] | None"],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> "grpc.RpcMethodHandler[object, object] | None":
        method = handler_call_details.method
        if not self._wanted or method.startswith(PUBLIC) or self._shown(handler_call_details):
            return continuation(handler_call_details)
        log.warning("rpc_refused", extra=logs.fields(method=method[:200]))
        return REFUSAL

    def _shown(self, details: grpc.HandlerCallDetails) -> bool:
        given = next((value for key, value in details.invocation_metadata or () if key == TOKEN_KEY), "")
        return hmac.compare_digest(given if isinstance(given, bytes) else given.encode(), self._wanted)


def _refuse(_request: bytes, context: grpc.ServicerContext) -> bytes:
    context.abort(grpc.StatusCode.UNAUTHENTICATED, "The call token is missing or wrong.")


REFUSAL: "grpc.RpcMethodHandler[object, object]" = grpc.unary_unary_rpc_method_handler(_refuse)


def _generic_handler(handler: LambdaRpcHandler, posts: Posts, pool: ThreadPoolExecutor) -> grpc.GenericRpcHandler:
    service = handler.service
    methods: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {}
    for method in service.methods:
        serve = _behaviour(handler, posts, f"{service.full_name}/{method.name}")
        serve.experimental_thread_pool = pool  # type: ignore[attr-defined]  # grpcio's own way to say where it runs
        methods[method.name] = grpc.unary_unary_rpc_method_handler(serve)
    return grpc.method_handlers_generic_handler(service.full_name, methods)


def _behaviour(handler: LambdaRpcHandler, posts: Posts, method: str) -> Callable[[bytes, grpc.ServicerContext], bytes]:
    """Without serializers, so that a message that is none is answered as over Lambda: INVALID_ARGUMENT."""

    def serve(message: bytes, context: grpc.ServicerContext) -> bytes:
        metadata = {key: str(value) for key, value in context.invocation_metadata() or ()}
        left: float | None = context.time_remaining()  # the stubs forget that a caller may give no deadline
        seconds = LONGEST_CALL if left is None else min(left, LONGEST_CALL)
        with invocation(metadata.get(CORRELATION_KEY), seconds, metadata.get(TRACE_HEADER)):
            call = Call(method, message, int(seconds * 1000), correlation_id(), traceparent())
            context.send_initial_metadata(((CORRELATION_KEY, call.correlation_id),))
            if POST_KEY in metadata:
                if not posts.take(handler, call):
                    context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "Too many calls wait to be carried out.")
                return b""
            reply = handler.answer(call, seconds, GrpcContext(context))
            if not context.is_active():
                log.warning("rpc_abandoned", extra=logs.fields(method=method))
            return _answer(reply, context)

    return serve


def _answer(reply: Reply, context: grpc.ServicerContext) -> bytes:
    if reply.status is not StatusCode.OK:
        status = Status(code=int(reply.status), message=reply.detail)
        status.details.add().Pack(reply.info or ErrorInfo())
        context.abort_with_status(rpc_status.to_status(status))
    return reply.message
