"""What every queue and schedule handler shares: logs, correlation, time limit, partial batches.

    @app.on_sqs_message(queue="RefreshQueue", batch_size=10, name="refresh")
    def refresh(event: SQSEvent) -> BatchResponse:
        return process_batch("refresh", event, bootstrap.refreshing().refresh, bootstrap.dead_letters())

A message is one CloudEvents document (SNS raw delivery). A message that cannot be handled now is reported as failed, so
that SQS delivers it again; on its last delivery, or at once when no delivery can mend it, it goes into the dead-letter
queue with the reason. The others of its batch are done.
"""

import contextvars
import logging
import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any, Protocol, cast

import msgspec
from chalice.app import CloudWatchEvent, SQSEvent

from functions.common import logs
from functions.common.context import invocation
from functions.common.dead_letters import DeadLetters, deliveries
from functions.common.errors import AppError
from functions.contracts.events.envelope import CloudEvent, parse

log = logging.getLogger(__name__)

BatchResponse = dict[str, list[dict[str, str]]]
"""`{"batchItemFailures": [{"itemIdentifier": <message id>}]}`, for ReportBatchItemFailures."""

WITHOUT_LAMBDA_SECONDS = 30.0
ANSWER_SECONDS = 0.5
"""Kept for the answer: a function that is cut off fails its whole batch."""
HANDLER_SECONDS = 1.0
"""What a handler ends earlier than the function, so that its calls' deadlines come first."""


class LambdaContext(Protocol):
    def get_remaining_time_in_millis(self) -> int: ...


class UnknownEventError(Exception):
    """The event is of a type that this handler does not know: a filter policy lets too much through."""


@dataclass(frozen=True, slots=True)
class _Failure:
    """Why a message is not done. `hopeless`: no further delivery can mend it."""

    reason: str
    hopeless: bool = False


def process_batch(
    name: str, event: SQSEvent, handle: Callable[[CloudEvent], None], dead_letters: DeadLetters
) -> BatchResponse:
    """Handles all messages of a batch at once, each in a thread and under the correlation id of its event.

    `handle` raises what keeps it from being done with an event; it must bear to see an event again.
    """
    started = time.monotonic()
    _configure_logs()
    records = [record.to_dict() for record in event]
    seconds = _remaining(event)
    pool = ThreadPoolExecutor(max(len(records), 1), thread_name_prefix=name)
    futures: dict[Future[bool], str] = {}

    def done(record: Mapping[str, Any]) -> bool:  # Any: SQS's own
        failure = _process(record, handle, seconds - HANDLER_SECONDS)
        if failure is None:
            return True
        given_up = failure.hopeless or deliveries(record) >= dead_letters.max_deliveries
        return given_up and dead_letters.bury(record, name, failure.reason)

    for record in records:
        futures[pool.submit(contextvars.copy_context().run, done, record)] = record["messageId"]
    _, late = wait(futures, timeout=max(0.0, seconds - ANSWER_SECONDS))
    pool.shutdown(wait=False, cancel_futures=True)
    for future in late:
        log.warning("message_late", extra=logs.fields(handler=name, message_id=futures[future]))
    failed = [message_id for future, message_id in futures.items() if future in late or not future.result()]
    log.info(
        "batch",
        extra=logs.fields(
            handler=name, messages=len(records), failed=len(failed), ms=round((time.monotonic() - started) * 1000, 1)
        ),
    )
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failed]}


def _process(
    record: Mapping[str, Any],  # Any: SQS's own
    handle: Callable[[CloudEvent], None],
    seconds: float,
) -> _Failure | None:
    """None when the message is done. Says why not in the log too, by message id and never by its body."""
    message = {"message_id": record["messageId"], "deliveries": deliveries(record)}
    try:
        event = parse(record["body"])
    except msgspec.MsgspecError as error:
        reason = f"no CloudEvent: {error}"
        log.error("message_refused", extra=logs.fields(reason=reason, **message))  # noqa: TRY400
        return _Failure(reason, hopeless=True)
    with invocation(event.correlationid, seconds, event.traceparent):
        try:
            handle(event)
        except (UnknownEventError, msgspec.MsgspecError) as error:
            log.error("message_refused", extra=logs.fields(reason=str(error), type=event.type, **message))  # noqa: TRY400
            return _Failure(str(error), hopeless=True)
        except AppError as error:
            log.warning("message_deferred", extra=logs.fields(reason=error.code, type=event.type, **message))
            return _Failure(error.code)
        # The outermost edge: one message must not take the others of its batch along.
        except Exception as error:
            log.exception("unhandled", extra=logs.fields(type=event.type, **message))
            return _Failure(f"unhandled: {type(error).__name__}")
    return None


def run_scheduled(name: str, event: CloudWatchEvent, task: Callable[[], Mapping[str, object]]) -> dict[str, object]:
    """Runs `task` under a new correlation id; logs and answers the counts that it returns."""
    started = time.monotonic()
    _configure_logs()
    with invocation(None, _remaining(event) - HANDLER_SECONDS):
        counts = dict(task())
        milliseconds = round((time.monotonic() - started) * 1000, 1)
        log.info("scheduled", extra=logs.fields(handler=name, ms=milliseconds, **counts))
    return counts


def _configure_logs() -> None:
    logs.configure(os.environ.get("LOG_LEVEL", "INFO"))


def _remaining(event: SQSEvent | CloudWatchEvent) -> float:
    context = cast("LambdaContext | None", event.context)  # Chalice says it were a dict
    return context.get_remaining_time_in_millis() / 1000 if context else WITHOUT_LAMBDA_SECONDS
