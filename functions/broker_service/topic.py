"""The SNS topic that carries every event. A message is the CloudEvents document; its attribute `type` is what the
queues' filter policies choose by."""

import logging
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from functions.common import logs
from functions.common.errors import FieldError, InvalidInput, Unavailable
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
        """Ids of the events that SNS did not take. Raises Unavailable when that is all, InvalidInput for a huge one."""
        failed = frozenset(event_id for batch in batches(events) for event_id in self._publish(batch))
        if events and len(failed) == len({event.id for event in events}):
            raise Unavailable("Events cannot be published at present.")
        return failed

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
    """As few batches as SNS's limits allow, in order. Raises InvalidInput for an event that fits in none."""
    sizes = [len(event.to_json().encode()) + len(event.type) + ATTRIBUTE_BYTES for event in events]
    too_large = [i for i, size in enumerate(sizes) if size > MAX_BYTES]
    if too_large:
        raise InvalidInput.of(*(FieldError(f"events[{i}]", "too_large", "An event ends at 256 KB.") for i in too_large))
    batch: list[CloudEvent] = []
    filled = 0
    for event, size in zip(events, sizes, strict=True):
        if batch and (len(batch) == MAX_ENTRIES or filled + size > MAX_BYTES):
            yield batch
            batch, filled = [], 0
        batch.append(event)
        filled += size
    if batch:
        yield batch


def _entry(number: int, event: CloudEvent) -> "PublishBatchRequestEntryTypeDef":
    return {
        "Id": str(number),
        "Message": event.to_json(),
        "MessageAttributes": {"type": {"DataType": "String", "StringValue": event.type}},
    }
