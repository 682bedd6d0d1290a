"""A live read as BillApi has it made: the user's links in groups, each read by a call of its own (ADR 22).

A call is an invocation of BillRpc, with a process and a share of a processor of its own: 50 links in one of them wait
for the processor longer than for their utilities.
"""

import contextvars
import logging
import time
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Protocol

from functions.bill_aggregation_service.listing import FILES
from functions.bill_aggregation_service.model import Criteria, LinkChoice, LinkId, Outcome, ProviderId, UserId
from functions.bill_aggregation_service.refresh import LinkResult, Refreshed
from functions.common import logs
from functions.common.errors import AppError

log = logging.getLogger(__name__)

LINKS_PER_CALL = 10


class KnownLinks(Protocol):
    def linked(self, user_id: UserId) -> Mapping[LinkId, ProviderId]:
        """As the own records of links say."""
        ...


class LinkReads(Protocol):
    def refresh_links(self, user_id: UserId, choice: LinkChoice, seconds: float) -> Sequence[LinkResult]:
        """Answers within `seconds`, or raises DeadlineExceeded; raises AppError when it cannot be asked."""
        ...


@dataclass(frozen=True, slots=True)
class Group:
    """What one call reads, and which links are known to be among it."""

    choice: LinkChoice
    known: Sequence[LinkId]


@dataclass(frozen=True, slots=True)
class LiveReader:
    store: KnownLinks
    reads: LinkReads

    def read_live(self, user_id: UserId, criteria: Criteria, seconds: float) -> Mapping[LinkId, LinkResult]:
        """A call that fails or is late costs the links that it was to read."""
        late_at = time.monotonic() + seconds
        known = {
            link_id: provider_id
            for link_id, provider_id in self.store.linked(user_id).items()
            if provider_id != FILES and criteria.admits(link_id, provider_id)
        }
        groups = groups_of(known, criteria)
        pool = ThreadPoolExecutor(len(groups), thread_name_prefix="live")
        asked = [
            pool.submit(contextvars.copy_context().run, self._read, user_id, group.choice, late_at) for group in groups
        ]
        pool.shutdown(wait=False)
        results: dict[LinkId, LinkResult] = {}
        for group, answer in zip(groups, asked, strict=True):
            try:
                results |= {result.link_id: result for result in answer.result()}
            except AppError as error:
                log.warning("live_read_failed", extra=logs.fields(code=error.code, links=len(group.known)))
                failed = Refreshed(Outcome.FAILED, error.code, retryable=True)
                results |= {link_id: LinkResult(link_id, known[link_id], failed) for link_id in group.known}
        return results

    def _read(self, user_id: UserId, choice: LinkChoice, late_at: float) -> Sequence[LinkResult]:
        return self.reads.refresh_links(user_id, choice, max(0.0, late_at - time.monotonic()))


def groups_of(known: Collection[LinkId], criteria: Criteria) -> Sequence[Group]:
    """Of about the same size. The last one is asked for all that the others leave: so what was linked a moment ago,
    and is not known yet, is read as well."""
    if criteria.link_id:
        return [Group(LinkChoice(frozenset([criteria.link_id]), provider_id=criteria.provider_id), list(known))]
    ordered = sorted(known)
    calls = max(1, -(-len(ordered) // LINKS_PER_CALL))
    ends = [len(ordered) * number // calls for number in range(calls + 1)]
    *named, rest = [ordered[start:end] for start, end in pairwise(ends)]
    others = LinkChoice(excluded=frozenset(chain.from_iterable(named)), provider_id=criteria.provider_id)
    choices = [LinkChoice(frozenset(part), provider_id=criteria.provider_id) for part in named]
    return [Group(choice, part) for choice, part in zip([*choices, others], [*named, rest], strict=True)]
