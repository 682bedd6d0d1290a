"""What the engine under test asks of who tests on it: how long to wait for what comes by itself, and whether to let it
do one thing after the other."""

import functools
import os
import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from infra import aws, client, settings
from infra.settings import Target

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

T = TypeVar("T")
FACTOR = {Target.EMBEDDED: 1.0, Target.LOCALSTACK: 4.0, Target.AWS: 1.0}
"""LocalStack takes about 25 ms for each call of a service and of a function: a refresh, with a dozen of them, takes it
several times as long."""


@functools.cache
def patience() -> float:
    return float(os.environ.get("PATIENCE") or FACTOR[settings.load().target])


def await_value(look: Callable[[], T | None], seconds: float, what: str) -> T:
    """As infra.client's. `seconds`: what is generous on the embedded engine; on another, so much longer as that may
    be."""
    return client.await_value(look, seconds * patience(), what)


@functools.cache
def transactions_stand_alone() -> bool:
    """False where DynamoDB is moto's, as in a LocalStack that is started so: there a transaction that fails puts back
    all tables as it found them, and undoes what others have written meanwhile; and one that comes while another writes
    may end in a 500. Told by a transaction that comes twice with one ClientRequestToken: only moto calls that a
    conflict."""
    if settings.load().target is not Target.LOCALSTACK:
        return True
    dynamodb: DynamoDBClient = aws.client(settings.load(), "dynamodb")
    name = f"probe-{secrets.token_hex(6)}"
    dynamodb.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
    )
    put = {"TableName": name, "Item": {"id": {"S": "1"}}, "ConditionExpression": "attribute_not_exists(id)"}
    try:
        dynamodb.get_waiter("table_exists").wait(TableName=name)
        for _ in range(2):
            dynamodb.transact_write_items(TransactItems=[{"Put": put}], ClientRequestToken=name)  # type: ignore[typeddict-item]  # as its stubs want it
    except dynamodb.exceptions.TransactionCanceledException:
        return False
    finally:
        dynamodb.delete_table(TableName=name)
    return True
