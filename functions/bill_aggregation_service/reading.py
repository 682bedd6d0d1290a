"""An answer of a utility, or a file, made ready to be compared with what is known: tidy, and each bill once."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cached_property

from functions.bill_aggregation_service.model import BillContent, BillKey, FetchedBill, LinkId
from functions.bill_aggregation_service.quality import NEIGHBOURHOOD
from functions.bill_aggregation_service.rules import collapse, content_hash, natural_key, refusal, tidy
from functions.common.ids import random_part

LAG = timedelta(100)
"""Lists go by the due date, neighbours by the period: so far one may be behind the other."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A bill of the answer that cannot be kept; `code` is one of `rules.REFUSALS`."""

    external_bill_id: str
    code: str


@dataclass(frozen=True)
class Reading:
    """An answer made ready: tidy, each bill once, without what cannot be kept."""

    bills: Mapping[BillKey, FetchedBill]
    refused: tuple[Refused, ...]

    @cached_property
    def digest(self) -> str:
        """The same for the same answer, in whatever order it came. Of documents counts that there are any: a reference
        may change from answer to answer, and one that has had its time is looked for when it is needed."""
        said = sorted(
            f"{key} {content_hash(bill.content)} {bill.stamped_at or ''}{' document' * bool(bill.content.document_url)}"
            for key, bill in self.bills.items()
        )
        return hashlib.blake2b("\n".join(said).encode(), digest_size=12).hexdigest()

    @property
    def span(self) -> tuple[date, date]:
        """Between which days its bills' neighbours, and the neighbours of those, stand in a list."""
        first, last = self.days
        return _earlier(first, 2 * NEIGHBOURHOOD + LAG), _later(last, 2 * NEIGHBOURHOOD + LAG)

    def is_near(self, content: BillContent) -> bool:
        """Whether all neighbours of this bill stand within the span, so that its notes can be judged."""
        first, last = self.days
        return _earlier(first, NEIGHBOURHOOD) <= content.sorted_on <= _later(last, NEIGHBOURHOOD)

    @property
    def days(self) -> tuple[date, date]:
        days = [bill.content.period_start for bill in self.bills.values()]
        days += [bill.content.sorted_on for bill in self.bills.values()]
        return min(days), max(days)


def reading_of(link_id: LinkId, found: Iterable[FetchedBill]) -> Reading:
    tidied = [replace(bill, content=tidy(bill.content)) for bill in found]
    judged = [(bill, refusal(bill.content)) for bill in tidied]
    kept = collapse((bill for bill, code in judged if not code), link_id)
    refused = tuple(Refused(bill.content.external_bill_id, code) for bill, code in judged if code)
    return Reading({_key(digest): bill for digest, bill in kept.items()}, refused)


def bill_key(link_id: LinkId, content: BillContent) -> BillKey:
    return _key(natural_key(link_id, tidy(content)))


def _key(digest: bytes) -> BillKey:
    return BillKey(random_part(digest[:10]))


def _earlier(day: date, days: timedelta) -> date:
    return day - days if day - date.min > days else date.min


def _later(day: date, days: timedelta) -> date:
    return day + days if date.max - day > days else date.max
