"""What a fetch changes: which bills are new, which have a new version, and what becomes of the link's record.

Order-proof: a fetch that began before the latest successful one replaces nothing, nor does an older stamp, nor what a
file without a stamp says of a bill that the utility itself gave. So any order and repetition of a utility's answers
ends in the same bills. A stamp of a time to come counts as of when the fetch began: nothing is newer than that.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from functions.bill_aggregation_service.bill_events import created_event, paid_event, updated_event
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
from functions.bill_aggregation_service.payment import is_paid
from functions.bill_aggregation_service.quality import Answer, neighbour_notes
from functions.bill_aggregation_service.reading import Reading, Refused
from functions.bill_aggregation_service.rules import content_hash
from functions.bill_aggregation_service.watching import watched
from functions.common.ids import time_part

MANUAL = "manual"
"""Adapter of providers that nothing is fetched from: their links live by imports alone."""


@dataclass(frozen=True, slots=True)
class MfaChallenge:
    methods: tuple[str, ...]
    reference: str = field(repr=False)
    expires_at: datetime | None
    code_refused: bool = False
    """There was an answer already, and it was wrong."""


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
    retry_after: int = 0
    """Seconds after which the utility wants to be asked again; 0 when it did not say."""
    mfa: MfaChallenge | None = None
    """What the utility wants to be answered before it shows any bill."""


@dataclass(frozen=True, slots=True)
class Change:
    """A bill to write, and what it was before: None when the bill is new."""

    bill: Bill
    before: Bill | None = None

    @property
    def replaced(self) -> Bill | None:
        """The version that this one takes the place of; None when there is no new version, only new notes or a mark."""
        return self.before if self.before and self.before.version != self.bill.version else None


@dataclass(frozen=True, slots=True)
class Plan:
    link: Link
    """The link's record when all is written."""
    changes: tuple[Change, ...]
    unchanged: int
    refused: tuple[Refused, ...] = ()

    @property
    def created(self) -> int:
        return sum(change.before is None for change in self.changes)

    @property
    def updated(self) -> int:
        return sum(change.replaced is not None for change in self.changes)


def is_known(link: Link, reading: Reading) -> bool:
    """Whether the link's bills stand as this answer says, since the latest one said the same."""
    return reading.digest == link.answer_digest


def plan(
    link: Link,
    reading: Reading,
    stored: Mapping[BillKey, Bill],
    around: Collection[Bill],
    attempt: Attempt,
    now: datetime,
) -> Plan:
    """`stored`: the bills already known of those in the reading; `around`: the link's bills within the reading's span;
    `now`: when they are written."""
    if is_known(link, reading):
        return Plan(_attempted(link, attempt, reading, 0), (), len(reading.bills), reading.refused)
    changes: dict[BillKey, Change] = {}
    for key, bill in reading.bills.items():
        known = stored.get(key)
        if known is None:
            changes[key] = Change(_created(link, key, bill, attempt, now))
        elif _replaces(bill, known, link, attempt):
            changes[key] = Change(_updated(known, bill, attempt, now), known)
        elif _finds_document(bill, known, link, attempt):
            changes[key] = Change(_with_document(known, bill), known)
    created = sum(change.before is None for change in changes.values())
    unchanged = len(reading.bills) - created - sum(change.replaced is not None for change in changes.values())
    noted = _noted(reading, changes, {bill.key: bill for bill in (*around, *stored.values())}, link, attempt)
    return Plan(_attempted(link, attempt, reading, created), noted, unchanged, reading.refused)


def _replaces(bill: FetchedBill, known: Bill, link: Link, attempt: Attempt) -> bool:
    if content_hash(bill.content) == known.content_hash:
        return False
    if attempt.source is not Source.API and bill.stamped_at is None and known.source is Source.API:
        return False
    # Nothing is newer than when it was found; before this was heeded, stamps of a time to come were kept.
    return not _late(link, attempt) and _as_of(bill, attempt) >= min(known.as_of, known.versioned_at)


