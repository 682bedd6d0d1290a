"""The stack's MigrationsTable: which migration of which service has run, is running, or stopped in its middle.

One item per migration that was ever begun, key `service` + `migration`:

    state       running | failed | done       nothing is kept of one that was taken back
    direction   up | down                     which way it runs, or ran until it failed
    since       when it came to be so, in milliseconds
    owner       who runs it, with a token of that very run; beat_at: its latest sign of life
    checkpoint  where it stands; progress: the same in words; error: why it failed

A run claims a migration by one conditional write, shows that it lives by `beat_at`, and writes everything else only
while the claim is still its own. Who shows no sign of life for ABANDONED_SECONDS can be relieved; should it come
back, its next write fails. Clocks that differ by more than that let a live run be relieved too: it stops at its next
page, and changes of items are conditional, so that costs time and no data.
"""

import getpass
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from infra.console import Failure

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef, PutItemInputTypeDef

ABANDONED_SECONDS = 60
BEAT_SECONDS = 10.0
NUMBERS = frozenset({"since", "beat_at"})
OWN = "#state = :own_state AND #owner = :own"
OWN_NAMES = {"#state": "state", "#owner": "owner"}  # reserved words


class Direction(StrEnum):
    UP = "up"
    DOWN = "down"


class State(StrEnum):
    PENDING = "pending"  # never kept
    RUNNING = "running"
    ABANDONED = "abandoned"  # never kept: running, but without a sign of life
    FAILED = "failed"
    DONE = "done"


@dataclass(frozen=True)
class Record:
    """An item of the table. Rows of the first runner had neither owner nor direction: theirs was always up."""

    service: str
    migration: str
    state: State
    since: int
    direction: Direction = Direction.UP
    owner: str = ""
    beat_at: int = 0
    checkpoint: str = ""
    progress: str = ""
    error: str = ""

    def as_of(self, now: int) -> State:
        """The state at `now`, in milliseconds."""
        silent = now - (self.beat_at or self.since) > ABANDONED_SECONDS * 1000
        return State.ABANDONED if self.state is State.RUNNING and silent else self.state


class ClaimLost(Failure):
    """Another run took the migration over, because this one gave no sign of life for so long."""

    def __init__(self, record: Record) -> None:
        super().__init__(
            f"{record.service} {record.migration} was taken over by another run; this one has stopped.",
            "See how it goes on with: make migrations",
        )


class Ledger:
    def __init__(self, dynamodb: "DynamoDBClient", table: str) -> None:
        self._dynamodb, self._table = dynamodb, table

    def records(self) -> list[Record]:
        """All that is recorded, oldest first; the table is small."""
        pages = self._dynamodb.get_paginator("scan").paginate(TableName=self._table, ConsistentRead=True)
        rows = [_record(item) for page in pages for item in page["Items"]]
        return sorted(rows, key=lambda row: (row.since, row.migration, row.service))

    def claim(self, service: str, migration: str, direction: Direction) -> "Claim | None":
        """The migration, to be run by us from now on; None when nothing is left to do in that direction.

        A run that stopped in its middle is taken up at its checkpoint when it went the same way; a run the other way
        begins anew. Raises Failure while another run has it.
        """
        seen, now = self._get(service, migration), now_ms()
        if (seen is None) if direction is Direction.DOWN else (seen is not None and seen.state is State.DONE):
            return None
        if seen and seen.as_of(now) is State.RUNNING:
            raise _busy(seen, now)
        mine = Record(service, migration, State.RUNNING, now, direction, _new_owner(), beat_at=now)
        if seen and seen.state is not State.DONE and seen.direction is direction:
            mine = replace(mine, checkpoint=seen.checkpoint, progress=seen.progress)
        if not self._put(mine, seen):
            raise _busy(self._get(service, migration) or mine, now)
        return Claim(self._dynamodb, self._table, mine)

    def _get(self, service: str, migration: str) -> Record | None:
        key = {"service": {"S": service}, "migration": {"S": migration}}
        item = self._dynamodb.get_item(TableName=self._table, Key=key, ConsistentRead=True).get("Item")
        return _record(item) if item else None

    def _put(self, record: Record, seen: Record | None) -> bool:
        """False when the item is not as `seen` any more, be it only that its owner gave a sign of life."""
        put: PutItemInputTypeDef = {"TableName": self._table, "Item": _item(record)}
        if seen is None:
            put["ConditionExpression"] = "attribute_not_exists(service)"
        elif not seen.owner:
            put["ConditionExpression"] = "#state = :state AND since = :since AND attribute_not_exists(#owner)"
        else:
            put["ConditionExpression"] = "#state = :state AND since = :since AND #owner = :owner AND beat_at = :beat"
        if seen:
            put["ExpressionAttributeNames"] = OWN_NAMES
            values = {":state": {"S": seen.state.value}, ":since": {"N": str(seen.since)}}
            owner = {":owner": {"S": seen.owner}, ":beat": {"N": str(seen.beat_at)}} if seen.owner else {}
            put["ExpressionAttributeValues"] = {**values, **owner}
        try:
            self._dynamodb.put_item(**put)
        except ClientError as error:
            if not condition_failed(error):
                raise
            return False
        return True


