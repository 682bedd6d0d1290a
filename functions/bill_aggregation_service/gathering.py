"""What the links of a live read have to write at the same moment, written in one go (ADR 22).

Utilities that answer at the same moment have their links' records written at the same moment, and a call by botocore
takes more of the processor than all else that a link needs. So who comes while a call is under way waits for the next
one, which is for all that have come by then. Who comes alone does not wait.
"""

import threading
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from datetime import date
from typing import Generic, Protocol, TypeVar

from functions.bill_aggregation_service.keeping import AnswerCache, LinkMoved, LinkStore
from functions.bill_aggregation_service.model import Bill, BillKey, Link, LinkId, UserId
from functions.bill_aggregation_service.upsert import Change
from functions.common.outbox import Pending

T = TypeVar("T")
Record = tuple[Link, Link]
"""A link's record as it was read, and as it is to be."""


class RecordStore(LinkStore, Protocol):
    def save_records(self, records: Sequence[Record]) -> None:
        """Writes records that were written before, all or none. Raises LinkMoved when one of them does not stand as it
        was read any more."""
        ...


class Gathered(Generic[T]):
    """Does for several threads at once what each of them asks for; one of them carries it out."""

    def __init__(self, do: Callable[[Sequence[T]], None]) -> None:
        self._do = do
        self._turn = threading.Lock()
        self._waiting: deque[tuple[T, Future[None]]] = deque()

    def __call__(self, item: T) -> None:
        """Returns when it is done. Raises what doing it, with whatever was done along, has raised."""
        mine = Future[None]()
        self._waiting.append((item, mine))
        with self._turn:
            if not mine.done():
                self._carry_out()
        mine.result()

    def _carry_out(self) -> None:
        gathered = [self._waiting.popleft() for _ in range(len(self._waiting))]
        try:
            self._do([item for item, _ in gathered])
        except Exception as error:
            for _, each in gathered:
                each.set_exception(error)
            raise
        for _, each in gathered:
            each.set_result(None)


class GatheringStore:
    """The store as links see it that are read at once."""

    def __init__(self, store: RecordStore) -> None:
        self._store = store
        self._records = Gathered(self._save)

    def links(self, user_id: UserId, among: Collection[LinkId] = ()) -> Sequence[Link]:
        return self._store.links(user_id, among)

    def link(self, user_id: UserId, link_id: LinkId) -> Link | None:
        return self._store.link(user_id, link_id)

    def bills(self, user_id: UserId, keys: Collection[BillKey]) -> Mapping[BillKey, Bill]:
        return self._store.bills(user_id, keys)

    def bills_between(self, user_id: UserId, link_id: LinkId, since: date, until: date) -> Sequence[Bill]:
        return self._store.bills_between(user_id, link_id, since, until)

    def save(self, before: Link, after: Link, changes: Sequence[Change] = ()) -> Sequence[Pending]:
        """A record without bills may go with others."""
        if before.revision and not changes:
            try:
                self._records((before, after))
            except LinkMoved:
                pass  # it, or another one that went along: by itself it is told
            else:
                return ()
        return self._store.save(before, after, changes)

    def save_records(self, records: Sequence[Record]) -> None:
        self._store.save_records(records)

    def _save(self, records: Sequence[Record]) -> None:
        if len(records) == 1:
            self._store.save(*records[0])
        else:
            self._store.save_records(records)


class GatheringCache:
    """The cache as links of one user see it that are read at once: one bump tells of all that was written before it."""

    def __init__(self, cache: AnswerCache) -> None:
        self._cache = cache
        self._bumps = Gathered(self._bump)

    def bump(self, owner: str, space: str) -> None:
        self._bumps((owner, space))

    def _bump(self, spaces: Sequence[tuple[str, str]]) -> None:
        for owner, space in dict.fromkeys(spaces):
            self._cache.bump(owner, space)