def _as_of(bill: FetchedBill, attempt: Attempt) -> datetime:
    return min(bill.stamped_at or attempt.began, attempt.began)


def _finds_document(bill: FetchedBill, known: Bill, link: Link, attempt: Attempt) -> bool:
    """Whether the same version is to be found elsewhere now; files do not tell of documents."""
    if attempt.source is not Source.API or _late(link, attempt) or content_hash(bill.content) != known.content_hash:
        return False
    return bill.content.document_url != known.content.document_url


def _with_document(known: Bill, bill: FetchedBill) -> Bill:
    return replace(known, content=replace(known.content, document_url=bill.content.document_url))


def _late(link: Link, attempt: Attempt) -> bool:
    return attempt.source is Source.API and link.as_of is not None and attempt.began < link.as_of


def _noted(
    reading: Reading, changes: Mapping[BillKey, Change], known: Mapping[BillKey, Bill], link: Link, attempt: Attempt
) -> tuple[Change, ...]:
    """The changes with the notes that come of the bills' neighbours, and with the bills whose notes alone change."""
    if not reading.bills:
        return ()
    newest = attempt.source is Source.API and not _late(link, attempt)
    answer = Answer.of({key: bill.content for key, bill in reading.bills.items()}) if newest else None
    present = {**known, **{key: change.bill for key, change in changes.items()}}
    noted = dict(changes)
    for key, notes in neighbour_notes(list(present.values()), answer).items():
        if notes != present[key].notes and reading.is_near(present[key].content):
            noted[key] = Change(replace(present[key], notes=notes), known.get(key))
    return tuple(noted.values())


def _attempted(link: Link, attempt: Attempt, reading: Reading, created: int) -> Link:
    """The record after the attempt. The newest one says how reading went, the newest successful one how old the bills
    are; a file that is read into a link of a utility says neither."""
    told = replace(link, bill_count=link.bill_count + created, answer_digest="" if created else link.answer_digest)
    if attempt.source is not Source.API and attempt.provider.adapter != MANUAL:
        return replace(told, provider_id=link.provider_id or attempt.provider.provider_id, answer_digest="")
    told = replace(told, provider_id=attempt.provider.provider_id)
    if link.attempted_at is None or attempt.began >= link.attempted_at:
        told = replace(
            told,
            provider_name=attempt.provider.name,
            time_zone=attempt.provider.time_zone,
            outcome=attempt.outcome,
            error_code=attempt.error_code,
            retryable=attempt.retryable,
            attempted_at=attempt.began,
        )
    if attempt.outcome is Outcome.SUCCESS and (link.as_of is None or attempt.began >= link.as_of):
        told = replace(told, as_of=attempt.began, refused_count=len(reading.refused), answer_digest=reading.digest)
    return told


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
        as_of=_as_of(bill, attempt),
        discovered_at=now,
        versioned_at=now,
        updated_at=now,
    )
    return watched(replace(created, unsent=(created_event(created),)), now)


def _updated(known: Bill, bill: FetchedBill, attempt: Attempt, now: datetime) -> Bill:
    """The user's mark stays, and what a file does not tell of: the document. Paid is news only where neither the
    utility nor the user had said so before."""
    kept = bill.content.document_url if attempt.source is Source.API else known.content.document_url
    updated = replace(
        known,
        content=replace(bill.content, document_url=kept),
        content_hash=content_hash(bill.content),
        source=attempt.source,
        version=known.version + 1,
        supersedes=known.version,
        as_of=_as_of(bill, attempt),
        versioned_at=now,
        updated_at=now,
    )
    events = [updated_event(updated)]
    if is_paid(updated.content, updated.mark) and not is_paid(known.content, known.mark):
        events.append(paid_event(updated, "provider"))
    return watched(replace(updated, unsent=(*known.unsent, *events)), now)
