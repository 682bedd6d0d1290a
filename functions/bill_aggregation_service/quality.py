"""Doubts about bills, each with a stable code; docs/quality-notes.md tells a household what they mean.

Some show in a bill by itself and are found whenever it is read. Others come of its neighbours: the link's other bills
of the same service and usage point. Those are found when a link's bills are written and are kept with the bill, so
that reading a page costs nothing and every page tells the same.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise

from functions.bill_aggregation_service.model import Bill, BillContent, BillKey, BillType, LineKind, QualityNote
from functions.bill_aggregation_service.rules import ASSUMPTIONS

OF_ITSELF = ("cancelled", "due_date_missing", "items_differ_from_total", "period_reversed", *ASSUMPTIONS)
OF_NEIGHBOURS = ("account_changed", "currency_changed", "gap_before", "no_longer_shown", "overlap")
CODES = frozenset(OF_ITSELF + OF_NEIGHBOURS)
NEIGHBOURHOOD = timedelta(400)
"""Bills further apart are no neighbours: after a year without one, a service starts anew."""
SHARED_DAYS = 1
"""Many utilities end a period on the day of the reading, and begin the next one on it."""
Group = tuple[str, str]
"""Service type and usage point."""


# --- of a bill by itself ---


def quality_notes(content: BillContent) -> tuple[QualityNote, ...]:
    return (
        *(QualityNote(code, ASSUMPTIONS[code]) for code in content.assumed if code in ASSUMPTIONS),
        *_cancelled(content),
        *_due_date_missing(content),
        *_items_differ(content),
        *_period_reversed(content),
    )


def all_notes(bill: Bill) -> tuple[QualityNote, ...]:
    """By code, so that equal doubts read alike."""
    return tuple(sorted((*quality_notes(bill.content), *bill.notes), key=lambda note: (note.code, note.detail)))


def _cancelled(content: BillContent) -> Iterator[QualityNote]:
    if content.cancelled:
        yield QualityNote("cancelled", "The utility took this bill back; nothing is to be paid for it.")


def _due_date_missing(content: BillContent) -> Iterator[QualityNote]:
    if content.due_date is None and content.type is BillType.BILL:
        yield QualityNote(
            "due_date_missing", "The utility names no day to pay by, so this bill never shows as overdue."
        )


def _items_differ(content: BillContent) -> Iterator[QualityNote]:
    """The items may make up the bill's own charges, without payments and arrears, or the amount asked for with them."""
    if not content.line_items:
        return
    items = sum(item.amount_minor for item in content.line_items)
    charges = sum(item.amount_minor for item in content.line_items if item.kind is not LineKind.PAYMENT)
    total = content.amount_minor if content.total_charges_minor is None else content.total_charges_minor
    if total not in (items, charges) and content.amount_minor != items:
        detail = f"The line items sum to {items}, the total is {total} (minor units of {content.currency})."
        yield QualityNote("items_differ_from_total", detail)


def _period_reversed(content: BillContent) -> Iterator[QualityNote]:
    if content.period_end < content.period_start:
        yield QualityNote("period_reversed", f"The period ends on {content.period_end}, before it starts.")


# --- of a bill among its neighbours ---


@dataclass(frozen=True, slots=True)
class Answer:
    """What the newest answer of a utility showed: the bills, and between which starts of periods by group."""

    keys: frozenset[BillKey]
    spans: Mapping[Group, tuple[date, date]]

    @classmethod
    def of(cls, shown: Mapping[BillKey, BillContent]) -> "Answer":
        starts: defaultdict[Group, list[date]] = defaultdict(list)
        for content in shown.values():
            starts[_group(content)].append(content.period_start)
        return cls(frozenset(shown), {group: (min(days), max(days)) for group, days in starts.items()})

    def lacks(self, bill: Bill) -> bool:
        """Whether the utility shows older bills of the service and newer ones, but not this one."""
        first, last = self.spans.get(_group(bill.content), (date.max, date.min))
        return bill.key not in self.keys and first < bill.content.period_start < last


