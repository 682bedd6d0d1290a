"""What the services' `table.py` share. PynamoDB costs 300 ms of cold start: only builders in `bootstrap.py` import
this."""

import random
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TypeVar

from pynamodb.attributes import ListAttribute, NumberAttribute, UnicodeAttribute
from pynamodb.exceptions import DoesNotExist, PutError, PynamoDBException, TransactWriteError, UpdateError
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action
from pynamodb.indexes import GlobalSecondaryIndex
from pynamodb.models import Model
from pynamodb.transactions import TransactWrite

from functions.common.clock import rfc3339
from functions.common.errors import Unavailable
from functions.common.outbox import OUTBOX_SHARDS

M = TypeVar("M", bound=Model)
T = TypeVar("T")
Fill = Callable[[TransactWrite], None]
UNSENT_AFTER = timedelta(seconds=15)
"""Younger events are still being sent by the request that wrote them."""
CONDITION_FAILED = "ConditionalCheckFailedException"
TRANSACTION_CONDITION_FAILED = "ConditionalCheckFailed"
CONFLICT = "TransactionConflictException"
TRANSACTION_CONFLICT = "TransactionConflict"
CONFLICT_PAUSES = (0.02, 0.06, 0.2)
"""Seconds, and at random up to twice as long, before a write that met a transaction is tried again."""


class OutboxMixin:
    """Attributes of an item that emits events; see `functions.common.outbox`."""

    outbox = ListAttribute[str](null=True)
    outbox_shard = NumberAttribute(null=True)
    updated_at = UnicodeAttribute()


def unsent(index: GlobalSecondaryIndex[M], now: datetime, limit: int, after: timedelta = UNSENT_AFTER) -> Iterator[M]:
    """What the sparse index of an outbox knows of at most `limit` items whose events were left behind. Shards in random
    order: however many items wait, none waits behind always the same others."""
    left, updated_at = limit, OutboxMixin.updated_at
    with translated():
        for shard in random.sample(range(OUTBOX_SHARDS), OUTBOX_SHARDS):
            if left <= 0:
                return
            for item in index.query(shard, updated_at <= rfc3339(now - after), limit=left):
                left -= 1
                yield item


def lease(
    index: GlobalSecondaryIndex[M], shards: int, due: Condition, limit: int, take: Callable[[M], T | None]
) -> tuple[Sequence[T], bool]:
    """At most `limit` of the items that a sparse, sharded index says are due, each as `take` gives it, which leases it
    by a conditional write; None if somebody else was faster. And whether there may be more to lease.

    Shards in random order: however many are due, none of them waits behind always the same others.
    """
    leased: list[T] = []
    more = False
    for shard in random.sample(range(shards), shards):
        wanted = limit - len(leased)
        if wanted <= 0:
            more = True
            break
        with translated():
            found = list(index.query(shard, due, limit=wanted))
        more = more or len(found) == wanted
        leased += [taken for taken in map(take, found) if taken is not None]
    return leased, more and bool(leased)


def forget_events() -> list[Action]:
    """Takes an item out of the outbox; with the condition that it is as it was when its events went out."""
    return [OutboxMixin.outbox.remove(), OutboxMixin.outbox_shard.remove()]


def shard_of(key: str, shards: int) -> int:
    """Where `key` stands in a sharded index, the same at all times and in every process."""
    return zlib.crc32(key.encode()) % shards


def bind(model: type[M], table_name: str) -> type[M]:
    """Says which table the model lives in: CloudFormation names it, so it is known at run time only."""
    model.Meta.table_name = table_name
    return model


class ConditionFailed(Exception):
    """A conditional write found the item other than expected; repositories turn it into what it means."""


def saved(item: Model, condition: Condition) -> bool:
    """Writes the whole item; False, and nothing is written, where the condition does not hold."""
    return _held(lambda: item.save(condition=condition))


def updated(item: Model, actions: Sequence[Action], condition: Condition) -> bool:
    """As `saved`, for some attributes. Afterwards `item` is as it is in the table."""
    return _held(lambda: item.update([*actions], condition=condition))


def deleted(item: Model, condition: Condition) -> bool:
    """As `saved`."""
    return _held(lambda: item.delete(condition=condition))


def transact(model: type[Model], fill: Fill) -> None:
    """Writes all that `fill` puts into a transaction, or nothing, through `model`'s client. Raises ConditionFailed."""
    # The model's own connection, although private: every other one costs a further client at cold start.
    connection = model._get_connection().connection  # noqa: SLF001

    def write() -> None:
        with TransactWrite(connection=connection) as transaction:
            fill(transaction)

    with translated():
        _insist(write)


def _held(write: Callable[[], object]) -> bool:
    try:
        with translated():
            _insist(write)
    except ConditionFailed:
        return False
    return True


def _insist(write: Callable[[], object]) -> None:
    """Two writes on one item in the same moment, one of them in a transaction: DynamoDB refuses one without having
    judged its conditions, and nobody else repeats it. So it is tried again."""
    for pause in CONFLICT_PAUSES:
        try:
            write()
        except PynamoDBException as error:
            if not _met_another(error):
                raise
            time.sleep(pause * (1 + random.random()))  # noqa: S311  # jitter
        else:
            return
    write()


def _met_another(error: PynamoDBException) -> bool:
    """Whether it was refused for that alone: a condition that failed is final."""
    if isinstance(error, TransactWriteError):
        return {reason.code for reason in error.cancellation_reasons if reason is not None} == {TRANSACTION_CONFLICT}
    return code_of(error) == CONFLICT


def code_of(error: PynamoDBException) -> str | None:
    """DynamoDB's own code; None where it did not answer, where PynamoDB's own look-up breaks."""
    response = getattr(error.cause, "response", None) or {}
    code: str | None = response.get("Error", {}).get("Code")
    return code


@contextmanager
def translated() -> Iterator[None]:
    """PynamoDB's errors as the platform's: a failed condition becomes ConditionFailed, the rest Unavailable."""
    try:
        yield
    except TransactWriteError as error:
        reasons = [reason.code for reason in error.cancellation_reasons if reason is not None]
        if TRANSACTION_CONDITION_FAILED in reasons:
            raise ConditionFailed from error
        raise Unavailable("The table could not be written.") from error
    except (PutError, UpdateError) as error:
        if code_of(error) == CONDITION_FAILED:
            raise ConditionFailed from error
        raise Unavailable("The table could not be written.") from error
    except DoesNotExist:
        raise  # no failure: the repository says what it means
    except PynamoDBException as error:
        if code_of(error) == CONDITION_FAILED:
            raise ConditionFailed from error
        raise Unavailable("The table did not answer.") from error
