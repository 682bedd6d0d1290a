"""Conditions and batches of writes to BillsTable: what makes a writer who comes late read again."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from pynamodb.exceptions import PynamoDBException, TransactWriteError
from pynamodb.expressions.condition import Condition

from functions.bill_aggregation_service.item_table import Item
from functions.bill_aggregation_service.keeping import LinkMoved
from functions.bill_aggregation_service.model import Bill
from functions.bill_aggregation_service.upsert import Change
from functions.common.table import ConditionFailed, code_of, translated

MAX_ACTIONS = 25
"""DynamoDB takes 100, but all of a user's bills lie in one partition, which takes 1000 units of writing in a second,
and in a transaction an item of 3 KB costs six. An engine may take longer over a hundred than a call may last."""
MAX_BYTES = 3_000_000
"""DynamoDB takes 4 MB in a transaction."""
CONFLICT = ("TransactionConflict", "TransactionConflictException")


@contextmanager
def moved() -> Iterator[None]:
    """A write that came too late, or at the same time as another, becomes LinkMoved; other errors the platform's."""
    try:
        with translated():
            try:
                yield
            except PynamoDBException as error:
                reasons = error.cancellation_reasons if isinstance(error, TransactWriteError) else []
                if {code_of(error), *(reason.code for reason in reasons if reason)}.isdisjoint(CONFLICT):
                    raise
                raise LinkMoved from error
    except ConditionFailed as error:
        raise LinkMoved from error


def chunks(changes: Sequence[Change]) -> Iterator[Sequence[Change]]:
    """As many changes as fit a transaction beside the link's record and the mark; a new version takes two places."""
    chunk: list[Change] = []
    places, weight = 2, 0
    for change in changes:
        written = [bill for bill in (change.bill, change.replaced) if bill]
        size = sum(map(_weight, written))
        if chunk and (places + len(written) > MAX_ACTIONS or weight + size > MAX_BYTES):
            yield chunk
            chunk, places, weight = [], 2, 0
        chunk.append(change)
        places += len(written)
        weight += size
    if chunk:
        yield chunk


def _weight(bill: Bill) -> int:
    """Bytes of its item, rather too many: without spelling it out, which takes longer than all else here."""
    texts = [bill.content.external_bill_id, bill.content.tariff or "", bill.mark.note or "", *bill.unsent]
    texts += [item.name for item in bill.content.line_items]
    return 3_000 + 250 * (len(bill.content.line_items) + len(bill.content.usage)) + 4 * sum(map(len, texts))


def numbered(change: Change) -> Change:
    return replace(change, bill=replace(change.bill, edition=(change.before.edition if change.before else 0) + 1))


def still(before: Bill | None) -> Condition:
    """The bill stands as it was read, by its edition; without one it was written before editions were counted."""
    if before is None:
        return Item.sk.does_not_exist()
    stands: Condition = edition_is(before.edition) & (Item.version == before.version)
    return stands


def edition_is(edition: int) -> Condition:
    """Never true of a bill that is gone: what was not stored has no version."""
    stands: Condition = Item.edition == edition if edition else Item.edition.does_not_exist() & Item.version.exists()
    return stands
