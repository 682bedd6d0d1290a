"""Tables in moto, and a migration's context upon them."""

import importlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import boto3
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from moto import mock_aws

from functions.common.migration import Item, Migration, MigrationContext
from infra.back_fill import PagedTables

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@dataclass
class Database:
    """DynamoDB, and the checkpoints that a run of a migration keeps."""

    dynamodb: "DynamoDBClient"
    saved: list[tuple[str, str]] = field(default_factory=list)
    logged: list[str] = field(default_factory=list)

    def create(self, table: str, *keys: str) -> None:
        kinds = ("HASH", "RANGE")
        self.dynamodb.create_table(
            TableName=table,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in keys],
            KeySchema=[
                {"AttributeName": key, "KeyType": cast("Any", kind)} for key, kind in zip(keys, kinds, strict=False)
            ],
        )

    def put(self, table: str, *items: Mapping[str, object]) -> None:
        serialize = TypeSerializer().serialize
        for item in items:
            self.dynamodb.put_item(TableName=table, Item={name: serialize(value) for name, value in item.items()})

    def items(self, table: str) -> list[Item]:
        deserialize = TypeDeserializer().deserialize
        pages = self.dynamodb.get_paginator("scan").paginate(TableName=table)
        return [
            {name: deserialize(cast("Any", value)) for name, value in item.items()}
            for page in pages
            for item in page["Items"]
        ]

    def tables(self, checkpoint: str = "", page: int = 200) -> PagedTables:
        return PagedTables(self.dynamodb, checkpoint, self.save, self.logged.append, page)

    def save(self, checkpoint: str, progress: str) -> None:
        self.saved.append((checkpoint, progress))

    def context(self, service: str, env: Mapping[str, str], page: int = 200) -> MigrationContext:
        return MigrationContext(service, env, self.logged.append, self.tables(page=page))


@contextmanager
def database() -> Iterator[Database]:
    with mock_aws():
        yield Database(boto3.client("dynamodb", region_name="us-east-1"))


def migration(service: str, name: str) -> Migration:
    return cast("Migration", importlib.import_module(f"functions.{service}.migrations.{name}"))
