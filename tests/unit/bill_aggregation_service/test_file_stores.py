"""Jobs in the table, files in S3, messages in the queue, on emulated services; and the RPCs that imports ask."""

import base64
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError
from moto import mock_aws

from functions.bill_aggregation_service import bootstrap
from functions.bill_aggregation_service.file_clients import FileAccountsClient, ProfilesClient
from functions.bill_aggregation_service.file_store import S3Files, SqsQueue
from functions.bill_aggregation_service.import_job import Asked, ImportId, ImportJob, ImportState, JobMoved
from functions.bill_aggregation_service.import_table import ImportTable
from functions.bill_aggregation_service.imports import Profile
from functions.bill_aggregation_service.item_table import Item
from functions.bill_aggregation_service.listing import FILES
from functions.bill_aggregation_service.personal import PersonalData
from functions.bill_aggregation_service.table import BillTable
from functions.common import aws
from functions.common.errors import NotFound, Unavailable
from functions.common.rpc.client import Stub
from functions.common.rpc.server import LambdaRpcHandler
from functions.contracts.events.bills import BillsImportRequestedV1
from functions.contracts.events.envelope import parse, wrap
from functions.contracts.rpc import accounts_pb2, users_pb2
from tests.support.fakes import FakeClock, LoopbackChannel
from tests.unit.bill_aggregation_service.fakes import LINK, USER, FakeCache
from tests.unit.bill_aggregation_service.file_fakes import MANUAL

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

JOB_ID = ImportId("imp_01JD3N8Z6W3V9K4T7Q2M5XBRPC")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


CLIENTS = (aws.s3, aws.sqs)


