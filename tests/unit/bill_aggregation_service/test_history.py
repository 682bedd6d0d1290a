"""What each version of a bill changed."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from functions.bill_aggregation_service.history import versions_of
from functions.bill_aggregation_service.model import Bill, LineItem, LineKind, ProviderStatus
from tests.unit.bill_aggregation_service.fakes import content
from tests.unit.bill_aggregation_service.test_quality import kept

NOW = datetime(2026, 3, 15, 12, tzinfo=UTC)


def following(before: Bill, **changes: object) -> Bill:
    return replace(
        before,
        version=before.version + 1,
        supersedes=before.version,
        content=replace(before.content, **changes),  # type: ignore[arg-type]  # fields of BillContent
        versioned_at=before.versioned_at + timedelta(days=1),
    )


def test_versions_come_newest_first_each_with_what_it_changed() -> None:
    first = kept(content(amount=1000, provider_status=ProviderStatus.UNPAID))
    second = following(first, amount_minor=900, line_items=(LineItem("Adjustment", LineKind.CREDIT, -100),))
    third = following(second, provider_status=ProviderStatus.PAID, paid_at=date(2026, 3, 16))

    newest, middle, oldest = versions_of([third, second, first], limit=50)

    assert [version.version for version in (newest, middle, oldest)] == [3, 2, 1]
    assert [version.discovered_at for version in (newest, middle, oldest)] == [
        NOW + timedelta(days=days) for days in (2, 1, 0)
    ]
    assert [(change.field, change.before, change.after) for change in newest.changes] == [
        ("provider_status", ProviderStatus.UNPAID, ProviderStatus.PAID),
        ("paid_at", None, date(2026, 3, 16)),
    ]
    assert [change.field for change in middle.changes] == ["amount_minor", "line_items", "quality_notes"]
    assert middle.changes[-1].after == ("items_differ_from_total",)
    assert oldest.changes == ()


def test_where_the_document_is_never_shows() -> None:
    first = kept(content(document_url="/secret/1.pdf"))

    newest, _ = versions_of([following(first, amount_minor=900, document_url="/secret/2.pdf"), first], limit=50)

    assert [change.field for change in newest.changes] == ["amount_minor"]


def test_a_cancellation_shows_as_its_note() -> None:
    first = kept(content())

    newest, _ = versions_of([following(first, cancelled=True), first], limit=50)

    assert [(change.field, change.before, change.after) for change in newest.changes] == [
        ("quality_notes", (), ("cancelled",))
    ]


def test_of_a_long_history_the_oldest_one_shown_still_says_what_it_changed() -> None:
    first = kept(content(amount=1))
    second = following(first, amount_minor=2)
    third = following(second, amount_minor=3)

    shown = versions_of([third, second, first], limit=2)

    assert [(version.version, version.changes[0].before) for version in shown] == [(3, 2), (2, 1)]
