"""What the refresh of a link costs whose utility has nothing new, no write of a bill and one conditional update of the
link; and of one whose bill has changed. Counts are exact, so they are held."""

from collections.abc import Iterator

import pytest

from tests.support.counting import BILLS, KEYS, LINKS, Refreshing, refreshing
from tests.support.redis_server import redis_server


@pytest.fixture(scope="module")
def link() -> Iterator[Refreshing]:
    with pytest.MonkeyPatch.context() as patched, redis_server() as cache_url:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patched.setenv(name, "testing")
        patched.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patched.delenv("AWS_ENDPOINT_URL", raising=False)
        with refreshing(cache_url) as world:
            yield world


def test_no_bill_is_written_and_each_record_of_the_link_once_on_a_condition(link: Refreshing) -> None:
    """Two services keep one each, and neither could do without (ADR 21)."""
    counts = link.refresh()

    assert counts.writes(BILLS) == [("PutItem", True)]
    assert counts.writes(LINKS) == [("UpdateItem", True)]
    assert counts.writes(KEYS) == []


def test_no_bill_is_read_and_each_record_once(link: Refreshing) -> None:
    counts = link.refresh()

    assert counts.reads(BILLS) == ["GetItem"]
    assert counts.reads(LINKS) == ["BatchGetItem", "GetItem"], "to open what was given, and to record the outcome"
    assert counts.reads(KEYS) == ["BatchGetItem"]


def test_three_round_trips_to_redis_and_two_rpcs(link: Refreshing) -> None:
    """A place at the utility is taken and given back, and the user's answers are dropped."""
    counts = link.refresh()

    assert counts.redis == 3
    assert counts.rpcs == {"Open": 1, "RecordOutcome": 1}


def test_a_changed_bill_costs_two_reads_and_a_transaction_more(link: Refreshing) -> None:
    """Read are the bills that the answer names, and the link's others of that time; that the event has left is written
    down as well. Redis and the account service are asked no more often."""
    link.change_a_bill()

    counts = link.refresh()

    assert counts.reads(BILLS) == ["GetItem", "BatchGetItem", "Query"]
    assert [operation for where, operation, _ in counts.calls if where == "dynamodb"] == ["TransactWriteItems"]
    assert counts.writes(BILLS) == [("UpdateItem", True)]
    assert counts.writes(LINKS) == [("UpdateItem", True)]
    assert (counts.reads(LINKS), counts.reads(KEYS)) == (["BatchGetItem", "GetItem"], ["BatchGetItem"])
    assert counts.writes(KEYS) == []
    assert counts.redis == 3
    assert counts.rpcs == {"Open": 1, "RecordOutcome": 1}
