"""Where a worker puts a message that it gives up on, with the reason.

SQS moves a message that was delivered too often by itself, but cannot know why it was. So the worker does it on the
last delivery, and at once with what no further delivery could mend; the queue's own redrive policy stays behind it for
messages that take the worker down.
"""

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from functions.common import logs
from functions.common.clock import Clock, rfc3339

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageAttributeValueTypeDef

log = logging.getLogger(__name__)

MAX_REASON_CHARS = 256


class DeadLetters(Protocol):
    max_deliveries: int
    """After so many a message is given up."""

    def bury(self, record: Mapping[str, Any], handler: str, reason: str) -> bool:  # Any: SQS's own
        """Whether the message is there now. False: it stays in its own queue."""
        ...


class DeadLetterQueue:
    """The body goes as it came; `reason`, `handler`, `deliveries`, `failed_at` and `message_id` as attributes."""

    def __init__(self, url: str, max_deliveries: int, clock: Clock, sqs: "Callable[[], SQSClient]") -> None:
        self._url = url
        self.max_deliveries = max_deliveries
        self._clock = clock
        self._sqs = sqs

    def bury(self, record: Mapping[str, Any], handler: str, reason: str) -> bool:  # Any: SQS's own
        from botocore.exceptions import BotoCoreError, ClientError

        told = {
            "reason": reason[:MAX_REASON_CHARS],
            "handler": handler,
            "deliveries": deliveries(record),
            "failed_at": rfc3339(self._clock.now()),
            "message_id": record["messageId"],
        }
        attributes: Mapping[str, MessageAttributeValueTypeDef] = {
            name: {"DataType": "String", "StringValue": str(value)} for name, value in told.items()
        }
        try:
            self._sqs().send_message(QueueUrl=self._url, MessageBody=record["body"], MessageAttributes=attributes)
        except (BotoCoreError, ClientError) as error:
            log.warning(
                "message_not_buried", extra=logs.fields(message_id=record["messageId"], error=type(error).__name__)
            )
            return False
        log.error("message_buried", extra=logs.fields(**told))
        return True


def deliveries(record: Mapping[str, Any]) -> int:  # Any: SQS's own
    """How often the message has been delivered, this time included."""
    return int(record.get("attributes", {}).get("ApproximateReceiveCount", 1))
