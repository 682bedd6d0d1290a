"""Goes through a table for a migration, page by page, so that neither a crash nor a second run nor the service at work
does harm (`functions.common.migration.Tables`).

Where it stands is kept with the claim after each page: per back-fill of the migration, in the order of its calls, the
key of the last item read. Items that the service writes meanwhile are either read later, or in the new form already.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.exceptions import ClientError

from functions.common.migration import Change, Item
from infra.console import Failure
from infra.ledger import condition_failed

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef, ScanInputTypeDef

    Raw = Mapping[str, AttributeValueTypeDef]

PAGE = 200  # items
TRIES = 10  # to change one item that others keep changing


@dataclass(frozen=True)
class Standing:
    """How far one back-fill has come. `last`: key of the last item read, in DynamoDB's JSON."""

    table: str
    read: int = 0
    changed: int = 0
    about: int = 0  # items in the table, as DynamoDB knew some hours ago
    last: dict[str, Any] | None = None  # Any: DynamoDB's JSON
    ended: bool = False

    def __str__(self) -> str:
        of = f" of about {self.about}" if self.about > self.read and not self.ended else ""
        return f"{self.read}{of} items read, {self.changed} changed"


class PagedTables:
    """`checkpoint`: what the run before kept; `save` keeps one, with the same in words for people."""

    def __init__(
        self,
        dynamodb: "DynamoDBClient",
        checkpoint: str,
        save: Callable[[str, str], None],
        log: Callable[[str], None],
        page: int = PAGE,
    ) -> None:
        self._dynamodb, self._save, self._log, self._page = dynamodb, save, log, page
        self._kept = [Standing(**kept) for kept in json.loads(checkpoint)] if checkpoint else []
        self._calls = 0

    def get(self, table: str, key: Item) -> Item | None:
        raw = self._get(table, _to_raw(key))
        return _from_raw(raw) if raw else None

    def back_fill(self, table: str, judge: Callable[[Item], Change | None]) -> int:
        standing = self._taken_up(table)
        keys = self._key_names(table)
        while not standing.ended:
            page: ScanInputTypeDef = {"TableName": table, "ConsistentRead": True, "Limit": self._page}
            if standing.last:
                page["ExclusiveStartKey"] = standing.last
            found = self._dynamodb.scan(**page)
            changed = sum(self._change(table, keys, item, judge) for item in found["Items"])
            last = found.get("LastEvaluatedKey")
            standing = Standing(
                table=table,
                read=standing.read + len(found["Items"]),
                changed=standing.changed + changed,
                about=standing.about,
                last=cast("dict[str, Any] | None", last),
                ended=not last,
            )
            self._keep(standing)
        self._calls += 1
        return standing.changed

    def _taken_up(self, table: str) -> Standing:
        if self._calls < len(self._kept):
            kept = self._kept[self._calls]
            if kept.table == table:
                self._log(f"goes on after {kept}")
                return kept
            del self._kept[self._calls :]  # of a migration that was rewritten since
        about = self._dynamodb.describe_table(TableName=table)["Table"].get("ItemCount", 0)
        return Standing(table, about=about)

    def _keep(self, standing: Standing) -> None:
        self._kept[self._calls :] = [standing]
        self._save(json.dumps([vars(kept) for kept in self._kept]), "; ".join(map(str, self._kept)))
        self._log(str(standing))

    def _change(self, table: str, keys: frozenset[str], item: "Raw", judge: Callable[[Item], Change | None]) -> bool:
        """Whether the item was changed. Changed by others meanwhile, it is read and judged anew."""
        key = {name: item[name] for name in keys}
        for _ in range(TRIES):
            change = judge(_from_raw(item))
            if change is None or not (change.put or change.remove or change.delete):
                return False
            if not keys.isdisjoint((*change.put, *change.remove)):
                raise Failure("A migration cannot change an item's key", "Write a new item and delete the old one")
            try:
                self._write(table, key, item, change)
            except ClientError as error:
                if not condition_failed(error):
                    raise
                again = self._get(table, key)
                if again is None:
                    return False  # deleted meanwhile
                item = again
            else:
                return True
        raise Failure(f"An item of {table} keeps being changed by others", "Run the same again")

    def _write(self, table: str, key: "Raw", seen: "Raw", change: Change) -> None:
        judged_by = sorted({*change.put, *change.remove, *change.given, *key})
        alias = {name: f"#n{number}" for number, name in enumerate(judged_by)}
        seen_as = {name: f":seen{number}" for number, name in enumerate(judged_by) if name in seen}
        stands = " AND ".join(
            f"{alias[name]} = {seen_as[name]}" if name in seen else f"attribute_not_exists({alias[name]})"
            for name in judged_by
        )
        names = {short: name for name, short in alias.items()}
        values = {short: seen[name] for name, short in seen_as.items()}
        if change.delete:
            self._dynamodb.delete_item(
                TableName=table,
                Key=key,
                ConditionExpression=stands,
                ExpressionAttributeNames=names,
                ExpressionAttributeValues=values,
            )
            return
        put = {f":put{number}": (name, value) for number, (name, value) in enumerate(_to_raw(change.put).items())}
        sets = ", ".join(f"{alias[name]} = {short}" for short, (name, _) in put.items())
        removes = ", ".join(alias[name] for name in change.remove)
        self._dynamodb.update_item(
            TableName=table,
            Key=key,
            UpdateExpression=(f"SET {sets} " if sets else "") + (f"REMOVE {removes}" if removes else ""),
            ConditionExpression=stands,
            ExpressionAttributeNames=names,
            ExpressionAttributeValues=values | {short: value for short, (_, value) in put.items()},
        )

    def _get(self, table: str, key: "Raw") -> "Raw | None":
        return self._dynamodb.get_item(TableName=table, Key=key, ConsistentRead=True).get("Item")

    def _key_names(self, table: str) -> frozenset[str]:
        schema = self._dynamodb.describe_table(TableName=table)["Table"]["KeySchema"]
        return frozenset(element["AttributeName"] for element in schema)


def _to_raw(item: Item) -> "dict[str, AttributeValueTypeDef]":
    serializer = TypeSerializer()
    return {name: serializer.serialize(value) for name, value in item.items()}


def _from_raw(item: "Raw") -> Item:
    deserializer = TypeDeserializer()
    return {name: deserializer.deserialize(cast("Any", value)) for name, value in item.items()}
