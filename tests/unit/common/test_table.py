from collections.abc import Iterator

import botocore.exceptions
import pytest
from moto import mock_aws
from pynamodb.attributes import NumberAttribute, UnicodeAttribute
from pynamodb.connection import Connection
from pynamodb.exceptions import GetError, PutError, PynamoDBException, QueryError, TransactWriteError
from pynamodb.models import Model
from pynamodb.transactions import TransactWrite

from functions.common.errors import Unavailable
from functions.common.table import ConditionFailed, OutboxMixin, bind, translated


class Thing(Model, OutboxMixin):
    class Meta:
        region = "us-east-1"
        billing_mode = "PAY_PER_REQUEST"

    name = UnicodeAttribute(hash_key=True)
    version = NumberAttribute(default=1)


@pytest.fixture
def thing() -> Iterator[type[Thing]]:
    with mock_aws():
        model = bind(Thing, "things")
        model.create_table(wait=True)
        yield model
        model._connection = None


def test_a_model_is_bound_to_the_table_that_cloudformation_named(thing: type[Thing]) -> None:
    thing("a", updated_at="2026-03-01T00:00:00.000Z", outbox=["{}"], outbox_shard=3).save()

    found = thing.get("a")
    assert thing.describe_table()["TableName"] == "things"
    assert (found.outbox, found.outbox_shard) == (["{}"], 3)


def test_an_item_without_events_is_not_in_the_sparse_index(thing: type[Thing]) -> None:
    thing("a", updated_at="2026-03-01T00:00:00.000Z").save()

    assert "outbox_shard" not in thing.get("a").serialize()


def test_a_failed_condition_of_each_kind_of_write_is_told_as_such(thing: type[Thing]) -> None:
    item = thing("a", updated_at="x")
    item.save()

    with pytest.raises(ConditionFailed), translated():
        item.save(condition=thing.name.does_not_exist())
    with pytest.raises(ConditionFailed), translated():
        item.update(actions=[thing.version.set(2)], condition=thing.version == 5)
    with pytest.raises(ConditionFailed), translated():
        item.delete(condition=thing.version == 5)
    with pytest.raises(ConditionFailed), translated():
        _write_both(thing)
    assert thing.count() == 1


def _write_both(thing: type[Thing]) -> None:
    with TransactWrite(connection=Connection("us-east-1")) as write:
        write.save(thing("b", updated_at="x"))
        write.condition_check(thing, "a", condition=thing.version == 5)


def test_every_other_failure_is_a_table_that_does_not_answer(thing: type[Thing]) -> None:
    thing.delete_table()
    item = thing("a", updated_at="x")

    with pytest.raises(Unavailable), translated():
        item.save()
    with pytest.raises(Unavailable), translated():
        item.update(actions=[thing.version.set(2)])
    with pytest.raises(Unavailable), translated():
        thing.get("a")
    with pytest.raises(Unavailable), translated():
        list(thing.query("a"))
    with pytest.raises(Unavailable), translated(), TransactWrite(connection=Connection("us-east-1")) as write:
        write.save(item)


@pytest.mark.parametrize("error", [GetError, QueryError])
def test_a_table_that_cannot_be_reached_is_unavailable(error: type[GetError | QueryError]) -> None:
    with pytest.raises(Unavailable), translated():
        raise error(cause=botocore.exceptions.EndpointConnectionError(endpoint_url="http://x"))


def test_a_transaction_that_never_arrived_is_unavailable() -> None:
    with pytest.raises(Unavailable), translated():
        raise TransactWriteError("failed", cause=botocore.exceptions.EndpointConnectionError(endpoint_url="http://x"))


def test_an_item_that_does_not_exist_is_no_failure(thing: type[Thing]) -> None:
    with pytest.raises(Thing.DoesNotExist), translated():
        thing.get("nobody")


def test_what_is_not_of_the_table_passes_through() -> None:
    with pytest.raises(KeyError), translated():
        raise KeyError


@pytest.mark.parametrize("kind", [TransactWriteError, PutError, QueryError])
def test_a_time_out_is_a_table_that_does_not_answer(kind: type[PynamoDBException]) -> None:
    """botocore's time-outs carry `response = None`, over which PynamoDB's own look-up stumbles."""
    with pytest.raises(Unavailable), translated():
        raise kind("no answer", botocore.exceptions.ReadTimeoutError(endpoint_url="http://table.test"))
