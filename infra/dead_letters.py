"""What the workers gave up: listed with its reason, and given back to its queue once what was wrong is mended.

By receive, send and delete, which every engine has (SQS StartMessageMoveTask is not everywhere). A message is sent
before it is deleted: a redrive that is cut off may leave a message in both queues, never in none.
"""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from infra import stack, template
from infra.aws import client
from infra.console import Failure, say
from infra.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageTypeDef

AT_ONCE = 10
HELD_SECONDS = 60
"""How long a message that was looked at is kept from others; given back earlier when all is seen."""
UNTOLD = "delivered too often: its worker was cut off each time"
"""Of what the queue moved by itself."""


@dataclass(frozen=True)
class DeadLetter:
    message_id: str
    """That of the message in its own queue, under which the worker logged it, where that is known."""
    event_type: str
    """Empty for what is no event."""
    reason: str
    handler: str
    deliveries: str
    failed_at: str


def queues() -> dict[str, str]:
    """Every queue of the template that has a dead-letter queue, and that queue; by logical id."""
    found = {}
    for name, resource in template.read()["Resources"].items():
        if resource["Type"] == "AWS::SQS::Queue" and "RedrivePolicy" in resource["Properties"]:
            found[name] = str(resource["Properties"]["RedrivePolicy"]["deadLetterTargetArn"]["Fn::GetAtt"]).split(".")[
                0
            ]
    return found


class DeadLetterQueues:
    """The dead-letter queues of what is deployed."""

    def __init__(self, sqs: "SQSClient", urls: dict[str, str]) -> None:
        """`urls`: of every queue, by logical id."""
        self._sqs, self._urls = sqs, urls

    def count(self, dead: str) -> int:
        """About how many wait there; those that somebody looks at included."""
        attributes = self._sqs.get_queue_attributes(
            QueueUrl=self._urls[dead],
            AttributeNames=["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"],
        )["Attributes"]
        return sum(int(value) for value in attributes.values())

    def look(self, dead: str, limit: int) -> list[DeadLetter]:
        """At most `limit` of them; all stay where they are."""
        seen = []
        held: list[MessageTypeDef] = []
        for message in self._received(dead, limit):
            held.append(message)
            seen.append(_told(message))
        for message in held:
            self._sqs.change_message_visibility(
                QueueUrl=self._urls[dead], ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0
            )
        return seen

    def redrive(self, queue: str, dead: str, limit: int) -> int:
        """Gives at most `limit` messages back to `queue`; answers how many. What dies again meanwhile stays dead: only
        what was there at the beginning is taken."""
        begun = time.time() * 1000
        moved = 0
        for message in self._received(dead, min(limit, self.count(dead))):
            if float(message.get("Attributes", {}).get("SentTimestamp", 0)) > begun:
                continue
            self._sqs.send_message(QueueUrl=self._urls[queue], MessageBody=message["Body"])
            self._sqs.delete_message(QueueUrl=self._urls[dead], ReceiptHandle=message["ReceiptHandle"])
            moved += 1
        return moved

    def _received(self, dead: str, limit: int) -> "Iterator[MessageTypeDef]":
        left = limit
        while left > 0:
            got = self._sqs.receive_message(
                QueueUrl=self._urls[dead],
                MaxNumberOfMessages=min(AT_ONCE, left),
                VisibilityTimeout=HELD_SECONDS,
                MessageAttributeNames=["All"],
                MessageSystemAttributeNames=["SentTimestamp"],
            ).get("Messages", [])
            if not got:
                return
            left -= len(got)
            yield from got


def show(settings: Settings, limit: int) -> None:
    """A line per queue, and one per message. Never a body: it may hold what belongs to a household."""
    dead_letters = _dead_letters(settings)
    for queue, dead in queues().items():
        say(f"{queue}: {dead_letters.count(dead)} in {dead}")
        for letter in dead_letters.look(dead, limit):
            say(
                f"  {letter.failed_at or '-':24} {letter.event_type or 'no event':26} {letter.reason}"
                f" ({letter.handler or '-'}, {letter.deliveries or '?'} deliveries, message {letter.message_id})"
            )


def redrive(settings: Settings, queue: str, limit: int) -> None:
    known = queues()
    if queue not in known:
        raise Failure(
            f"There is no queue {queue!r} with a dead-letter queue.", f"make redrive QUEUE={' | '.join(known)}"
        )
    moved = _dead_letters(settings).redrive(queue, known[queue], limit)
    say(f"{moved} messages went back from {known[queue]} to {queue}")


def _dead_letters(settings: Settings) -> DeadLetterQueues:
    return DeadLetterQueues(client(settings, "sqs"), stack.resources(settings))


def _told(message: "MessageTypeDef") -> DeadLetter:
    told = {name: value.get("StringValue", "") for name, value in message.get("MessageAttributes", {}).items()}
    return DeadLetter(
        message_id=told.get("message_id", message["MessageId"]),
        event_type=_type_of(message["Body"]),
        reason=told.get("reason", UNTOLD),
        handler=told.get("handler", ""),
        deliveries=told.get("deliveries", ""),
        failed_at=told.get("failed_at", ""),
    )


def _type_of(body: str) -> str:
    try:
        document = json.loads(body)
    except ValueError:
        return ""
    return str(document.get("type", "")) if isinstance(document, dict) else ""
