"""The SNS topic of the platform's events. A message is the CloudEvents document; its attribute `type` is what the
queues' filter policies choose by."""

import logging
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from functions.common import logs
from functions.common.errors import Unavailable
from functions.contracts.events.envelope import CloudEvent

if TYPE_CHECKING:
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sns.type_defs import PublishBatchRequestEntryTypeDef

log = logging.getLogger(__name__)

# https://docs.aws.amazon.com/sns/latest/api/API_PublishBatch.html: messages and attributes together count
MAX_ENTRIES = 10
MAX_BYTES = 262_144
ATTRIBUTE_BYTES = len("type" + "String")


class SnsTopic:
    def __init__(self, client: "SNSClient", topic_arn: str) -> None:
        self._client = client
        self._topic_arn = topic_arn

    def publish(self, events: Sequence[CloudEvent]) -> frozenset[str]:
        """Ids of the events that SNS did not take, or never will for their size. Raises Unavailable when it took none
        of those that it might."""
        huge = frozenset(event.id for event in events if _huge(event))
        fitting = [event for event in events if event.id not in huge]
        failed = frozenset(event_id for batch in batches(fitting) for event_id in self._publish(batch))
        if fitting and len(failed) == len({event.id for event in fitting}):
            raise Unavailable("Events cannot be published at present.")
        return huge | failed

    def _publish(self, batch: Sequence[CloudEvent]) -> list[str]:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            answer = self._client.publish_batch(
                TopicArn=self._topic_arn,
                PublishBatchRequestEntries=[_entry(number, event) for number, event in enumerate(batch)],
            )
        except (BotoCoreError, ClientError) as error:
            log.warning("publish_failed", extra=logs.fields(events=len(batch), error=type(error).__name__))
            return [event.id for event in batch]
        refused = answer.get("Failed", [])
        for entry in refused:
            log.warning("publish_refused", extra=logs.fields(code=entry.get("Code")))
        return [batch[int(entry["Id"])].id for entry in refused]


def batches(events: Sequence[CloudEvent]) -> Iterator[list[CloudEvent]]:
    """As few batches as SNS's limits allow, in order, of events that fit in one."""
    batch: list[CloudEvent] = []
    filled = 0
    for event in events:
        size = _size(event)
        if batch and (len(batch) == MAX_ENTRIES or filled + size > MAX_BYTES):
            yield batch
            batch, filled = [], 0
        batch.append(event)
        filled += size
    if batch:
        yield batch


def _huge(event: CloudEvent) -> bool:
    size = _size(event)
    if size > MAX_BYTES:
        log.error("event_refused", extra=logs.fields(event_id=event.id, type=event.type, code="too_large", bytes=size))
    return size > MAX_BYTES


def _size(event: CloudEvent) -> int:
    return len(event.to_json().encode()) + len(event.type) + ATTRIBUTE_BYTES


def _entry(number: int, event: CloudEvent) -> "PublishBatchRequestEntryTypeDef":
    return {
        "Id": str(number),
        "Message": event.to_json(),
        "MessageAttributes": {"type": {"DataType": "String", "StringValue": event.type}},
    }
