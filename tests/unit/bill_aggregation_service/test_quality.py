"""Doubts about a bill by itself and among its neighbours, and that the document lists them all."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.bill_aggregation_service.espi.skipped import Skipped
from functions.bill_aggregation_service.model import (
    Bill,
    BillContent,
    BillId,
    BillType,
    LineItem,
    LineKind,
    QualityNote,
    Source,
    Usage,
)
from functions.bill_aggregation_service.quality import (
    CODES,
    NEIGHBOURHOOD,
    Answer,
    all_notes,
    neighbour_notes,
    quality_notes,
)
from functions.bill_aggregation_service.reading import bill_key
from functions.bill_aggregation_service.rules import REFUSALS, content_hash
from infra.settings import ROOT
from tests.unit.bill_aggregation_service.fakes import LINK, PROVIDER, USER, content

NOW = datetime(2026, 3, 15, 12, tzinfo=UTC)
DOCUMENT = (ROOT / "docs" / "quality-notes.md").read_text()


def kept(said: BillContent, *notes: QualityNote) -> Bill:
    return Bill(
        bill_id=BillId(f"bil_01JD3N8Z6W{bill_key(LINK, said)}"),
        user_id=USER,
        link_id=LINK,
        provider_id=PROVIDER.provider_id,
        content=said,
        content_hash=content_hash(said),
        source=Source.API,
        version=1,
        supersedes=None,
        as_of=NOW,
        discovered_at=NOW,
        versioned_at=NOW,
        updated_at=NOW,
        notes=notes,
    )


def covering(number: str, start: date, end: date, **changes: object) -> BillContent:
    return content(number, period_start=start, period_end=end, **changes)  # type: ignore[arg-type]  # fields of BillContent


def codes_of(bills: Sequence[Bill], answer: Answer | None = None) -> Mapping[str, list[str]]:
    """By bill number; bills without a doubt are left out."""
    notes = neighbour_notes(bills, answer)
    found = {bill.content.external_bill_id: [note.code for note in notes[bill.key]] for bill in bills}
    return {number: codes for number, codes in found.items() if codes}


JANUARY = covering("JAN", date(2026, 1, 1), date(2026, 1, 31))
FEBRUARY = covering("FEB", date(2026, 2, 1), date(2026, 2, 28))
MARCH = covering("MAR", date(2026, 3, 1), date(2026, 3, 31))


class TestOfItself:
    @pytest.mark.parametrize(
        ("changes", "codes"),
        [
            ({}, []),
            ({"due_date": None}, ["due_date_missing"]),
            ({"due_date": None, "type": BillType.NOTICE}, []),
            ({"cancelled": True}, ["cancelled"]),
            ({"period_end": date(2025, 1, 1)}, ["period_reversed"]),
            ({"assumed": ("currency_assumed", "total_from_line_items")}, ["currency_assumed", "total_from_line_items"]),
            ({"assumed": ("a_code_of_tomorrow",)}, []),
        ],
    )
    def test_codes(self, changes: dict[str, object], codes: list[str]) -> None:
        assert [note.code for note in quality_notes(replace(content(), **changes))] == codes  # type: ignore[arg-type]  # fields of BillContent

    def test_items_that_do_not_sum_to_the_total(self) -> None:
        items = (LineItem("Usage", LineKind.USAGE, 700), LineItem("Tax", LineKind.TAX, 200))

        (note,) = quality_notes(content(amount=1000, line_items=items))
        assert note.code == "items_differ_from_total"
        assert "sum to 900, the total is 1000" in note.detail
        assert quality_notes(content(amount=900, line_items=items)) == ()
        assert quality_notes(content(amount=1000)) == ()

    def test_of_a_bill_with_arrears_the_items_may_make_up_the_charges_or_all(self) -> None:
        charges = (LineItem("Usage", LineKind.USAGE, 700), LineItem("Tax", LineKind.TAX, 200))
        payment = LineItem("Payment, thank you", LineKind.PAYMENT, -400)
        arrears = LineItem("Balance brought forward", LineKind.OTHER, 1000)

        assert quality_notes(content(amount=1500, total_charges_minor=900, line_items=charges)) == ()
        assert quality_notes(content(amount=1500, total_charges_minor=900, line_items=(*charges, payment))) == ()
        assert quality_notes(content(amount=1500, line_items=(*charges, payment, arrears))) == ()
        assert quality_notes(content(amount=1500, total_charges_minor=800, line_items=(*charges, payment))) != ()


class TestOfNeighbours:
    def test_months_that_follow_each_other_raise_no_doubt(self) -> None:
        assert codes_of([kept(MARCH), kept(JANUARY), kept(FEBRUARY)]) == {}

    def test_a_gap_shows_on_the_bill_after_it(self) -> None:
        bills = [kept(MARCH), kept(JANUARY)]

        assert codes_of(bills) == {"MAR": ["gap_before"]}
        (note,) = neighbour_notes(bills, None)[bills[0].key]
        assert note.detail == "No bill covers 2026-02-01 to 2026-02-28."

    def test_an_overlap_shows_on_both(self) -> None:
        again = covering("FEB-2", date(2026, 2, 10), date(2026, 2, 28))

        assert codes_of([kept(JANUARY), kept(FEBRUARY), kept(again), kept(MARCH)]) == {
            "FEB": ["overlap"],
            "FEB-2": ["overlap"],
        }

    def test_a_day_that_two_periods_share_is_the_day_of_the_reading(self) -> None:
        assert codes_of([kept(JANUARY), kept(covering("FEB", date(2026, 1, 31), date(2026, 2, 28)))]) == {}

    def test_a_longer_period_covers_what_would_be_a_gap(self) -> None:
        year = covering("YEAR", date(2025, 1, 1), date(2026, 2, 28))

        assert codes_of([kept(year), kept(JANUARY), kept(MARCH)]) == {"YEAR": ["overlap"], "JAN": ["overlap"]}

    def test_after_a_year_without_a_bill_a_service_starts_anew(self) -> None:
        late = JANUARY.period_end + NEIGHBOURHOOD + timedelta(1)

        assert codes_of([kept(JANUARY), kept(covering("NEW", late, late, currency="EUR"))]) == {}
        assert codes_of([kept(JANUARY), kept(covering("NEW", late - timedelta(1), late))]) == {"NEW": ["gap_before"]}

    @pytest.mark.parametrize("end", [date(9998, 12, 31), date(9999, 12, 30), date.max])
    def test_a_period_without_an_end_ends_no_calendar(self, end: date) -> None:
        """Of bills that were kept before such days were refused."""
        endless = kept(covering("MAX", date(2026, 1, 1), end))

        assert codes_of([endless, kept(FEBRUARY)]) == {"MAX": ["overlap"], "FEB": ["overlap"]}
        assert codes_of([endless, kept(covering("LAST", date.max, date.max))]).keys() <= {"LAST"}

    @pytest.mark.parametrize(
        "other",
        [
            {"service_type": "gas"},
            {"usage_point": "2"},
            {"type": BillType.NOTICE},
            {"type": BillType.ADJUSTMENT},
            {"cancelled": True},
        ],
    )
    def test_what_is_of_another_service_or_covers_no_time_is_no_neighbour(self, other: dict[str, object]) -> None:
        stranger = replace(covering("X", date(2026, 1, 10), date(2026, 2, 10)), **other)  # type: ignore[arg-type]  # as above

        assert codes_of([kept(JANUARY), kept(FEBRUARY), kept(stranger)]) == {}

    def test_a_bill_whose_period_is_reversed_is_compared_with_none(self) -> None:
        assert codes_of([kept(JANUARY), kept(covering("X", date(2026, 2, 28), date(2026, 2, 1)))]) == {}

    def test_a_change_of_currency(self) -> None:
        bills = [kept(JANUARY), kept(replace(FEBRUARY, currency="EUR")), kept(replace(MARCH, currency="EUR"))]

        assert codes_of(bills) == {"FEB": ["currency_changed"]}

    def test_a_sudden_change_of_the_account(self) -> None:
        def read(said: BillContent, *meters: str | None) -> Bill:
            return kept(replace(said, usage=tuple(Usage("electricity", Decimal(1), "kWh", m) for m in meters)))

        assert codes_of([read(JANUARY, "M1"), read(FEBRUARY, "M2")]) == {"FEB": ["account_changed"]}
        assert codes_of([read(JANUARY, "M1"), read(FEBRUARY, "M1", "M2")]) == {}
        assert codes_of([read(JANUARY, "M1"), read(FEBRUARY, None)]) == {}


class TestAnswers:
    def test_a_bill_that_is_missing_between_others_is_no_longer_shown(self) -> None:
        shown = {kept(said).key: said for said in (JANUARY, MARCH)}

        assert codes_of([kept(JANUARY), kept(FEBRUARY), kept(MARCH)], Answer.of(shown)) == {"FEB": ["no_longer_shown"]}

    def test_what_drops_out_at_the_end_is_only_old_and_what_is_not_there_yet_only_new(self) -> None:
        bills = [kept(JANUARY), kept(FEBRUARY), kept(MARCH)]

        assert codes_of(bills, Answer.of({kept(FEBRUARY).key: FEBRUARY})) == {}
        assert codes_of(bills, Answer.of({})) == {}

    def test_it_stays_until_the_bill_is_shown_again(self) -> None:
        note = QualityNote("no_longer_shown", "…")
        missing = kept(FEBRUARY, note)

        assert codes_of([kept(JANUARY), missing, kept(MARCH)], None) == {"FEB": ["no_longer_shown"]}
        assert codes_of([missing], Answer.of({})) == {"FEB": ["no_longer_shown"]}
        assert codes_of([missing], Answer.of({missing.key: FEBRUARY})) == {}


PERIODS = st.tuples(st.integers(0, 300), st.integers(0, 45)).map(
    lambda period: (date(2025, 1, 1) + timedelta(period[0]), date(2025, 1, 1) + timedelta(sum(period)))
)


@given(st.lists(PERIODS, min_size=1, max_size=12), st.randoms(use_true_random=False))
def test_every_bill_that_overlaps_has_the_note_and_no_other_has(
    periods: list[tuple[date, date]], order: Random
) -> None:
    bills = [kept(covering(str(number), *period)) for number, period in enumerate(periods)]
    shuffled = list(bills)
    order.shuffle(shuffled)

    found = {number for number, codes in codes_of(shuffled).items() if "overlap" in codes}

    def shared(one: Bill, other: Bill) -> int:
        a, b = one.content, other.content
        return (min(a.period_end, b.period_end) - max(a.period_start, b.period_start)).days + 1

    expected = {
        one.content.external_bill_id
        for one in bills
        if any(shared(one, other) > 1 for other in bills if other is not one)
    }
    assert found == expected
    assert codes_of(shuffled) == codes_of(bills)


def test_all_notes_come_by_code() -> None:
    bill = kept(content(due=None, cancelled=True), QualityNote("gap_before", "…"), QualityNote("overlap", "…"))

    assert [note.code for note in all_notes(bill)] == ["cancelled", "due_date_missing", "gap_before", "overlap"]


def test_the_document_lists_every_code_and_no_other() -> None:
    of_imports = re.findall(r"([a-z_]+(?:, [a-z_]+)*): ", Skipped.__doc__ or "")

    assert set(re.findall(r"^\| `([a-z_]+)` \|", DOCUMENT, re.MULTILINE)) == CODES | set(REFUSALS) | {
        code for codes in of_imports for code in codes.split(", ")
    }
