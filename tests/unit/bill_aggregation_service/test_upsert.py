"""What a fetch changes, and that order and repetition change nothing of it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.bill_aggregation_service.model import Bill, BillKey, FetchedBill, Link, Outcome
from functions.bill_aggregation_service.reading import reading_of
from functions.bill_aggregation_service.upsert import Attempt, Plan, plan
from functions.contracts.events.bills import BillCreatedV1, BillUpdatedV1
from functions.contracts.events.envelope import parse, unwrap
from tests.unit.bill_aggregation_service.fakes import LINK, PROVIDER, USER, content, fetched

T0 = datetime(2026, 3, 15, 12, tzinfo=UTC)


def attempt(*bills: FetchedBill, minute: int = 0) -> Attempt:
    return Attempt(T0 + timedelta(minutes=minute), Outcome.SUCCESS, PROVIDER, bills)


def planned(link: Link, stored: Mapping[BillKey, Bill], one: Attempt) -> Plan:
    """All bills of the link count as near."""
    reading = reading_of(link.link_id, one.bills)
    known = {key: stored[key] for key in reading.bills if key in stored}
    return plan(link, reading, known, list(stored.values()), one, T0)


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
    stamped = FetchedBill(content(amount=2), T0 + timedelta(days=1))
    replica = FetchedBill(content(amount=1), T0)

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
