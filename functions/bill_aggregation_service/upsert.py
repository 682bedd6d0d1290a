"""What a fetch changes: which bills are new, which have a new version, and what becomes of the link's record.

Order-proof: a fetch that began before the latest successful one replaces nothing, nor does an older stamp.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from functions.bill_aggregation_service.model import (
    Bill,
    BillId,
    BillKey,
    FetchedBill,
    Link,
    Outcome,
    Provider,
    Source,
)
from functions.bill_aggregation_service.rules import collapse, content_hash, natural_key
from functions.common.ids import random_part, time_part
from functions.contracts.events.bills import BillCreatedV1, BillUpdatedV1
from functions.contracts.events.envelope import wrap


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try to read a link's bills. A failed one has an error code and no bills."""

    began: datetime
    outcome: Outcome
    provider: Provider
    bills: Sequence[FetchedBill] = ()
    error_code: str = ""
    retryable: bool = False
    source: Source = Source.API


@dataclass(frozen=True, slots=True)
class Change:
    """A bill to write; `replaced` is the version before, None when the bill is new."""

    bill: Bill
    replaced: Bill | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    link: Link
    """The link's record when all is written."""
    changes: tuple[Change, ...]
    unchanged: int

    @property
    def created(self) -> int:
        return sum(change.replaced is None for change in self.changes)

    @property
    def updated(self) -> int:
        return len(self.changes) - self.created


def bill_key(link: Link, bill: FetchedBill) -> BillKey:
    return _key(natural_key(link.link_id, bill.content))


def plan(link: Link, stored: Mapping[BillKey, Bill], attempt: Attempt, now: datetime) -> Plan:
    """`stored`: the bills already known of those that were fetched; `now`: when they are written."""
    changes: list[Change] = []
    fetched = {_key(digest): bill for digest, bill in collapse(attempt.bills, link.link_id).items()}
    for key, bill in fetched.items():
        known = stored.get(key)
        if known is None:
            changes.append(Change(_created(link, key, bill, attempt, now)))
        elif _replaces(bill, known, link, attempt):
            changes.append(Change(_updated(known, bill, attempt, now), known))
    created = sum(change.replaced is None for change in changes)
    return Plan(_attempted(link, attempt, created), tuple(changes), len(fetched) - len(changes))


def _replaces(bill: FetchedBill, known: Bill, link: Link, attempt: Attempt) -> bool:
    late = link.as_of is not None and attempt.began < link.as_of
    older = (bill.stamped_at or attempt.began) < known.as_of
    return not late and not older and content_hash(bill.content) != known.content_hash


def _attempted(link: Link, attempt: Attempt, created: int) -> Link:
    """The record after the attempt; one that began before the attempt on record leaves its mark on the count only."""
    counted = replace(link, bill_count=link.bill_count + created, provider_id=attempt.provider.provider_id)
    if link.attempted_at is not None and attempt.began < link.attempted_at:
        return counted
    return replace(
        counted,
        provider_name=attempt.provider.name,
        time_zone=attempt.provider.time_zone,
        outcome=attempt.outcome,
        error_code=attempt.error_code,
        retryable=attempt.retryable,
        attempted_at=attempt.began,
        as_of=attempt.began if attempt.outcome is Outcome.SUCCESS else link.as_of,
    )


def _created(link: Link, key: BillKey, bill: FetchedBill, attempt: Attempt, now: datetime) -> Bill:
    created = Bill(
        bill_id=BillId(f"bil_{time_part(int(now.timestamp() * 1000))}{key}"),
        user_id=link.user_id,
        link_id=link.link_id,
        provider_id=attempt.provider.provider_id,
        content=bill.content,
        content_hash=content_hash(bill.content),
        source=attempt.source,
        version=1,
        supersedes=None,
        as_of=bill.stamped_at or attempt.began,
        discovered_at=now,
        updated_at=now,
    )
    return replace(created, unsent=(_event(BillCreatedV1, created),))


def _updated(known: Bill, bill: FetchedBill, attempt: Attempt, now: datetime) -> Bill:
    updated = replace(
        known,
        content=bill.content,
        content_hash=content_hash(bill.content),
        source=attempt.source,
        version=known.version + 1,
        supersedes=known.version,
        as_of=bill.stamped_at or attempt.began,
        updated_at=now,
    )
    return replace(updated, unsent=(*known.unsent, _event(BillUpdatedV1, updated)))


def _event(cls: type[BillCreatedV1] | type[BillUpdatedV1], bill: Bill) -> str:
    content = bill.content
    data = cls(
        user_id=bill.user_id,
        link_id=bill.link_id,
        bill_id=bill.bill_id,
        provider_id=bill.provider_id,
        service_type=content.service_type,
        version=bill.version,
        amount_minor=content.amount_minor,
        currency=content.currency,
        due_date=content.due_date.isoformat() if content.due_date else None,
    )
    return wrap(data, bill.updated_at).to_json()


def _key(digest: bytes) -> BillKey:
    return BillKey(random_part(digest[:10]))
