"""The running platform seen from below its API: functions, queues, tables and logs, through the AWS API."""

import json
import re
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any  # Any: JSON that functions take and answer

from functions.contracts.events.envelope import CloudEvent
from infra import aws, stack
from infra.settings import Settings
from tests.integration.patience import await_value

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_logs.type_defs import FilteredLogEventTypeDef
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sqs import SQSClient

SCHEDULED = json.loads((Path(__file__).parent.parent / "events" / "Sweep.json").read_text())
"""What the clock sends to the sweep."""
QUEUE_SECONDS = 60.0
LOG_PAGE = 10_000  # CloudWatch gives no more at once; LocalStack far less unless it is asked


@dataclass(frozen=True)
class Platform:
    settings: Settings
    base_url: str
    started_ms: int
    """Unix time in milliseconds at which the tests began."""

    @cached_property
    def ids(self) -> dict[str, str]:
        """Physical id of every resource, by its name in template.yaml."""
        return stack.resources(self.settings)

    @cached_property
    def sqs(self) -> "SQSClient":
        made: SQSClient = aws.client(self.settings, "sqs")
        return made

    @cached_property
    def dynamodb(self) -> "DynamoDBClient":
        made: DynamoDBClient = aws.client(self.settings, "dynamodb")
        return made

    @cached_property
    def _lambda(self) -> "LambdaClient":
        made: LambdaClient = aws.client(self.settings, "lambda")
        return made

    @cached_property
    def _sns(self) -> "SNSClient":
        made: SNSClient = aws.client(self.settings, "sns")
        return made

    @cached_property
    def _logs(self) -> "CloudWatchLogsClient":
        made: CloudWatchLogsClient = aws.client(self.settings, "logs")
        return made

    def invoke(self, function: str, event: object) -> Any:
        """What the function answers to `event`; waits while another invocation holds its only place."""
        busy = self._lambda.exceptions.TooManyRequestsException

        def call() -> dict[str, Any] | None:
            try:
                answer = self._lambda.invoke(FunctionName=self.ids[function], Payload=json.dumps(event).encode())
            except busy:
                return None
            body = answer["Payload"].read().decode()
            assert not answer.get("FunctionError"), body
            return {"payload": json.loads(body or "null")}

        return await_value(call, 90, f"a free place for {function}")["payload"]

    def environment(self, function: str) -> dict[str, str]:
        """What the deployed function finds in its environment, of what the template sets."""
        configuration = self._lambda.get_function_configuration(FunctionName=self.ids[function])
        return configuration.get("Environment", {}).get("Variables", {})

    def publish(self, event: CloudEvent) -> None:
        """Puts an event on the bus the way the broker does."""
        self._sns.publish(
            TopicArn=self.ids["EventsTopic"],
            Message=event.to_json(),
            MessageAttributes={"type": {"DataType": "String", "StringValue": event.type}},
        )

    @contextmanager
    def overheard(self) -> Iterator[Callable[[], list[str]]]:
        """What goes over the bus meanwhile: a call answers every event so far, as it was published."""
        name, topic = f"overheard-{secrets.token_hex(6)}", self.ids["EventsTopic"]
        arn = re.sub("^arn:([^:]+):sns:(.*):.*$", rf"arn:\1:sqs:\2:{name}", topic)
        statement = {
            "Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage",
            "Resource": arn, "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
        }  # fmt: skip
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        queue = self.sqs.create_queue(QueueName=name, Attributes={"Policy": policy})["QueueUrl"]
        subscription = self._sns.subscribe(
            TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"}
        )["SubscriptionArn"]
        heard: list[str] = []

        def listen() -> list[str]:
            while got := self.sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", []):
                for message in got:
                    heard.append(message["Body"])
                    self.sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
            return heard

        try:
            yield listen
        finally:
            self._sns.unsubscribe(SubscriptionArn=subscription)
            self.sqs.delete_queue(QueueUrl=queue)

    def await_empty(self, queue: str) -> None:
        """Until every message of the queue has been handled."""

        def empty() -> bool:
            names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
            counts = self.sqs.get_queue_attributes(QueueUrl=self.ids[queue], AttributeNames=names)["Attributes"]  # type: ignore[arg-type]
            return not any(int(count) for count in counts.values())

        await_value(empty, QUEUE_SECONDS, f"an empty {queue}")

    @contextmanager
    def stopped(self, function: str) -> Iterator[None]:
        """Whoever calls the function meanwhile is turned away."""
        name = self.ids[function]
        self._lambda.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
        try:
            yield
        finally:
            self._lambda.delete_function_concurrency(FunctionName=name)

    @contextmanager
    def impatient(self, queue: str, seconds: int = 2) -> Iterator[None]:
        """The queue delivers again after so many seconds what was not handled."""
        url = self.ids[queue]
        usual = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["VisibilityTimeout"])["Attributes"]
        self.sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": str(seconds)})
        try:
            yield
        finally:
            self.sqs.set_queue_attributes(QueueUrl=url, Attributes=usual)

    def items(self, *but: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Every item of every table but these, with the table's name in template.yaml."""
        for name, table in self.ids.items():
            if name.endswith("Table") and name not in but:
                for page in self.dynamodb.get_paginator("scan").paginate(TableName=table, ConsistentRead=True):
                    yield from ((name, item) for item in page["Items"])

    def log_lines(self, function: str) -> Iterator[str]:
        """What the function has logged since the tests began, oldest first."""
        yield from (event["message"] for event in self.log_events(function, self.started_ms))

    def log_events(self, function: str, since_ms: int) -> Iterator["FilteredLogEventTypeDef"]:
        """Lines with their times, from this Unix time in milliseconds on, oldest first."""
        while len(events := list(self._log_events(function, since_ms))) >= LOG_PAGE:
            # the embedded engine ends after a full page, without a token for the next: on from its last instant
            since_ms = events[-1]["timestamp"]
            yield from (event for event in events if event["timestamp"] < since_ms)
        yield from events

    def _log_events(self, function: str, since_ms: int) -> Iterator["FilteredLogEventTypeDef"]:
        pages = self._logs.get_paginator("filter_log_events").paginate(
            logGroupName=f"/aws/lambda/{self.ids[function]}",
            startTime=since_ms,
            PaginationConfig={"PageSize": LOG_PAGE},
        )
        try:
            for page in pages:
                yield from page["events"]
        except self._logs.exceptions.ResourceNotFoundException:
            return  # never called


def sqs_event(*bodies: str) -> dict[str, Any]:
    """What Lambda hands to a function for these messages of a queue."""
    return {
        "Records": [
            {
                "messageId": f"00000000-0000-4000-8000-{number:012}",
                "receiptHandle": "handle",
                "body": body,
                "attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": str(int(time.time() * 1000))},
                "messageAttributes": {},
                "eventSource": "aws:sqs",
                "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:queue",
                "awsRegion": "us-east-1",
            }
            for number, body in enumerate(bodies)
        ]
    }