@pytest.fixture(autouse=True)
def emulated(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        for client in CLIENTS:
            client.cache_clear()
        yield
    for client in CLIENTS:
        client.cache_clear()


def job(clock: FakeClock) -> ImportJob:
    now = clock.now()
    return ImportJob(
        import_id=JOB_ID, user_id=USER, asked=Asked(LINK, "EUR"), state=ImportState.UPLOADING, created_at=now,
        updated_at=now,
    )  # fmt: skip


# jobs


@pytest.fixture
def jobs(clock: FakeClock) -> ImportTable:
    table = ImportTable("bills", clock)
    Item.create_table(wait=True)
    return table


def test_a_job_is_kept_and_moves_on(jobs: ImportTable, clock: FakeClock) -> None:
    made = job(clock)
    jobs.create(made)
    assert jobs.job(USER, JOB_ID) == made

    moved = jobs.update(made, replace(made, state=ImportState.QUEUED))

    assert jobs.job(USER, JOB_ID) == moved
    assert (moved.state, moved.version) == (ImportState.QUEUED, 2)
    with pytest.raises(JobMoved):
        jobs.update(made, replace(made, state=ImportState.RUNNING))


def test_an_unknown_job_and_one_that_has_expired(jobs: ImportTable, clock: FakeClock) -> None:
    assert jobs.job(USER, JOB_ID) is None
    jobs.create(job(clock))

    clock.advance(timedelta(days=30))

    assert jobs.job(USER, JOB_ID) is None


def test_a_user_who_left_gets_no_job_and_keeps_none(jobs: ImportTable, clock: FakeClock) -> None:
    table = BillTable("bills", clock)
    made = job(clock)
    jobs.create(made)

    table.mark_gone(USER)
    table.delete(USER, 100)

    assert jobs.job(USER, JOB_ID) is None
    with pytest.raises(JobMoved):
        jobs.update(made, made)
    with pytest.raises(NotFound):
        jobs.create(made)


def test_jobs_are_in_the_user_s_export(jobs: ImportTable, clock: FakeClock) -> None:
    jobs.create(job(clock))

    shown = json.loads(PersonalData(BillTable("bills", clock), FakeCache()).export_user(USER, "").json)

    (held,) = shown["imports"]
    assert (held["import_id"], held["state"], held["asked"]) == (
        JOB_ID,
        "uploading",
        {"link_id": LINK, "currency": "EUR"},
    )
    assert "user_id" not in held


# files


@pytest.fixture
def s3() -> "S3Client":
    client = boto3.client("s3", region_name="us-east-1")
    client.create_bucket(Bucket="files")
    return client


@pytest.fixture
def files(s3: "S3Client") -> S3Files:
    return S3Files("files")


def test_files(files: S3Files) -> None:
    assert files.size("imports/a") is None

    files.put("imports/a", io.BytesIO(b"x" * 600_000), "application/xml")

    assert files.size("imports/a") == 600_000
    pieces = list(files.read("imports/a"))
    assert b"".join(pieces) == b"x" * 600_000
    assert len(pieces) > 1
    files.delete("imports/a")
    assert files.size("imports/a") is None
    with pytest.raises(NotFound):
        list(files.read("imports/a"))


def test_the_form_bounds_key_size_and_time(files: S3Files) -> None:
    form = files.upload_form("imports/a", 1_000, 900)

    policy = json.loads(base64.b64decode(form.fields["policy"]))
    assert form.fields["key"] == "imports/a"
    assert ["content-length-range", 1, 1_000] in policy["conditions"]
    assert {"key": "imports/a"} in policy["conditions"]
    assert form.fields["x-amz-algorithm"] == "AWS4-HMAC-SHA256"


def test_the_download_has_a_name_and_an_end(files: S3Files) -> None:
    url = files.download_url("exports/a", "bills.csv", 900)

    assert "X-Amz-Expires=900" in url
    assert "response-content-disposition=attachment%3B%20filename%3D%22bills.csv%22" in url


def test_no_bucket_and_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    files = S3Files("nowhere")
    with pytest.raises(Unavailable):
        files.put("a", io.BytesIO(b""), "text/csv")

    class Broken:
        def head_object(self, **_: Any) -> None:
            raise EndpointConnectionError(endpoint_url="https://files.example")

    monkeypatch.setattr(aws, "s3", Broken)
    with pytest.raises(Unavailable):
        files.size("a")


def test_the_queue(clock: FakeClock) -> None:
    sqs = boto3.client("sqs", region_name="us-east-1")
    url = sqs.create_queue(QueueName="imports")["QueueUrl"]

    SqsQueue(url).send(wrap(BillsImportRequestedV1(user_id=USER, import_id=JOB_ID), clock.now()))

    (message,) = sqs.receive_message(QueueUrl=url)["Messages"]
    assert parse(message["Body"]).subject == JOB_ID


# RPCs


class Accounts:
    state = "ACTIVE"

    def GetLinkedAccount(self, request: accounts_pb2.GetLinkedAccountRequest, _: object) -> accounts_pb2.LinkedAccount:
        assert (request.link_id, request.user_id) == (LINK, USER)
        return accounts_pb2.LinkedAccount(link_id=LINK, provider_id="prv_northwind_power", state=self.state)

    def EnsureManualLink(self, request: accounts_pb2.EnsureManualLinkRequest, _: object) -> accounts_pb2.LinkedAccount:
        assert (request.user_id, request.provider_id) == (USER, FILES)
        return accounts_pb2.LinkedAccount(link_id=MANUAL)


class Users:
    def GetUser(self, request: users_pb2.GetUserRequest, _: object) -> users_pb2.User:
        return users_pb2.User(user_id=request.user_id, currency="EUR", time_zone="Europe/Berlin")


def stub(service: Any, servicer: object) -> Stub:
    return Stub(service, LoopbackChannel(LambdaRpcHandler(service, lambda: servicer)))


def test_what_imports_ask_of_accounts() -> None:
    servicer = Accounts()
    client = FileAccountsClient(stub(accounts_pb2.DESCRIPTOR.services_by_name["Accounts"], servicer))

    assert client.provider_of(USER, LINK) == "prv_northwind_power"
    assert client.manual_link(USER, FILES) == MANUAL
    servicer.state = "REVOKED"
    with pytest.raises(NotFound):
        client.provider_of(USER, LINK)


def test_what_imports_ask_of_users() -> None:
    client = ProfilesClient(stub(users_pb2.DESCRIPTOR.services_by_name["Users"], Users()))

    assert client.profile(USER) == Profile("EUR", "Europe/Berlin")


# from the environment

ENVIRONMENT = {
    "BILLS_TABLE": "bills", "FILES_BUCKET": "files", "IMPORT_QUEUE_URL": "https://sqs.example/imports",
    "RPC_ACCOUNTS": "lambda:accounts", "RPC_PROVIDERS": "lambda:providers", "RPC_USERS": "lambda:users",
    "RPC_BROKER": "lambda:broker", "DEAD_LETTER_QUEUE_URL": "https://sqs.example/dead", "MAX_DELIVERIES": "5",
}  # fmt: skip
BUILDERS = (
    bootstrap.importer, bootstrap.uploads, bootstrap.exports, bootstrap.import_work, bootstrap.import_jobs,
    bootstrap.files, bootstrap.dead_letters, bootstrap.outbox, bootstrap.table, bootstrap.answer_cache,
)  # fmt: skip


def test_everything_is_built_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    try:
        assert bootstrap.uploads().importer is bootstrap.importer()
        assert bootstrap.import_work().files is bootstrap.files()
        assert bootstrap.exports().due_soon_days == 7
        assert bootstrap.importer().usual_currency == "USD"
        assert bootstrap.dead_letters().max_deliveries == 5
    finally:
        for builder in BUILDERS:
            builder.cache_clear()
