"""Importing a file: where its bills go, what is said of them, and that importing it again changes nothing."""

from collections.abc import Iterator
from datetime import date, timedelta
from zoneinfo import ZoneInfo

import pytest

from functions.bill_aggregation_service import imports as module
from functions.bill_aggregation_service.espi.writer import Exported, write_file
from functions.bill_aggregation_service.import_job import Asked, ImportReport
from functions.bill_aggregation_service.imports import Profile
from functions.bill_aggregation_service.model import Link, LinkId, Outcome, Source
from functions.common.context import invocation
from functions.common.errors import InvalidInput, MalformedBody, NotFound, Unavailable
from tests.unit.bill_aggregation_service.espi.feeds import USAGE_POINT, entry, feed, line_item, summary
from tests.unit.bill_aggregation_service.fakes import LINK, USER
from tests.unit.bill_aggregation_service.file_fakes import MANUAL, FileWorld

FILE = feed(
    entry(summary(), updated="2026-03-02T00:00:00Z"),
    entry(summary("<billLastPeriod>100000</billLastPeriod>"), f"{USAGE_POINT}/UsageSummary/B-2"),
)
IN_LINK = Asked(LINK)


@pytest.fixture
def world() -> FileWorld:
    return FileWorld()


def imported(world: FileWorld, document: bytes = FILE, asked: Asked = Asked()) -> ImportReport:  # noqa: B008  # frozen
    return world.importer.import_file(USER, [document], asked)


def counts(report: ImportReport) -> tuple[int, int, int, int]:
    return report.created, report.updated, report.unchanged, report.skipped_count


def test_without_a_link_bills_go_to_the_user_s_link_for_files(world: FileWorld) -> None:
    report = imported(world)

    assert (report.link_id, counts(report), world.accounts.made) == (MANUAL, (2, 0, 0, 0), 1)
    bills = {bill.content.external_bill_id: bill for bill in world.store.kept.values()}
    assert {(bill.link_id, bill.provider_id, bill.source) for bill in bills.values()} == {
        (MANUAL, "prv_green_button", Source.GREEN_BUTTON)
    }
    assert bills["B-1"].content.amount_minor == 6752
    link = world.store.rows[USER, MANUAL]
    assert (link.outcome, link.as_of, link.bill_count) == (Outcome.SUCCESS, world.clock.now(), 2)


def test_importing_again_changes_nothing(world: FileWorld) -> None:
    first = imported(world)
    kept, writes, events = dict(world.store.kept), world.store.bill_writes, list(world.publisher.types)

    world.clock.advance(timedelta(days=1))
    second = imported(world)

    assert counts(second) == (0, 0, 2, 0)
    assert second.link_id == first.link_id
    assert (world.store.kept, world.store.bill_writes, world.publisher.types) == (kept, writes, events)
    assert world.accounts.made == 1


def test_what_changed_is_a_new_version(world: FileWorld) -> None:
    imported(world)

    corrected = summary("<billLastPeriod>7000000</billLastPeriod><currency>840</currency>")
    report = imported(world, feed(entry(corrected, updated="2026-03-09T00:00:00Z")))

    assert counts(report) == (0, 1, 0, 0)
    (bill,) = [bill for bill in world.store.kept.values() if bill.content.external_bill_id == "B-1"]
    assert (bill.version, bill.content.amount_minor) == (2, 7000)
    assert world.publisher.types.count("bill.updated.v1") == 1


def test_an_older_file_takes_nothing_back(world: FileWorld) -> None:
    imported(world, feed(entry(summary(), updated="2026-03-09T00:00:00Z")))

    older = summary("<billLastPeriod>1</billLastPeriod><currency>840</currency>")
    report = imported(world, feed(entry(older, updated="2026-03-02T00:00:00Z")))

    assert counts(report) == (0, 0, 1, 0)
    assert [bill.content.amount_minor for bill in world.store.kept.values()] == [6752]


