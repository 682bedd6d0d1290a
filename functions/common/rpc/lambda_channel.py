"""Carries unary RPCs by a synchronous Lambda Invoke: authorised by IAM, no server to run (ADR 0002)."""

import contextvars
import json
import logging
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from functools import cache

from functions.common import aws, logs
from functions.common.errors import DeadlineExceeded, Unavailable
from functions.common.rpc.envelope import Call, Reply

log = logging.getLogger(__name__)

MAX_CALLS_IN_FLIGHT = 64


class LambdaChannel:
    def __init__(self, function_name: str) -> None:
        self._function_name = function_name

    def invoke(self, call: Call) -> Reply:
        """Raises Unavailable when the function cannot be invoked or breaks, DeadlineExceeded when it takes too long."""
        # In a thread, because botocore's time-outs belong to the client and a deadline belongs to the call.
        future = _pool().submit(contextvars.copy_context().run, self._invoke, call)
        try:
            return future.result(timeout=call.timeout_ms / 1000)
        except FutureTimeout as error:
            raise DeadlineExceeded(f"{call.method} did not answer in {call.timeout_ms} ms.") from error

    def post(self, call: Call) -> None:
        """Lambda queues the call. Raises Unavailable when it does not take it within the call's time."""
        future = _pool().submit(contextvars.copy_context().run, self._post, call)
        try:
            future.result(timeout=call.timeout_ms / 1000)
        except FutureTimeout as error:
            raise Unavailable(f"{call.method} was not taken over in {call.timeout_ms} ms.") from error

    def _post(self, call: Call) -> None:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            aws.lambda_invoke().invoke(
                FunctionName=self._function_name,
                InvocationType="Event",
                Payload=json.dumps(call.to_payload()).encode(),
            )
        except (BotoCoreError, ClientError) as error:
            log.warning("rpc_unreachable", extra=logs.fields(method=call.method, error=type(error).__name__))
            raise Unavailable(f"{call.method} cannot be reached.") from error

    def _invoke(self, call: Call) -> Reply:
        from botocore.exceptions import BotoCoreError, ClientError
        from google.protobuf.message import DecodeError

        try:
            answer = aws.lambda_invoke().invoke(
                FunctionName=self._function_name, Payload=json.dumps(call.to_payload()).encode()
            )
            payload = answer["Payload"].read()
        except (BotoCoreError, ClientError) as error:
            log.warning("rpc_unreachable", extra=logs.fields(method=call.method, error=type(error).__name__))
            raise Unavailable(f"{call.method} cannot be reached.") from error
        if answer.get("FunctionError"):
            log.warning("rpc_broke", extra=logs.fields(method=call.method))
            raise Unavailable(f"{call.method} broke.")
        try:
            return Reply.from_payload(json.loads(payload))
        except (KeyError, TypeError, ValueError, DecodeError) as error:
            raise Unavailable(f"{call.method} did not answer as an RPC.") from error


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(MAX_CALLS_IN_FLIGHT, thread_name_prefix="rpc")
