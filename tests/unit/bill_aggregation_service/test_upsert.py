"""What a fetch changes, and that order and repetition change nothing of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.bill_aggregation_service.model import (
    Bill,
    BillContent,
    BillKey,
    FetchedBill,
    Link,
    Mark,
    Outcome,
    ProviderStatus,
    QualityNote,
    Source,
)
from functions.bill_aggregation_service.reading import Refused, reading_of
from functions.bill_aggregation_service.upsert import Attempt, Plan, is_known, plan
from functions.contracts.events.bills import BillCreatedV1, BillPaidV1, BillUpdatedV1
from functions.contracts.events.envelope import parse, unwrap
from tests.unit.bill_aggregation_service.fakes import LINK, PROVIDER, USER, content, fetched

T0 = datetime(2026, 3, 15, 12, tzinfo=UTC)


def attempt(*bills: FetchedBill, minute: int = 0) -> Attempt:
    return Attempt(T0 + timedelta(minutes=minute), Outcome.SUCCESS, PROVIDER, bills)


def planned(link: Link, stored: Mapping[BillKey, Bill], one: Attempt) -> Plan:
    """All bills of the link count as near."""
    reading = reading_of(link.link_id, one.bills)
    known = {key: stored[key] for key in reading.bills if key in stored}
    return plan(link, reading, known, list(stored.values()), one, one.began)


def apply(attempts: Sequence[Attempt]) -> tuple[Link, dict[BillKey, Bill], int]:
    """What the table would hold after all of them, and how many bills were written."""
    link, stored, writes = Link(user_id=USER, link_id=LINK), dict[BillKey, Bill](), 0
    for one in attempts:
        made = planned(link, stored, one)
        link = made.link
        stored |= {change.bill.key: change.bill for change in made.changes}
        writes += len(made.changes)
    return link, stored, writes


def test_a_new_bill() -> None:
    made = planned(Link(user_id=USER, link_id=LINK), {}, attempt(fetched(amount=1234)))

    (change,) = made.changes
    assert (made.created, made.updated, made.unchanged) == (1, 0, 0)
    assert change.replaced is None
    assert (change.bill.version, change.bill.supersedes, change.bill.as_of) == (1, None, T0)
    assert change.bill.bill_id.startswith("bil_")
    assert len(change.bill.bill_id) == 30
    event = parse(change.bill.unsent[0])
    assert event.subject == change.bill.bill_id
    data = unwrap(event, BillCreatedV1)
    assert (data.amount_minor, data.currency, data.due_date, data.version) == (1234, "USD", "2026-03-20", 1)


def test_the_link_tells_of_the_attempt() -> None:
    link = planned(Link(user_id=USER, link_id=LINK), {}, attempt(fetched("1"), fetched("2"))).link

    assert (link.outcome, link.as_of, link.attempted_at, link.bill_count) == (Outcome.SUCCESS, T0, T0, 2)
    assert (link.provider_id, link.provider_name, link.time_zone) == (
        PROVIDER.provider_id,
        "Northwind Power",
        "America/New_York",
    )


def test_a_failure_keeps_what_was_read_before() -> None:
    link, _, _ = apply([attempt(fetched())])
    failed = Attempt(T0 + timedelta(hours=1), Outcome.FAILED, PROVIDER, (), "provider_unavailable", retryable=True)

    after = planned(link, {}, failed).link

    assert (after.outcome, after.error_code, after.retryable) == (Outcome.FAILED, "provider_unavailable", True)
    assert (after.as_of, after.attempted_at, after.bill_count) == (T0, T0 + timedelta(hours=1), 1)


def test_an_unchanged_bill_costs_no_write() -> None:
    _, _, writes = apply([attempt(fetched()), attempt(fetched(), minute=1), attempt(fetched(), fetched(), minute=2)])

    assert writes == 1


def test_an_adjusted_bill_is_a_new_version_that_carries_unsent_events_along() -> None:
    link, stored, _ = apply([attempt(fetched(amount=1000))])

    (change,) = planned(link, stored, attempt(fetched(amount=900), minute=5)).changes

    assert change.replaced is not None
    assert (change.replaced.version, change.bill.version, change.bill.supersedes) == (1, 2, 1)
    assert change.bill.bill_id == change.replaced.bill_id
    assert change.bill.content.amount_minor == 900
    assert [parse(event).type for event in change.bill.unsent] == ["bill.created.v1", "bill.updated.v1"]
    assert unwrap(parse(change.bill.unsent[1]), BillUpdatedV1).amount_minor == 900


def test_a_late_older_answer_replaces_nothing() -> None:
    """Also when the newer answer wrote nothing because it changed nothing: the link remembers it."""
    first, newest, late = (
        attempt(fetched(amount=1)),
        attempt(fetched(amount=1), minute=9),
        attempt(fetched(amount=2), minute=5),
    )

    link, stored, _ = apply([first, newest, late])

    assert [bill.content.amount_minor for bill in stored.values()] == [1]
    assert link.attempted_at == newest.began


def test_an_older_stamp_of_the_provider_replaces_nothing() -> None:
    stamped = FetchedBill(content(amount=2), T0 - timedelta(days=1))
    replica = FetchedBill(content(amount=1), T0 - timedelta(days=2))

    _, stored, _ = apply([attempt(stamped), attempt(replica, minute=5)])

    assert [bill.content.amount_minor for bill in stored.values()] == [2]
    assert [bill.as_of for bill in stored.values()] == [stamped.stamped_at]


@pytest.mark.parametrize("due", [None, date(2026, 4, 1)])
def test_events_of_bills_with_and_without_a_due_date(due: date | None) -> None:
    (change,) = planned(Link(user_id=USER, link_id=LINK), {}, attempt(fetched(due=due))).changes

    assert unwrap(parse(change.bill.unsent[0]), BillCreatedV1).due_date == (due.isoformat() if due else None)


HISTORY = [
    attempt(fetched("A", amount=n // 2), *([fetched("B", amount=n)] if n > 2 else []), minute=n) for n in range(6)
]


@given(st.lists(st.sampled_from(HISTORY), max_size=12), st.permutations(HISTORY))
def test_any_order_and_repetition_ends_in_the_same_bills(repeated: list[Attempt], every: list[Attempt]) -> None:
    link, stored, _ = apply([*repeated, *every])

    assert {bill.content.external_bill_id: bill.content.amount_minor for bill in stored.values()} == {"A": 2, "B": 5}
    assert (link.bill_count, link.as_of) == (2, HISTORY[-1].began)
    assert replace(link, revision=0) == replace(apply(HISTORY)[0], revision=0)


# --- documents ---


def with_document(reference: str | None, amount: int = 1000) -> FetchedBill:
    return fetched(amount=amount, document_url=reference)


def test_where_a_document_is_makes_no_version() -> None:
    """It comes later than its bill, moves, or goes: the present version tells, and nobody is told of news."""
    link, stored, writes = apply([attempt(with_document(None)), attempt(with_document("/1.pdf"), minute=1)])
    ((key, bill),) = stored.items()
    assert (writes, bill.version, bill.content.document_url) == (2, 1, "/1.pdf")
    assert events_of(bill) == ["bill.created.v1"]

    gone = planned(link, stored, attempt(with_document(None), minute=2))

    assert (gone.created, gone.updated, gone.unchanged) == (0, 0, 1)
    assert [(change.bill.key, change.replaced) for change in gone.changes] == [(key, None)]
    assert gone.changes[0].bill.content.document_url is None


def test_a_reference_that_changes_from_answer_to_answer_costs_no_write() -> None:
    answers = [attempt(with_document(f"/1.pdf?token={minute}"), minute=minute) for minute in range(3)]

    assert apply(answers)[2] == 1


def test_a_late_answer_does_not_say_where_a_document_is() -> None:
    link, stored, _ = apply([attempt(with_document("/new.pdf"), minute=9)])
    late = attempt(with_document(None), minute=5)

    assert planned(link, stored, late).changes == ()


def test_a_file_does_not_tell_of_documents() -> None:
    link, stored, _ = apply([attempt(with_document("/1.pdf"))])
    same = replace(attempt(with_document(None), minute=1), source=Source.GREEN_BUTTON)
    stamped = FetchedBill(content(amount=2000), T0 + timedelta(seconds=1))
    changed = replace(attempt(stamped, minute=1), source=Source.GREEN_BUTTON)

    assert planned(link, stored, same).changes == ()
    (change,) = planned(link, stored, changed).changes
    assert (change.bill.version, change.bill.content.document_url) == (2, "/1.pdf")


# --- what the user said, what was paid, what is refused ---


def paid_by_user(bill: Bill) -> Bill:
    return replace(bill, mark=Mark(paid_at=date(2026, 3, 1), covered_minor=bill.content.amount_minor, revision=1))


def events_of(bill: Bill) -> list[str]:
    return [parse(event).type for event in bill.unsent]


def test_a_mark_stays_with_the_bill_when_it_gets_a_new_version() -> None:
    link, stored, _ = apply([attempt(fetched(amount=1000))])
    ((key, bill),) = stored.items()
    marked = paid_by_user(bill)

    (change,) = planned(link, {key: marked}, attempt(fetched(amount=1100), minute=5)).changes

    assert change.bill.mark == marked.mark
    assert change.bill.version == 2


def test_a_utility_that_says_paid_is_news_once() -> None:
    link, stored, _ = apply([attempt(fetched(provider_status=ProviderStatus.UNPAID))])
    ((key, bill),) = stored.items()
    paid = attempt(fetched(provider_status=ProviderStatus.PAID), minute=5)

    (told,) = planned(link, {key: replace(bill, unsent=())}, paid).changes
    (known,) = planned(link, {key: replace(paid_by_user(bill), unsent=())}, paid).changes

    assert events_of(told.bill) == ["bill.updated.v1", "bill.paid.v1"]
    assert unwrap(parse(told.bill.unsent[1]), BillPaidV1).said_by == "provider"
    assert events_of(known.bill) == ["bill.updated.v1"], "the user had said so"


def test_a_bill_that_is_paid_when_it_is_first_read_is_no_news() -> None:
    _, stored, _ = apply([attempt(fetched(provider_status=ProviderStatus.PAID))])

    assert [events_of(bill) for bill in stored.values()] == [["bill.created.v1"]]


def test_one_bill_that_cannot_be_kept_costs_no_other() -> None:
    made = planned(
        Link(user_id=USER, link_id=LINK), {}, attempt(fetched("good"), fetched("odd", currency="XXX"), fetched("odder"))
    )

    assert {change.bill.content.external_bill_id for change in made.changes} == {"good", "odder"}
    assert made.refused == (Refused("odd", "currency_unknown"),)
    assert made.link.refused_count == 1


def test_a_period_without_an_end_costs_no_other_bill() -> None:
    """Nor the next answer: what cannot be kept is no neighbour."""
    endless = fetched("endless", period_end=date.max)
    first = planned(Link(user_id=USER, link_id=LINK), {}, attempt(endless, fetched("good")))
    stored = {change.bill.key: change.bill for change in first.changes}

    again = planned(first.link, stored, attempt(endless, fetched("good", amount=7), minute=5))

    assert first.refused == again.refused == (Refused("endless", "dates_out_of_range"),)
    assert [change.bill.content.external_bill_id for change in again.changes] == ["good"]


# --- files beside the utility's own answers ---


def from_file(*bills: FetchedBill, minute: int = 0, adapter: str = "") -> Attempt:
    provider = replace(PROVIDER, adapter=adapter) if adapter else PROVIDER
    return replace(attempt(*bills, minute=minute), source=Source.GREEN_BUTTON, provider=provider)


def test_a_file_of_unknown_age_replaces_nothing_that_the_utility_said() -> None:
    link, stored, _ = apply([attempt(fetched(amount=1000)), from_file(fetched(amount=7), fetched("new"), minute=5)])

    amounts = {bill.content.external_bill_id: (bill.content.amount_minor, bill.source) for bill in stored.values()}
    assert amounts == {"B-1": (1000, Source.API), "new": (1000, Source.GREEN_BUTTON)}
    assert (link.as_of, link.attempted_at, link.bill_count) == (T0, T0, 2)


def test_a_file_with_a_newer_stamp_replaces_and_the_utility_is_read_anew() -> None:
    newer = FetchedBill(content(amount=7), T0 + timedelta(minutes=1))
    first = attempt(FetchedBill(content(amount=1000), T0))

    link, stored, _ = apply([first, from_file(newer, minute=5)])

    assert [bill.content.amount_minor for bill in stored.values()] == [7]
    assert not is_known(link, reading_of(LINK, first.bills))


IN_TEN_YEARS = T0 + timedelta(days=3650)


@pytest.mark.parametrize("told", [{}, {"stamped_at": T0 + timedelta(minutes=8)}, {"stamped_at": IN_TEN_YEARS}])
def test_a_stamp_of_a_time_to_come_is_as_old_as_its_file(told: dict[str, datetime]) -> None:
    """It wins over what was said before, and not over what the utility says next."""
    file = from_file(FetchedBill(content(amount=90), IN_TEN_YEARS), minute=5)
    said_next = attempt(replace(fetched(amount=120), **told), minute=9)  # type: ignore[arg-type]  # fields of FetchedBill

    link, stored, _ = apply([attempt(fetched(amount=100)), file])
    assert [(bill.content.amount_minor, bill.as_of) for bill in stored.values()] == [(90, file.began)]
    made = planned(link, stored, said_next)

    assert [change.bill.content.amount_minor for change in made.changes] == [120]
    assert made.changes[0].bill.as_of <= said_next.began


def test_a_bill_that_was_kept_with_such_a_stamp_is_as_old_as_it_was_found() -> None:
    link, stored, _ = apply([attempt(fetched(amount=100))])
    ((key, bill),) = stored.items()
    frozen = {key: replace(bill, as_of=IN_TEN_YEARS, versioned_at=T0 + timedelta(minutes=5))}

    late = from_file(FetchedBill(content(amount=80), T0 + timedelta(minutes=4)), minute=9)

    assert planned(link, frozen, late).changes == ()
    (change,) = planned(link, frozen, attempt(fetched(amount=120), minute=6)).changes
    assert (change.bill.content.amount_minor, change.bill.as_of) == (120, T0 + timedelta(minutes=6))


def test_a_file_that_was_begun_earlier_and_ends_later_replaces_nothing_newer() -> None:
    link, stored, _ = apply([from_file(fetched(amount=2), minute=9)])

    assert planned(link, stored, from_file(fetched(amount=1), minute=5)).changes == ()


def test_a_link_that_lives_by_files_is_as_fresh_as_the_last_one() -> None:
    link, _, _ = apply([from_file(fetched(), adapter="manual"), from_file(fetched("2"), minute=9, adapter="manual")])

    assert (link.outcome, link.as_of, link.bill_count) == (Outcome.SUCCESS, T0 + timedelta(minutes=9), 2)


# --- notes of neighbours ---


def month(number: int, amount: int = 1000) -> FetchedBill:
    first = date(2025, number, 1)
    last = date(2025, number + 1, 1) - timedelta(1)
    return fetched(f"M-{number}", amount, last + timedelta(20), period_start=first, period_end=last)


def notes_of(stored: Mapping[BillKey, Bill]) -> dict[str, list[str]]:
    found = {bill.content.external_bill_id: [note.code for note in bill.notes] for bill in stored.values()}
    return {number: codes for number, codes in found.items() if codes}


def test_a_bill_that_comes_late_closes_the_gap_without_a_new_version_of_its_neighbour() -> None:
    _, with_a_gap, _ = apply([attempt(month(1), month(3))])
    _, whole, writes = apply([attempt(month(1), month(3)), attempt(month(1), month(2), month(3), minute=5)])

    assert notes_of(with_a_gap) == {"M-3": ["gap_before"]}
    assert notes_of(whole) == {}
    assert writes == 4, "the new bill, and the one whose note went"
    assert {bill.version for bill in whole.values()} == {1}


def test_a_bill_that_the_utility_withdraws_is_marked_until_it_is_back() -> None:
    everything = [month(1), month(2), month(3)]

    _, gone, _ = apply([attempt(*everything), attempt(month(1), month(3), minute=5)])
    _, back, _ = apply([attempt(*everything), attempt(month(1), month(3), minute=5), attempt(*everything, minute=9)])

    assert notes_of(gone) == {"M-2": ["no_longer_shown"]}
    assert notes_of(back) == {}


def test_a_late_answer_says_nothing_of_what_is_shown_now() -> None:
    _, stored, _ = apply([attempt(month(1), month(2), month(3), minute=9), attempt(month(1), month(3), minute=5)])

    assert notes_of(stored) == {}


# --- any order and repetition ---


@dataclass(frozen=True)
class Utility:
    """Bills that are issued, adjusted and forgotten as minutes pass; answers are what it shows at a minute."""

    issued: Mapping[int, int]
    adjusted: Mapping[int, int]
    stamped: bool
    twice: bool

    def answer(self, minute: int) -> Attempt:
        bills = []
        for number, at in self.issued.items():
            if at <= minute:
                changed = self.adjusted[number]
                said = month(number, amount=2000 if changed <= minute else 1000)
                at_last = max(at, changed) if changed <= minute else at
                stamp = T0 + timedelta(minutes=at_last) if self.stamped else None
                bills += [replace(said, stamped_at=stamp)] * (2 if self.twice else 1)
        return attempt(*bills, minute=minute)


MINUTES = st.integers(0, 9)
UTILITIES = st.builds(
    Utility,
    st.fixed_dictionaries(dict.fromkeys((1, 2, 4, 5), MINUTES)),
    st.fixed_dictionaries({number: st.integers(0, 14) for number in (1, 2, 4, 5)}),
    st.booleans(),
    st.booleans(),
)


@given(UTILITIES, st.lists(MINUTES, max_size=12), st.randoms(use_true_random=False))
def test_whatever_a_utility_does_and_however_its_answers_come_the_bills_end_the_same(
    utility: Utility, minutes: list[int], order: Random
) -> None:
    in_order = [utility.answer(minute) for minute in sorted({*minutes, 9})]
    shuffled = [utility.answer(minute) for minute in (*minutes, *minutes, 9)]
    order.shuffle(shuffled)

    link, stored, _ = apply(in_order)
    same_link, same, _ = apply(shuffled)

    def seen(bills: Mapping[BillKey, Bill]) -> dict[BillKey, tuple[BillContent, tuple[QualityNote, ...]]]:
        return {key: (bill.content, bill.notes) for key, bill in bills.items()}

    assert seen(same) == seen(stored)
    assert (same_link.bill_count, same_link.as_of) == (link.bill_count, link.as_of)
