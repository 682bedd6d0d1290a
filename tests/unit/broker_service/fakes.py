"""A job table in memory, linked accounts as the RPC serves them, and a broker made of both."""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace

from functions.broker_service.bootstrap import ACCOUNTS
from functions.broker_service.model import Job, JobId, LinkId, LinkResult, UserId
from functions.broker_service.service import Jobs, Refreshes
from functions.common.errors import Unavailable
from functions.common.rpc.client import Stub
from functions.common.rpc.server import LambdaRpcHandler, RpcContext
from functions.contracts.rpc.accounts_pb2 import GetLinkedAccountsReply, GetLinkedAccountsRequest, LinkedAccount
from tests.support.fakes import FakeClock, FakePublisher, LoopbackChannel

ANNA = UserId("usr_01JD3N8Z6W3V9K4T7Q2M5XBRPC")
BERT = UserId("usr_01JD3N8Z6W3V9K4T7Q2M5XBRPD")
POWER, GAS, WATER = LinkId("lnk_power"), LinkId("lnk_gas"), LinkId("lnk_water")
JOB_SECONDS, KEPT_SECONDS = 900, 86_400


class FakeJobTable:
    def __init__(self, clock: FakeClock) -> None:
        self.jobs: dict[tuple[UserId, JobId], Job] = {}
        self.running: dict[tuple[UserId, frozenset[LinkId]], JobId] = {}
        self.losing_races = 0
        self.takes_marks = True
        self._clock = clock
        self._lock = threading.Lock()

    def find_running(self, user_id: UserId, link_ids: Sequence[LinkId]) -> Job | None:
        job_id = self.running.get((user_id, frozenset(link_ids)))
        return self.get(user_id, job_id) if job_id else None

    def start(self, job: Job, instead_of: Job | None) -> bool:
        if self.losing_races:
            self.losing_races -= 1
            return False
        self.running[job.user_id, frozenset(job.link_ids)] = job.job_id
        self.jobs[job.user_id, job.job_id] = job
        return True

    def mark_announced(self, job: Job) -> None:
        if not self.takes_marks:
            raise Unavailable("The table did not answer.")
        key = job.user_id, job.job_id
        self.jobs[key] = replace(self.jobs[key], announced=True)

    def get(self, user_id: UserId, job_id: JobId) -> Job | None:
        job = self.jobs.get((user_id, job_id))
        return job if job and job.expires_at > self._clock.now() else None

    def record(self, user_id: UserId, job_id: JobId, result: LinkResult) -> Job | None:
        with self._lock:
            job = self.get(user_id, job_id)
            if not job or result.link_id not in job.link_ids or result.link_id in {r.link_id for r in job.results}:
                return None
            self.jobs[user_id, job_id] = replace(job, results=(*job.results, result))
            return self.jobs[user_id, job_id]

    def release(self, job: Job) -> None:
        key = job.user_id, frozenset(job.link_ids)
        if self.running.get(key) == job.job_id:
            del self.running[key]

    def held(self, user_id: UserId, after: str) -> Iterator[Job]:
        yield from (job for (owner, job_id), job in sorted(self.jobs.items()) if owner == user_id and job_id > after)

    def delete(self, user_id: UserId, limit: int) -> int:
        found = [key for key in self.jobs if key[0] == user_id][:limit]
        for key in found:
            del self.jobs[key]
        return len(found)


class FakeAccounts:
    """Servicer of the one method that the broker calls."""

    def __init__(self) -> None:
        self.links: dict[str, list[tuple[LinkId, str]]] = {}
        self.manual: set[LinkId] = set()

    def GetLinkedAccounts(self, request: GetLinkedAccountsRequest, _context: RpcContext) -> GetLinkedAccountsReply:
        links = self.links.get(request.user_id, [])
        return GetLinkedAccountsReply(
            items=[
                LinkedAccount(link_id=link_id, state=state, kind="manual" if link_id in self.manual else "api")
                for link_id, state in links
            ]
        )


class World:
    """Everything that the use cases touch."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.table = FakeJobTable(self.clock)
        self.publisher = FakePublisher()
        self.accounts = FakeAccounts()
        self.jobs = Jobs(self.table, self.clock)
        self.refreshes = Refreshes(
            table=self.table,
            jobs=self.jobs,
            accounts=Stub(ACCOUNTS, LoopbackChannel(LambdaRpcHandler(ACCOUNTS, lambda: self.accounts))),
            publisher=self.publisher,
            clock=self.clock,
            job_seconds=JOB_SECONDS,
            kept_seconds=KEPT_SECONDS,
        )

    def link(self, user_id: UserId, *link_ids: LinkId, state: str = "ACTIVE") -> None:
        self.accounts.links.setdefault(user_id, []).extend((link_id, state) for link_id in link_ids)
