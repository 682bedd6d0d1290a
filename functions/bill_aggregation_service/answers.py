"""Answers that the cache keeps: made of the table when a reader misses them, and anew when one finds them old."""

from dataclasses import dataclass

import msgspec

from functions.bill_aggregation_service.listing import Lifetime
from functions.bill_aggregation_service.model import LinkId, UserId
from functions.bill_aggregation_service.schemas import BillsQuery, SummaryQuery, bills_reply, summary_reply
from functions.bill_aggregation_service.service import Bills
from functions.common.http.etag import tag_of

Question = BillsQuery | SummaryQuery


@dataclass(frozen=True, slots=True)
class Made:
    body: bytes
    """JSON."""
    tag: str
    """Its entity tag: hashed once, not with each request."""
    lifetime: Lifetime
    outdated: tuple[LinkId, ...]
    """Links whose utilities are worth asking again."""


@dataclass(frozen=True, slots=True)
class Answers:
    bills: Bills

    def make(self, user_id: UserId, question: Question) -> Made:
        """Raises InvalidInput."""
        if isinstance(question, SummaryQuery):
            summary = self.bills.summarise(user_id, question.by, *question.days())
            body = msgspec.json.encode(summary_reply(summary, question.by))
            return Made(body, tag_of(body), summary.lifetime, summary.outdated)
        page = self.bills.list_bills(user_id, question.criteria(), refresh=question.refresh)
        body = msgspec.json.encode(bills_reply(page))
        return Made(body, tag_of(body), page.lifetime, page.outdated)