class Claim:
    """A migration while it is ours to run. Every write raises ClaimLost once it is not."""

    def __init__(self, dynamodb: "DynamoDBClient", table: str, record: Record) -> None:
        self._dynamodb, self._table = dynamodb, table
        self.record = record
        self._key: dict[str, AttributeValueTypeDef] = {
            "service": {"S": record.service},
            "migration": {"S": record.migration},
        }
        self._own_values: dict[str, AttributeValueTypeDef] = {
            ":own_state": {"S": State.RUNNING.value},
            ":own": {"S": record.owner},
        }

    def beat(self) -> None:
        self._set(beat_at=now_ms())

    def save(self, checkpoint: str, progress: str) -> None:
        """Where the run stands, for whoever takes it up after us."""
        self._set(checkpoint=checkpoint, progress=progress, beat_at=now_ms())

    def fail(self, error: str) -> None:
        """Leaves the migration where it stands, free for the next run at once."""
        self._set(state=State.FAILED, error=error, since=now_ms(), beat_at=now_ms())

    def finish(self) -> None:
        """The migration is done; one that was taken back is as if it had never run."""
        if self.record.direction is Direction.DOWN:
            with self._owned():
                self._dynamodb.delete_item(
                    TableName=self._table,
                    Key=self._key,
                    ConditionExpression=OWN,
                    ExpressionAttributeNames=OWN_NAMES,
                    ExpressionAttributeValues=self._own_values,
                )
        else:
            self._set(state=State.DONE, checkpoint="", since=now_ms(), beat_at=now_ms())

    @contextmanager
    def alive(self, beat_seconds: float = BEAT_SECONDS) -> Iterator[None]:
        """Gives a sign of life every now and then, for as long as the block runs."""
        over = threading.Event()

        def beat() -> None:
            while not over.wait(beat_seconds):
                try:
                    self.beat()
                except ClaimLost:
                    return  # the run itself learns of it with its next write
                except (ClientError, BotoCoreError):
                    continue  # one sign of life missed

        thread = threading.Thread(target=beat, name="migration-beat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _set(self, **attributes: str | int) -> None:
        names = {f"#{name}": name for name in attributes}
        values = {f":{name}": _typed(name, value) for name, value in attributes.items()}
        with self._owned():
            self._dynamodb.update_item(
                TableName=self._table,
                Key=self._key,
                UpdateExpression="SET " + ", ".join(f"#{name} = :{name}" for name in attributes),
                ConditionExpression=OWN,
                ExpressionAttributeNames=OWN_NAMES | names,
                ExpressionAttributeValues=self._own_values | values,
            )

    @contextmanager
    def _owned(self) -> Iterator[None]:
        try:
            yield
        except ClientError as error:
            if condition_failed(error):
                raise ClaimLost(self.record) from error
            raise


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def condition_failed(error: ClientError) -> bool:
    return error.response["Error"]["Code"] == "ConditionalCheckFailedException"


def _new_owner() -> str:
    """For people to see who it is; the token makes it one run's own."""
    return f"{getpass.getuser()}@{socket.gethostname()} process {os.getpid()} {secrets.token_hex(8)}"


def _busy(record: Record, now: int) -> Failure:
    seconds = max(0, now - (record.beat_at or record.since)) // 1000
    return Failure(
        f"{record.service} {record.migration} is being run by another deploy"
        f" ({record.owner.rpartition(' ')[0] or 'unknown'}, last sign of life {seconds} s ago).",
        f"Wait for it. If it has died: at most {ABANDONED_SECONDS} s, then run the same again.",
    )


def _typed(name: str, value: str | int) -> "AttributeValueTypeDef":
    return {"N": str(value)} if name in NUMBERS else {"S": str(value)}


def _item(record: Record) -> "dict[str, AttributeValueTypeDef]":
    return {name: _typed(name, value) for name, value in vars(record).items() if value != ""}


def _record(item: "Mapping[str, AttributeValueTypeDef]") -> Record:
    text = {name: str(value.get("S", "")) for name, value in item.items()}
    return Record(
        service=text["service"],
        migration=text["migration"],
        state=State(text["state"]),
        since=int(item["since"]["N"]),
        direction=Direction(text.get("direction", "up")),
        owner=text.get("owner", ""),
        beat_at=int(item.get("beat_at", {"N": "0"})["N"]),
        checkpoint=text.get("checkpoint", ""),
        progress=text.get("progress", ""),
        error=text.get("error", ""),
    )
