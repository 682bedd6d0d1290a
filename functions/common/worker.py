"""What every queue and schedule handler shares: logs, correlation, time limit, partial batches.

    @app.on_sqs_message(queue="RefreshQueue", batch_size=10, name="refresh")
    def refresh(event: SQSEvent) -> BatchResponse:
        return process_batch("refresh", event, bootstrap.refreshing().refresh)

A message is one CloudEvents document (SNS raw delivery). A message that cannot be handled is reported as failed, so
that SQS delivers it again and in the end puts it into the dead-letter queue; the others of its batch are done.
"""

import contextvars
import logging
import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, Protocol, cast

import msgspec
from chalice.app import CloudWatchEvent, SQSEvent

from functions.common import logs
from functions.common.context import invocation
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


def process_batch(name: str, event: SQSEvent, handle: Callable[[CloudEvent], None]) -> BatchResponse:
    """Handles all messages of a batch at once, each in a thread and under the correlation id of its event.

    `handle` raises what keeps it from being done with an event; it must bear to see an event again.
    """
    started = time.monotonic()
    _configure_logs()
    records = [record.to_dict() for record in event]
    seconds = _remaining(event)
    pool = ThreadPoolExecutor(max(len(records), 1), thread_name_prefix=name)
    futures: dict[Future[bool], str] = {}
    for record in records:
        run = contextvars.copy_context().run
        futures[pool.submit(run, _process, record, handle, seconds - HANDLER_SECONDS)] = record["messageId"]
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


def _process(record: Mapping[str, Any], handle: Callable[[CloudEvent], None], seconds: float) -> bool:  # Any: SQS's own
    """Whether the message is done. Says why not in the log, by message id and never by its body."""
    message = {
        "message_id": record["messageId"],
        "deliveries": record.get("attributes", {}).get("ApproximateReceiveCount"),
    }
    try:
        event = parse(record["body"])
    except msgspec.MsgspecError as error:
        log.error("message_refused", extra=logs.fields(reason=f"no CloudEvent: {error}", **message))  # noqa: TRY400
        return False
    with invocation(event.correlationid, seconds):
        try:
            handle(event)
        except (UnknownEventError, msgspec.MsgspecError) as error:
            log.error("message_refused", extra=logs.fields(reason=str(error), type=event.type, **message))  # noqa: TRY400
        except AppError as error:
            log.warning("message_deferred", extra=logs.fields(reason=error.code, type=event.type, **message))
        # The outermost edge: one message must not take the others of its batch along.
        except Exception:
            log.exception("unhandled", extra=logs.fields(type=event.type, **message))
        else:
            return True
    return False


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
