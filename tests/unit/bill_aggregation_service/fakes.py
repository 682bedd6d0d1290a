"""A household's utilities, services and table, small enough to read in one go."""

import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from pathlib import Path

from functions.bill_aggregation_service.adapters.base import Access, Headers
from functions.bill_aggregation_service.answers import Answers
from functions.bill_aggregation_service.clients import LiveReadsClient
from functions.bill_aggregation_service.documents import Documents, Present
from functions.bill_aggregation_service.keeping import LinkMoved
from functions.bill_aggregation_service.live import LiveReader
from functions.bill_aggregation_service.model import (
    Bill,
    BillContent,
    BillKey,
    Criteria,
    FetchedBill,
    Link,
    LinkId,
    Provider,
    ProviderId,
    UserId,
)
from functions.bill_aggregation_service.personal import PersonalData
from functions.bill_aggregation_service.projection import Projection
from functions.bill_aggregation_service.refresh import OpenedAccount, Refresher
from functions.bill_aggregation_service.renewal import Renewal
from functions.bill_aggregation_service.rpc import BILLS, BillsServicer
from functions.bill_aggregation_service.service import LIVE_SECONDS, Bills
from functions.bill_aggregation_service.table import BillTable
from functions.bill_aggregation_service.upsert import Attempt, Change
from functions.common.cache import Cached, Entry
from functions.common.cursor import SignedCursors
from functions.common.errors import AppError
from functions.common.outbox import Outbox, Pending
from functions.common.rpc.client import Stub
from functions.common.rpc.server import LambdaRpcHandler
from tests.support.fakes import FakeClock, FakePublisher, LoopbackChannel

SAMPLES = Path(__file__).parent / "samples"
USER = UserId("usr_01JD3N8Z6W3V9K4T7Q2M5XBRPC")
LINK = LinkId("lnk_01JD3N8Z6W3V9K4T7Q2M5XBRPC")
OTHER_LINK = LinkId("lnk_01JD3N8Z6W3V9K4T7Q2M5XBRPD")
PROVIDER = Provider(
    provider_id=ProviderId("prv_northwind_power"),
    name="Northwind Power",
    service_types=("electricity",),
    currency="USD",
    time_zone="America/New_York",
    adapter="oauth_json",
    base_url="https://power.example",
)


def content(
    number: str = "B-1", amount: int = 1000, due: date | None = date(2026, 3, 20), **changes: object
) -> BillContent:
    """A bill of the month before it is due."""
    day = due or date(2026, 3, 20)
    plain = BillContent(
        external_bill_id=number,
        service_type="electricity",
        due_date=due,
        period_start=day - timedelta(60),
        period_end=day - timedelta(30),
        amount_minor=amount,
        currency="USD",
    )
    return replace(plain, **changes)  # type: ignore[arg-type]  # the tests name fields of BillContent


def fetched(
    number: str = "B-1", amount: int = 1000, due: date | None = date(2026, 3, 20), **changes: object
) -> FetchedBill:
    return FetchedBill(content(number, amount, due, **changes))


class FakeHttp:
    """Answers paths from a script, in order; keeps what was asked. An answer that is an exception is raised."""

    def __init__(self, **answers: bytes | Exception | list[bytes | Exception]) -> None:
        self.answers = answers
        self.asked: list[tuple[str, str, Headers, Headers]] = []
        self.bodies: list[bytes] = []
        self.pauses: list[float] = []
        self.closed = False

    def get(self, path: str, *, query: Headers | None = None, headers: Headers | None = None) -> bytes:
        self.asked.append(("GET", path, query or {}, headers or {}))
        return self._answer("get")

    def post(self, path: str, body: bytes, *, content_type: str, headers: Headers | None = None) -> bytes:
        self.asked.append(("POST", path, {}, {"Content-Type": content_type, **(headers or {})}))
        self.bodies.append(body)
        return self._answer("post")

    def download(self, path: str, *, media_type: str, max_bytes: int, headers: Headers | None = None) -> bytes:
        self.asked.append(("GET", path, {}, {"Accept": media_type, **(headers or {})}))
        return self._answer("download")

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)

    def close(self) -> None:
        self.closed = True

    def _answer(self, method: str) -> bytes:
        answer = self.answers[method]
        if isinstance(answer, list):
            answer = answer.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


