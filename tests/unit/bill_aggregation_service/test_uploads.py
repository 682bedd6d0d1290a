"""Imports of uploaded files: every state of a job, and that no file is imported that is too large, or twice at once."""

from dataclasses import replace
from datetime import timedelta

import pytest

from functions.bill_aggregation_service import uploads as module
from functions.bill_aggregation_service.import_job import Asked, ImportJob, ImportState
from functions.bill_aggregation_service.model import LinkId, UserId
from functions.common.errors import Conflict, NotFound, PayloadTooLarge, Unavailable
from functions.common.worker import UnknownEventError
from functions.contracts.events.bills import BillsRefreshRequestedV1
from functions.contracts.events.envelope import wrap
from tests.unit.bill_aggregation_service.espi.feeds import entry, feed, summary
from tests.unit.bill_aggregation_service.fakes import LINK, USER
from tests.unit.bill_aggregation_service.file_fakes import MANUAL, FileWorld

FILE = feed(entry(summary()))


@pytest.fixture
def world() -> FileWorld:
    return FileWorld()


def uploaded(world: FileWorld, document: bytes = FILE, asked: Asked = Asked()) -> ImportJob:  # noqa: B008  # frozen
    job, form = world.uploads.create_import(USER, asked)
    world.files.kept[form.fields["key"]] = document
    return job


def started(world: FileWorld, document: bytes = FILE, asked: Asked = Asked()) -> ImportJob:  # noqa: B008  # frozen
    return world.uploads.start_import(USER, uploaded(world, document, asked).import_id)


def stands(world: FileWorld, job: ImportJob) -> ImportJob:
    return world.uploads.get_import(USER, job.import_id)


def test_from_the_form_to_the_bills(world: FileWorld) -> None:
    job, form = world.uploads.create_import(USER, Asked())
    assert (job.state, form.url) == (ImportState.UPLOADING, "https://files.example")
    assert form.fields == {"key": f"imports/{USER}/{job.import_id}", "policy": "20971520 bytes in 900 s"}

    world.files.kept[job.key] = FILE
    assert world.uploads.start_import(USER, job.import_id).state is ImportState.QUEUED

    (event,) = world.queue.sent
    world.work.run(event)

    done = stands(world, job)
    assert (done.state, done.report.link_id, done.report.created) == (ImportState.SUCCEEDED, MANUAL, 1)
    assert world.files.kept == {}
    assert [bill.content.amount_minor for bill in world.store.kept.values()] == [6752]


def test_what_was_asked_for_holds_for_the_work(world: FileWorld) -> None:
    started(world, feed(entry(summary("<billLastPeriod>100000</billLastPeriod>"))), Asked(LINK, "CAD"))

    world.work.run(world.queue.sent[0])

    (bill,) = world.store.kept.values()
    assert (bill.link_id, bill.content.currency) == (LINK, "CAD")


def test_an_unknown_link_gets_no_form(world: FileWorld) -> None:
    with pytest.raises(NotFound):
        world.uploads.create_import(USER, Asked(LinkId("lnk_01JD3N8Z6W3V9K4T7Q2M5XBRPX")))
    assert world.jobs.rows == {}


@pytest.mark.parametrize("import_id", ["imp_01JD3N8Z6W3V9K4T7Q2M5XBRPC", "imp_1", "x", ""])
def test_an_unknown_import_is_not_found(world: FileWorld, import_id: str) -> None:
    with pytest.raises(NotFound):
        world.uploads.get_import(USER, import_id)
    with pytest.raises(NotFound):
        world.uploads.start_import(USER, import_id)


def test_another_user_s_import_is_not_found(world: FileWorld) -> None:
    job = uploaded(world)

    with pytest.raises(NotFound):
        world.uploads.start_import(UserId("usr_01JD3N8Z6W3V9K4T7Q2M5XBRPX"), job.import_id)


def test_nothing_is_started_before_the_upload(world: FileWorld) -> None:
    job, _ = world.uploads.create_import(USER, Asked())

    with pytest.raises(Conflict) as caught:
        world.uploads.start_import(USER, job.import_id)

    assert caught.value.code == "upload_missing"
    assert (stands(world, job).state, world.queue.sent) == (ImportState.UPLOADING, [])