def test_a_file_from_the_future_is_as_old_as_its_import(world: FileWorld) -> None:
    imported(world, feed(entry(summary(), updated="2036-03-09T00:00:00Z")))
    assert [bill.as_of for bill in world.store.kept.values()] == [world.clock.now()]

    world.clock.advance(timedelta(days=1))
    corrected = summary("<billLastPeriod>7000000</billLastPeriod><currency>840</currency>")
    report = imported(world, feed(entry(corrected, updated="2026-03-16T00:00:00Z")))

    assert counts(report) == (0, 1, 0, 0)


def test_into_a_link_of_a_utility(world: FileWorld) -> None:
    """Its record goes on telling how the utility was read."""
    before = Link(user_id=USER, link_id=LINK, outcome=Outcome.FAILED, error_code="provider_timeout", revision=1)
    world.store.rows[USER, LINK] = before

    report = imported(world, asked=IN_LINK)

    assert (report.link_id, counts(report), world.accounts.made) == (LINK, (2, 0, 0, 0), 0)
    link = world.store.rows[USER, LINK]
    assert (link.outcome, link.error_code, link.as_of, link.bill_count) == (
        Outcome.FAILED,
        "provider_timeout",
        None,
        2,
    )
    assert {bill.provider_id for bill in world.store.kept.values()} == {"prv_northwind_power"}
    assert {bill.content.period_start for bill in world.store.kept.values()} == {date(2026, 2, 1)}  # of New York


@pytest.mark.parametrize("link_id", ["lnk_01JD3N8Z6W3V9K4T7Q2M5XBRPX", "lnk_1", "x", "../../etc"])
def test_an_unknown_link_is_not_found_whatever_the_file(world: FileWorld, link_id: str) -> None:
    with pytest.raises(NotFound):
        imported(world, b"no XML", Asked(LinkId(link_id)))
    with pytest.raises(NotFound):
        world.importer.check_link(USER, LinkId(link_id))


def test_a_link_that_was_unlinked_meanwhile_is_not_found(world: FileWorld) -> None:
    world.store.rows[USER, LINK] = Link(user_id=USER, link_id=LINK, revision=3, gone=True)

    with pytest.raises(NotFound):
        imported(world, asked=IN_LINK)
    assert world.store.kept == {}


@pytest.mark.parametrize(
    ("asked", "profile", "currency"),
    [("CAD", "EUR", "CAD"), ("", "EUR", "EUR"), ("", "", "USD")],
)
def test_which_currency_is_assumed(world: FileWorld, asked: str, profile: str, currency: str) -> None:
    world.profiles.known = Profile(profile, "")

    imported(world, feed(entry(summary("<billLastPeriod>100000</billLastPeriod>"))), Asked(None, asked))

    (bill,) = world.store.kept.values()
    assert (bill.content.currency, bill.content.assumed) == (currency, ("currency_assumed",))


def test_days_are_those_that_the_user_lives_by(world: FileWorld) -> None:
    imported(world)
    in_utc = {bill.content.period_end for bill in world.store.kept.values()}

    other = FileWorld()
    other.profiles.known = Profile("", "America/New_York")
    imported(other)

    assert in_utc == {date(2026, 3, 1)}
    assert {bill.content.period_end for bill in other.store.kept.values()} == {date(2026, 2, 28)}


def test_without_the_profile_the_import_goes_on(world: FileWorld) -> None:
    world.profiles.broken = Unavailable("Users is down.")

    assert counts(imported(world)) == (2, 0, 0, 0)


def test_a_file_without_bills_makes_no_link(world: FileWorld) -> None:
    report = imported(world, feed(entry(summary(period=""))))

    assert (report.link_id, counts(report)) == (None, (0, 0, 0, 1))
    assert report.skipped[0].reason == "no_period"
    assert (world.accounts.made, world.cache.bumps) == (0, [])


def test_what_is_skipped_is_counted_and_the_first_ones_told(world: FileWorld) -> None:
    report = imported(world, feed(*(entry(summary(period=""), f"/UsageSummary/B-{n}") for n in range(250))))

    assert (report.skipped_count, len(report.skipped)) == (250, 200)