@dataclass
class FakeStore:
    """The table as the use cases see it; `moves` writes are beaten by somebody else."""

    rows: dict[tuple[UserId, LinkId], Link] = field(default_factory=dict)
    kept: dict[BillKey, Bill] = field(default_factory=dict)
    versions: list[Bill] = field(default_factory=list)
    moves: int = 0
    together: list[int] = field(default_factory=list)
    """How many records each transaction of several wrote."""
    bill_writes: int = 0
    link_writes: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def link(self, user_id: UserId, link_id: LinkId) -> Link | None:
        return self.rows.get((user_id, link_id))

    def linked(self, user_id: UserId) -> Mapping[LinkId, ProviderId]:
        return {link.link_id: link.provider_id for link in self.links(user_id)}

    def links(self, user_id: UserId, among: Collection[LinkId] = ()) -> Sequence[Link]:
        return [link for (owner, _), link in self.rows.items() if owner == user_id and not link.gone]

    def bills(self, user_id: UserId, keys: Collection[BillKey]) -> Mapping[BillKey, Bill]:
        return {key: self.kept[key] for key in keys if key in self.kept}

    def save(self, before: Link, after: Link, changes: Sequence[Change] = ()) -> Sequence[Pending]:
        key = (before.user_id, before.link_id)
        with self.lock:
            known = self.rows.get(key)
            if self.moves or (known.revision if known else 0) != before.revision:
                self.moves = max(0, self.moves - 1)
                raise LinkMoved
            numbered = [replace(c.bill, edition=(c.before.edition if c.before else 0) + 1) for c in changes]
            if any(self._edition(bill.key) != bill.edition - 1 for bill in numbered):
                raise LinkMoved
            self.kept |= {bill.key: bill for bill in numbered}
            self.versions += [change.replaced for change in changes if change.replaced]
            self.rows[key] = replace(after, revision=before.revision + 1)
            self.bill_writes += len(changes)
            self.link_writes += 1
        return [_pending(bill) for bill in numbered]

    def save_records(self, records: Sequence[tuple[Link, Link]]) -> None:
        with self.lock:
            if any(self.rows[before.user_id, before.link_id].revision != before.revision for before, _ in records):
                raise LinkMoved
            self.together.append(len(records))
        for before, after in records:
            self.save(before, after)

    def bill(self, user_id: UserId, key: BillKey) -> Bill | None:
        bill = self.kept.get(key)
        return bill if bill and bill.user_id == user_id else None

    def versions_before(self, user_id: UserId, key: BillKey, limit: int) -> Sequence[Bill]:
        found = [bill for bill in self.versions if (bill.user_id, bill.key) == (user_id, key)]
        return sorted(found, key=lambda bill: bill.version, reverse=True)[:limit]

    def bills_between(self, user_id: UserId, link_id: LinkId, since: date, until: date) -> Sequence[Bill]:
        mine = [bill for bill in self.kept.values() if (bill.user_id, bill.link_id) == (user_id, link_id)]
        return [bill for bill in mine if since <= bill.content.sorted_on <= until]

    def save_bill(self, before: Bill, after: Bill) -> Pending:
        with self.lock:
            if self.moves or self._edition(before.key) != before.edition:
                self.moves = max(0, self.moves - 1)
                raise LinkMoved
            self.kept[after.key] = replace(after, edition=before.edition + 1)
            self.bill_writes += 1
        return _pending(self.kept[after.key])

    def _edition(self, key: BillKey) -> int:
        return self.kept[key].edition if key in self.kept else 0

    def newest_first(self, user_id: UserId, criteria: Criteria, links: int = 0) -> Iterator[Link | Bill]:
        yield from self.links(user_id)
        for bill in sorted(self.kept.values(), key=lambda bill: bill.position, reverse=True):
            within = (criteria.since or date.min) <= bill.content.sorted_on <= (criteria.until or date.max)
            if within and (not criteria.after or bill.position < criteria.after):
                yield bill

    def delete_bills(self, user_id: UserId, link_id: LinkId) -> int:
        gone = [key for key, bill in self.kept.items() if bill.link_id == link_id]
        for key in gone:
            del self.kept[key]
        return len(gone)

    def pending_events(self, limit: int) -> Sequence[Pending]:
        return [_pending(bill) for bill in self.kept.values() if bill.unsent][:limit]

    def clear_outbox(self, pending: Pending) -> None:
        bill = self.kept[BillKey(pending.key[0])]
        if bill.edition == pending.version:
            self.kept[bill.key] = replace(bill, unsent=())


def _pending(bill: Bill) -> Pending:
    return Pending((bill.key,), bill.edition, bill.unsent)