def neighbour_notes(bills: Sequence[Bill], answer: Answer | None) -> Mapping[BillKey, tuple[QualityNote, ...]]:
    """For each of a link's bills. Without a new answer of the utility, what it no longer shows stays as it was."""
    found: defaultdict[BillKey, list[QualityNote]] = defaultdict(list)
    for series in _series(bills):
        for key, note in (*_coverage(series), *_sudden_changes(series)):
            found[key].append(note)
    for bill in bills:
        if _is_missing(bill, answer):
            detail = "The utility shows older and newer bills, but not this one any more."
            found[bill.key].append(QualityNote("no_longer_shown", detail))
    return {bill.key: tuple(sorted(found[bill.key], key=lambda note: (note.code, note.detail))) for bill in bills}


def _is_missing(bill: Bill, answer: Answer | None) -> bool:
    was = any(note.code == "no_longer_shown" for note in bill.notes)
    if answer is None:
        return was
    return answer.lacks(bill) or (was and bill.key not in answer.keys)


def _coverage(series: Sequence[Bill]) -> Iterator[tuple[BillKey, QualityNote]]:
    """`reaching` is the bill that covers most so far, which finds every overlap and no gap where an earlier, longer
    period covers the days."""
    overlapping: dict[BillKey, Bill] = {}
    reaching = series[0]
    for bill in series[1:]:
        start, covered = bill.content.period_start, reaching.content.period_end
        # Days are subtracted from one another, never added to: the last of the calendar may be among them.
        if timedelta(1) < start - covered <= NEIGHBOURHOOD:
            detail = f"No bill covers {covered + timedelta(1)} to {start - timedelta(1)}."
            yield bill.key, QualityNote("gap_before", detail)
        elif (min(covered, bill.content.period_end) - start).days + 1 > SHARED_DAYS:
            overlapping.setdefault(reaching.key, bill)
            overlapping.setdefault(bill.key, reaching)
        if bill.content.period_end > covered:
            reaching = bill
    for key, other in overlapping.items():
        yield key, QualityNote("overlap", f"Its period overlaps with that of {_named(other.content)}.")


def _sudden_changes(series: Sequence[Bill]) -> Iterator[tuple[BillKey, QualityNote]]:
    for before, bill in pairwise(series):
        if bill.content.period_start - before.content.period_end > NEIGHBOURHOOD:
            continue
        if bill.content.currency != before.content.currency:
            detail = f"The bill before is in {before.content.currency}, this one in {bill.content.currency}."
            yield bill.key, QualityNote("currency_changed", detail)
        old, new = _meters(before.content), _meters(bill.content)
        if old and new and not old & new:
            yield bill.key, QualityNote("account_changed", "It is of other meters than the bill before.")


def _series(bills: Iterable[Bill]) -> Iterable[Sequence[Bill]]:
    """The bills that cover time, service by service in the order of their periods."""
    groups: defaultdict[Group, list[Bill]] = defaultdict(list)
    for bill in bills:
        content = bill.content
        covers = content.type in (BillType.BILL, BillType.PREPAID) and content.period_start <= content.period_end
        if covers and not content.cancelled:
            groups[_group(content)].append(bill)
    return [sorted(group, key=_by_period) for group in groups.values()]


def _by_period(bill: Bill) -> tuple[date, date, BillKey]:
    return bill.content.period_start, bill.content.period_end, bill.key


def _group(content: BillContent) -> Group:
    return content.service_type, content.usage_point


def _meters(content: BillContent) -> frozenset[str]:
    return frozenset(part.meter_id for part in content.usage if part.meter_id)


def _named(content: BillContent) -> str:
    period = f"{content.period_start} to {content.period_end}"
    return f"bill {content.external_bill_id} ({period})" if content.external_bill_id else f"the bill of {period}"
