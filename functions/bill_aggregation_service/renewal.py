"""Use case behind a reader who was served an old answer: it is made anew, and what is old in it is asked for (ADR 6).

Two things may be old. The answer, against the table: then a write was not heard of, or time has moved what is derived.
And the table, against the utilities: then their links are read again, like any refresh, through the queue.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from functions.bill_aggregation_service.answers import Answers, Question
from functions.bill_aggregation_service.keeping import CACHE_SPACE
from functions.bill_aggregation_service.model import LinkId, UserId
from functions.bill_aggregation_service.schemas import BillsQuery, SummaryQuery
from functions.common import logs
from functions.common.cache import Cached, Entry
from functions.common.clock import Clock
from functions.common.errors import AppError
from functions.common.publisher import Publisher
from functions.contracts.events.bills import BillsRefreshRequestedV1
from functions.contracts.events.envelope import CloudEvent, wrap

log = logging.getLogger(__name__)

PATHS: dict[str, type[Question]] = {"/bills": BillsQuery, "/bills/summary": SummaryQuery}
REQUEST_LEASE_SECONDS = 900
"""In which a link is requested once, however many answers show it: longer than a refresh takes with all deliveries."""


class AnswerKeeper(Protocol):
    def fill(
        self, entry: Entry, seen: Cached, value: bytes, tag: str, soft_end: datetime, hard_end: datetime
    ) -> bool: ...

    def lease(self, owner: str, name: str, seconds: int) -> bool: ...

    def give_back(self, owner: str, name: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Renewed:
    kept: bool
    """False when the user's data changed meanwhile: the next reader begins anew."""
    requested: int
    """Links whose refresh was requested."""


@dataclass(frozen=True, slots=True)
class Renewal:
    answers: Answers
    cache: AnswerKeeper
    publisher: Publisher
    clock: Clock

    def renew_answer(self, user_id: UserId, question: Question, version: int) -> Renewed:
        """`version`: of the user's data, as the reader saw it. Raises InvalidInput."""
        answer = self.answers.make(user_id, question)
        entry, ends = Entry(user_id, CACHE_SPACE, question.name), answer.lifetime
        kept = self.cache.fill(entry, Cached(version), answer.body, answer.tag, ends.soft_end, ends.hard_end)
        requested = self._request([link for link in answer.outdated if self._is_first(user_id, link)], user_id)
        log.info("answer_renewed", extra=logs.fields(kept=kept, outdated=len(answer.outdated), requested=requested))
        return Renewed(kept, requested)

    def _is_first(self, user_id: UserId, link_id: LinkId) -> bool:
        return self.cache.lease(user_id, link_id, REQUEST_LEASE_SECONDS)

    def _request(self, link_ids: Sequence[LinkId], user_id: UserId) -> int:
        if not link_ids:
            return 0
        now = self.clock.now()
        events = {
            link_id: wrap(BillsRefreshRequestedV1(user_id=user_id, link_id=link_id, reason="user"), now)
            for link_id in link_ids
        }
        not_taken = self._not_taken(list(events.values()))
        lost = [link_id for link_id, event in events.items() if event.id in not_taken]
        for link_id in lost:
            self.cache.give_back(user_id, link_id)
        return len(events) - len(lost)

    def _not_taken(self, events: Sequence[CloudEvent]) -> frozenset[str]:
        """Ids. What is lost costs nobody more than time: who reads next asks again, and the sweep does by itself."""
        try:
            return self.publisher.publish(events)
        except AppError as error:
            log.warning("refresh_not_requested", extra=logs.fields(links=len(events), code=error.code))
            return frozenset(event.id for event in events)