@dataclass
class FakeServices:
    """Credentials, Providers and Accounts; an error in `broken` is raised by the call of that name."""

    accounts: dict[LinkId, ProviderId] = field(default_factory=lambda: {LINK: PROVIDER.provider_id})
    providers: dict[ProviderId, Provider] = field(default_factory=lambda: {PROVIDER.provider_id: PROVIDER})
    broken: dict[str, AppError] = field(default_factory=dict)
    outcomes: list[tuple[Link, Attempt]] = field(default_factory=list)
    started: list[tuple[LinkId, datetime]] = field(default_factory=list)
    mfa: tuple[str, str] = ("", "")
    """The user's code, and what it answers."""
    vanished: set[LinkId] = field(default_factory=set)
    """Still listed, but unlinked when their credentials are asked for."""

    def open(self, user_id: UserId, link_ids: Collection[LinkId]) -> Mapping[LinkId, OpenedAccount]:
        self._check("open")
        return {
            link_id: OpenedAccount(
                self.accounts[link_id], {"account_number": "NP-10024817"}, "good", "s3cret", *self.mfa
            )
            for link_id in link_ids
            if link_id in self.accounts and link_id not in self.vanished
        }

    def get(self, provider_id: ProviderId) -> Provider:
        self._check("get")
        return self.providers[provider_id]

    def linked(self, user_id: UserId) -> Mapping[LinkId, ProviderId]:
        self._check("linked")
        return self.accounts

    def record_started(self, user_id: UserId, link_id: LinkId, at: datetime) -> None:
        self._check("record_started")
        self.started.append((link_id, at))

    def record_outcome(self, link: Link, attempt: Attempt) -> None:
        self._check("record_outcome")
        self.outcomes.append((link, attempt))

    def _check(self, name: str) -> None:
        if name in self.broken:
            raise self.broken[name]


class FakeCache:
    """`version`: the one that fills must have seen."""

    def __init__(self) -> None:
        self.bumps: list[tuple[str, str]] = []
        self.version = 1
        self.filled: dict[Entry, tuple[bytes, str, datetime, datetime]] = {}
        self.leases: dict[tuple[str, str], int] = {}

    def fill(self, entry: Entry, seen: Cached, value: bytes, tag: str, soft_end: datetime, hard_end: datetime) -> bool:
        if seen.version == self.version:
            self.filled[entry] = (value, tag, soft_end, hard_end)
        return seen.version == self.version

    def lease(self, owner: str, name: str, seconds: int) -> bool:
        taken = (owner, name) in self.leases
        self.leases.setdefault((owner, name), seconds)
        return not taken

    def give_back(self, owner: str, name: str) -> None:
        del self.leases[owner, name]

    def bump(self, owner: str, space: str) -> None:
        self.bumps.append((owner, space))


class World:
    """Everything around the use cases. `answers` holds what the utility gives, or raises, the next times."""

    def __init__(self) -> None:
        self.store = FakeStore()
        self.services = FakeServices()
        self.publisher = FakePublisher()
        self.cache = FakeCache()
        self.clock = FakeClock()
        self.answers: list[Sequence[FetchedBill] | Exception | Callable[[Access], Sequence[FetchedBill]]] = []
        self.accesses: list[tuple[Access, float]] = []
        self.outbox = Outbox(self.store, self.publisher)
        self.refresher = Refresher(
            store=self.store,
            credentials=self.services,
            providers=self.services,
            accounts=self.services,
            fetch=self._fetch,
            outbox=self.outbox,
            cache=self.cache,
            clock=self.clock,
            fetch_seconds=20.0,
            sleep=lambda _: None,
        )
        self.projection = Projection(self.store, self.cache)
        self.papers: list[bytes | Exception | Callable[[Access, str, Present], bytes]] = []
        """What the utility gives for a document the next times."""
        self.asked_for: list[tuple[Access, str]] = []
        self.cursors = SignedCursors(b"0123456789abcdef")
        self.bills = Bills(
            store=self.store,
            cache=self.cache,
            clock=self.clock,
            cursors=self.cursors,
            outbox=lambda: self.outbox,
            live=lambda: LiveReader(self.store, LiveReadsClient(self.rpc)),
            soft=timedelta(minutes=5),
            hard=timedelta(hours=1),
            fresh_seconds=21_600,
            due_soon_days=7,
        )

    @property
    def rpc(self) -> Stub:
        """The service Bills as its callers have it, made of what stands here now."""
        return Stub(BILLS, LoopbackChannel(LambdaRpcHandler(BILLS, lambda: self.servicer)), LIVE_SECONDS)

    @property
    def servicer(self) -> BillsServicer:
        personal = PersonalData(BillTable("bills", self.clock), self.cache)
        return BillsServicer(
            self.refresher, self.projection, self.outbox, personal, self.documents, lambda: self.renewal
        )

    @property
    def renewal(self) -> Renewal:
        return Renewal(Answers(self.bills), self.cache, self.publisher, self.clock)

    @property
    def documents(self) -> Documents:
        return Documents(self.store, self.refresher, self._read_document)

    def _read_document(self, access: Access, reference: str, present: Present, seconds: float) -> bytes:
        self.asked_for.append((access, reference))
        answer = self.papers.pop(0) if len(self.papers) > 1 else self.papers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer(access, reference, present) if callable(answer) else answer

    def _fetch(self, access: Access, seconds: float) -> Sequence[FetchedBill]:
        self.accesses.append((access, seconds))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer(access) if callable(answer) else answer
