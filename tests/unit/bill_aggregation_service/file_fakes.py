"""What imports and exports need around them: accounts, profiles, jobs, files and a queue, all in memory."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import IO

from functions.bill_aggregation_service.exports import Exports
from functions.bill_aggregation_service.import_job import ImportId, ImportJob, JobMoved
from functions.bill_aggregation_service.imports import Importer, Profile
from functions.bill_aggregation_service.listing import FILES
from functions.bill_aggregation_service.model import LinkId, Provider, ProviderId, UserId
from functions.bill_aggregation_service.uploads import ImportWork, UploadForm, Uploads
from functions.common.errors import AppError, NotFound
from functions.common.outbox import Outbox
from functions.contracts.events.envelope import CloudEvent
from tests.support.fakes import FakeClock, FakePublisher
from tests.unit.bill_aggregation_service.fakes import LINK, PROVIDER, FakeCache, FakeStore

MANUAL = LinkId("lnk_01JD3N8Z6W3V9K4T7Q2M5XF0ES")
FILE_PROVIDER = Provider(
    provider_id=FILES,
    name="Green Button file",
    service_types=("electricity", "gas"),
    currency="USD",
    time_zone="UTC",
    adapter="manual",
    base_url="",
)


@dataclass
class FakeAccounts:
    links: dict[LinkId, ProviderId] = field(default_factory=lambda: {LINK: PROVIDER.provider_id})
    made: int = 0

    def provider_of(self, user_id: UserId, link_id: LinkId) -> ProviderId:
        if link_id not in self.links:
            raise NotFound("There is no such link.", code="link_not_found")
        return self.links[link_id]

    def manual_link(self, user_id: UserId, provider_id: ProviderId) -> LinkId:
        self.made += MANUAL not in self.links
        self.links[MANUAL] = provider_id
        return MANUAL


@dataclass
class FakeProfiles:
    known: Profile = field(default_factory=Profile)
    broken: AppError | None = None

    def profile(self, user_id: UserId) -> Profile:
        if self.broken:
            raise self.broken
        return self.known


class FakeProviders:
    def get(self, provider_id: ProviderId) -> Provider:
        return {each.provider_id: each for each in (PROVIDER, FILE_PROVIDER)}[provider_id]


@dataclass
class FakeJobs:
    rows: dict[tuple[UserId, ImportId], ImportJob] = field(default_factory=dict)
    moves: int = 0

    def create(self, job: ImportJob) -> None:
        self.rows[job.user_id, job.import_id] = job

    def job(self, user_id: UserId, import_id: ImportId) -> ImportJob | None:
        return self.rows.get((user_id, import_id))

    def update(self, before: ImportJob, after: ImportJob) -> ImportJob:
        known = self.job(before.user_id, before.import_id)
        if self.moves or known is None or known.version != before.version:
            self.moves = max(0, self.moves - 1)
            raise JobMoved
        self.rows[before.user_id, before.import_id] = replace(after, version=before.version + 1)
        return self.rows[before.user_id, before.import_id]


@dataclass
class FakeFiles:
    kept: dict[str, bytes] = field(default_factory=dict)
    types: dict[str, str] = field(default_factory=dict)

    def upload_form(self, key: str, max_bytes: int, seconds: int) -> UploadForm:
        return UploadForm("https://files.example", {"key": key, "policy": f"{max_bytes} bytes in {seconds} s"})

    def size(self, key: str) -> int | None:
        return len(self.kept[key]) if key in self.kept else None

    def read(self, key: str) -> Iterator[bytes]:
        document = self.kept[key]
        return (document[at : at + 1000] for at in range(0, len(document), 1000))

    def delete(self, key: str) -> None:
        self.kept.pop(key, None)

    def put(self, key: str, content: IO[bytes], content_type: str) -> None:
        self.kept[key], self.types[key] = content.read(), content_type

    def download_url(self, key: str, name: str, seconds: int) -> str:
        return f"https://files.example/{key}?name={name}&seconds={seconds}"


@dataclass
class FakeQueue:
    sent: list[CloudEvent] = field(default_factory=list)

    def send(self, event: CloudEvent) -> None:
        self.sent.append(event)


class FileWorld:
    def __init__(self) -> None:
        self.store = FakeStore()
        self.accounts = FakeAccounts()
        self.profiles = FakeProfiles()
        self.publisher = FakePublisher()
        self.cache = FakeCache()
        self.clock = FakeClock()
        self.jobs = FakeJobs()
        self.files = FakeFiles()
        self.queue = FakeQueue()
        self.importer = Importer(
            store=self.store,
            accounts=self.accounts,
            providers=FakeProviders(),
            profiles=self.profiles,
            outbox=Outbox(self.store, self.publisher),
            cache=self.cache,
            clock=self.clock,
            usual_currency="USD",
            sleep=lambda _: None,
        )
        self.uploads = Uploads(self.jobs, self.files, self.queue, self.importer, self.clock)
        self.work = ImportWork(self.jobs, self.files, self.importer, self.clock)
        self.exports = Exports(self.store, lambda: self.files, self.clock, due_soon_days=7)