def test_what_cannot_be_kept_is_skipped_with_its_reason(world: FileWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("functions.bill_aggregation_service.rules.LARGEST_MINOR", 6000)

    report = imported(world)

    assert counts(report) == (1, 0, 0, 1)
    assert (report.skipped[0].reason, report.skipped[0].entry) == ("amount_out_of_range", "B-1")


@pytest.mark.parametrize(
    ("document", "error", "code"),
    [
        (b"<feed", MalformedBody, "malformed_xml"),
        (b"<!DOCTYPE feed><feed/>", MalformedBody, "dtd_refused"),
        (b"<html/>", InvalidInput, "not_green_button"),
        (b"<feed>" + b"<a>" * 99, InvalidInput, "too_complex"),
    ],
)
def test_what_is_no_green_button_file(
    world: FileWorld, document: bytes, error: type[MalformedBody | InvalidInput], code: str
) -> None:
    with pytest.raises(error) as caught:
        imported(world, document)

    assert caught.value.code == code
    assert world.accounts.made == 0


def many(count: int, more: str = "") -> bytes:
    entries = (
        entry(summary(f"<billLastPeriod>{n + 1}00000</billLastPeriod>{more}"), f"{USAGE_POINT}/UsageSummary/N-{n:04}")
        for n in range(count)
    )
    return feed(*entries)


def test_many_bills_are_written_in_parts(world: FileWorld) -> None:
    assert counts(imported(world, many(200))) == (200, 0, 0, 0)
    assert world.store.link_writes == 3
    assert counts(imported(world, many(200))) == (0, 0, 200, 0)
    assert world.store.rows[USER, MANUAL].bill_count == 200


def test_large_bills_are_written_in_smaller_parts(world: FileWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH_CHARS", 20_000)

    assert counts(imported(world, many(20, line_item("1", "x" * 250) * 20))) == (20, 0, 0, 0)
    assert world.store.link_writes > 5


def test_an_import_that_was_cut_off_is_taken_up_by_the_next(world: FileWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    left = iter([10.0, 10.0, 1.0])
    monkeypatch.setattr(module, "remaining_seconds", lambda: next(left))
    with pytest.raises(Unavailable) as caught:
        imported(world, many(200))
    assert caught.value.code == "import_unfinished"
    assert len(world.store.kept) == 90

    monkeypatch.setattr(module, "remaining_seconds", lambda: 10.0)
    assert counts(imported(world, many(200))) == (110, 0, 90, 0)


def test_a_batch_that_would_not_end_in_time_is_not_begun(world: FileWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the slowest so far: the function would be ended in the middle of the third, and its caller told nothing."""
    end = world.clock.now() + timedelta(seconds=29)
    monkeypatch.setattr(module, "remaining_seconds", lambda: (end - world.clock.now()) / timedelta(seconds=1))
    monkeypatch.setattr(world.cache, "bump", lambda *_: world.clock.advance(timedelta(seconds=9)))

    with pytest.raises(Unavailable) as caught:
        imported(world, many(270))

    assert caught.value.code == "import_unfinished"
    assert len(world.store.kept) == 180


def test_where_time_is_short_the_sweep_sends_the_events(world: FileWorld) -> None:
    with invocation(None, 5.0):
        imported(world)

    assert world.publisher.events == []
    assert all(bill.unsent for bill in world.store.kept.values())


def test_the_file_is_read_as_it_comes(world: FileWorld) -> None:
    def chunks() -> Iterator[bytes]:
        yield from (FILE[at : at + 7] for at in range(0, len(FILE), 7))

    assert counts(world.importer.import_file(USER, chunks(), Asked())) == (2, 0, 0, 0)


def test_an_export_imported_into_its_link_changes_nothing(world: FileWorld) -> None:
    imported(world, asked=IN_LINK)
    kept = dict(world.store.kept)
    bills = [Exported(bill, ZoneInfo("America/New_York")) for bill in kept.values()]

    document = "".join(write_file(bills, world.clock.now())).encode()
    report = imported(world, document, IN_LINK)

    assert counts(report) == (0, 0, 2, 0)
    assert world.store.kept == kept