def test_a_file_that_is_too_large_is_refused_and_deleted(world: FileWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some engines let the form's limit pass."""
    monkeypatch.setattr(module, "MAX_FILE_BYTES", len(FILE) - 1)
    job = uploaded(world)

    with pytest.raises(PayloadTooLarge):
        world.uploads.start_import(USER, job.import_id)

    assert (world.files.kept, world.queue.sent) == ({}, [])


def test_a_file_that_grew_after_the_start_fails(world: FileWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    job = started(world, FILE.replace(b"<title/>", b" " * 5_000))
    monkeypatch.setattr(module, "MAX_FILE_BYTES", 4_000)

    world.work.run(world.queue.sent[0])

    assert (stands(world, job).state, stands(world, job).error_code) == (ImportState.FAILED, "payload_too_large")
    assert world.files.kept == {}


@pytest.mark.parametrize("document", [b"no XML", b"<!DOCTYPE a><a/>", b"<html/>"])
def test_a_file_that_is_none_is_an_end_like_any_other(world: FileWorld, document: bytes) -> None:
    job = started(world, document)

    world.work.run(world.queue.sent[0])

    ended = stands(world, job)
    assert ended.state is ImportState.FAILED
    assert ended.error_code in {"malformed_xml", "dtd_refused", "not_green_button"}
    assert ended.error_detail
    assert world.files.kept == {}


def test_a_failed_import_may_be_started_again_with_another_file(world: FileWorld) -> None:
    job = started(world, b"<html/>")
    world.work.run(world.queue.sent[0])

    world.files.kept[job.key] = FILE
    assert world.uploads.start_import(USER, job.import_id).state is ImportState.QUEUED
    world.work.run(world.queue.sent[1])

    assert (stands(world, job).state, stands(world, job).error_code) == (ImportState.SUCCEEDED, "")


def test_starting_twice_imports_once(world: FileWorld) -> None:
    job = started(world)
    assert world.uploads.start_import(USER, job.import_id).state is ImportState.QUEUED
    assert len(world.queue.sent) == 2

    for event in world.queue.sent:
        world.work.run(event)

    assert stands(world, job).report.created == 1
    assert world.uploads.start_import(USER, job.import_id).state is ImportState.SUCCEEDED
    assert len(world.queue.sent) == 2


def test_a_job_that_runs_is_left_alone_until_its_worker_must_have_broken(world: FileWorld) -> None:
    job = started(world)
    known = world.jobs.rows[USER, job.import_id]
    world.jobs.rows[USER, job.import_id] = replace(known, state=ImportState.RUNNING)

    world.work.run(world.queue.sent[0])
    assert world.store.kept == {}
    assert world.uploads.start_import(USER, job.import_id).state is ImportState.RUNNING

    world.clock.advance(timedelta(minutes=6))
    world.work.run(world.queue.sent[0])
    assert stands(world, job).state is ImportState.SUCCEEDED


def test_what_fails_for_now_is_tried_again(world: FileWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    job = started(world)
    world.store.moves = 6
    with pytest.raises(Unavailable):
        world.work.run(world.queue.sent[0])
    assert (stands(world, job).state, len(world.files.kept)) == (ImportState.RUNNING, 1)

    world.clock.advance(timedelta(minutes=6))
    world.work.run(world.queue.sent[0])
    assert stands(world, job).state is ImportState.SUCCEEDED


def test_a_job_that_nobody_finished_is_shown_as_failed_and_can_be_started_again(world: FileWorld) -> None:
    job = started(world)

    world.clock.advance(timedelta(hours=1))
    assert (stands(world, job).state, stands(world, job).error_code) == (ImportState.FAILED, "not_finished")

    assert world.uploads.start_import(USER, job.import_id).state is ImportState.QUEUED
    world.work.run(world.queue.sent[1])
    assert stands(world, job).state is ImportState.SUCCEEDED


def test_two_starts_at_once_are_one(world: FileWorld) -> None:
    job = uploaded(world)
    world.jobs.moves = 1

    assert world.uploads.start_import(USER, job.import_id).import_id == job.import_id


def test_of_a_user_who_left_nothing_is_imported(world: FileWorld) -> None:
    job = started(world)
    del world.jobs.rows[USER, job.import_id]

    world.work.run(world.queue.sent[0])

    assert world.store.kept == {}


def test_a_job_that_another_worker_took_is_left_to_it(world: FileWorld) -> None:
    started(world)
    world.jobs.moves = 1

    world.work.run(world.queue.sent[0])

    assert (world.store.kept, len(world.files.kept)) == ({}, 1)


def test_other_events_are_refused(world: FileWorld) -> None:
    other = BillsRefreshRequestedV1(user_id=USER, link_id=LINK, reason="user")

    with pytest.raises(UnknownEventError):
        world.work.run(wrap(other, world.clock.now()))
