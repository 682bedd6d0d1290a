"""Writes that meet on an item: DynamoDB refuses one of two when one of them is a transaction."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto import mock_aws
from pynamodb.attributes import NumberAttribute, UnicodeAttribute
from pynamodb.connection.base import Connection
from pynamodb.exceptions import (
    CancellationReason,
    DeleteError,
    PutError,
    PynamoDBException,
    TransactWriteError,
    UpdateError,
    VerboseClientError,
)
from pynamodb.models import Model
from pynamodb.transactions import TransactWrite

from functions.common.errors import Unavailable
from functions.common.table import CONFLICT_PAUSES, ConditionFailed, bind, deleted, saved, transact, updated

ALWAYS = 99


class Counter(Model):
    class Meta:
        table_name = ""
        billing_mode = "PAY_PER_REQUEST"

    name = UnicodeAttribute(hash_key=True)
    value = NumberAttribute(default=1)


@pytest.fixture
def counter() -> Iterator[Counter]:
    with mock_aws():
        bind(Counter, "counters").create_table(wait=True)
        item = Counter("a")
        item.save()
        yield item
        Counter._connection = None


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    slept: list[float] = []
    monkeypatch.setattr("functions.common.table.time.sleep", slept.append)
    return slept


def cancelled(*codes: str) -> TransactWriteError:
    """As DynamoDB says it: one reason per item, None for one that was in nobody's way."""
    reasons = [CancellationReason(code) if code else None for code in codes]
    response: Any = {"Error": {"Code": "TransactionCanceledException"}}
    return TransactWriteError(
        "cancelled", VerboseClientError(response, "TransactWriteItems", {}, cancellation_reasons=reasons)
    )


def refused(kind: type[PynamoDBException], code: str = "TransactionConflictException") -> PynamoDBException:
    return kind("refused", ClientError({"Error": {"Code": code}}, "PutItem"))


def fail(monkeypatch: pytest.MonkeyPatch, owner: type, method: str, error: Exception, times: int) -> None:
    original, failures = getattr(owner, method), [error] * times

    def fails_first(*args: object, **named: object) -> object:
        if failures:
            raise failures.pop()
        return original(*args, **named)

    monkeypatch.setattr(owner, method, fails_first)


def set_to_two() -> None:
    transact(Counter, lambda transaction: transaction.update(Counter("a"), [Counter.value.set(2)], Counter.value == 1))


def test_transactions_that_meet_are_tried_again(
    counter: Counter, monkeypatch: pytest.MonkeyPatch, pauses: list[float]
) -> None:
    fail(monkeypatch, TransactWrite, "_commit", cancelled("TransactionConflict", ""), 2)

    set_to_two()

    assert Counter.get("a").value == 2
    assert [0.02 <= pauses[0] <= 0.04, 0.06 <= pauses[1] <= 0.12, len(pauses)] == [True, True, 2]


def test_those_that_meet_without_end_are_unavailable(
    counter: Counter, monkeypatch: pytest.MonkeyPatch, pauses: list[float]
) -> None:
    fail(monkeypatch, TransactWrite, "_commit", cancelled("TransactionConflict"), ALWAYS)

    with pytest.raises(Unavailable):
        set_to_two()
    assert len(pauses) == len(CONFLICT_PAUSES)


@pytest.mark.parametrize(
    ("codes", "told"),
    [
        (("ConditionalCheckFailed", ""), ConditionFailed),
        (("ConditionalCheckFailed", "TransactionConflict"), ConditionFailed),
        (("ThrottlingError", ""), Unavailable),
    ],
)
def test_what_was_judged_is_final(
    counter: Counter,
    monkeypatch: pytest.MonkeyPatch,
    pauses: list[float],
    codes: tuple[str, ...],
    told: type[Exception],
) -> None:
    fail(monkeypatch, TransactWrite, "_commit", cancelled(*codes), ALWAYS)

    with pytest.raises(told):
        set_to_two()
    assert not pauses


SINGLE: list[tuple[str, type[PynamoDBException], Callable[[Counter], bool]]] = [
    ("put_item", PutError, lambda item: saved(item, Counter.value == 1)),
    ("update_item", UpdateError, lambda item: updated(item, [Counter.value.set(2)], Counter.value == 1)),
    ("delete_item", DeleteError, lambda item: deleted(item, Counter.value == 1)),
]


@pytest.mark.parametrize(("method", "kind", "write"), SINGLE)
def test_a_single_write_that_meets_a_transaction_is_tried_again(
    counter: Counter,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    kind: type[PynamoDBException],
    write: Callable[[Counter], bool],
) -> None:
    fail(monkeypatch, Connection, method, refused(kind), 2)

    assert write(counter)


@pytest.mark.parametrize(("method", "kind", "write"), SINGLE)
@pytest.mark.parametrize("code", ["TransactionConflictException", "ThrottlingException"])
def test_a_single_write_that_never_gets_through_is_unavailable(
    counter: Counter,
    monkeypatch: pytest.MonkeyPatch,
    pauses: list[float],
    method: str,
    kind: type[PynamoDBException],
    write: Callable[[Counter], bool],
    code: str,
) -> None:
    fail(monkeypatch, Connection, method, refused(kind, code), ALWAYS)

    with pytest.raises(Unavailable):
        write(counter)
    assert len(pauses) == (len(CONFLICT_PAUSES) if "Conflict" in code else 0)
