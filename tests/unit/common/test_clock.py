from datetime import UTC, datetime, timedelta, timezone

import pytest

from functions.common.clock import SystemClock, parse_rfc3339, rfc3339


def test_the_system_clock_is_aware_and_in_utc() -> None:
    now = SystemClock().now()

    assert now.tzinfo is UTC
    assert abs(now - datetime.now(UTC)) < timedelta(seconds=5)


def test_an_instant_is_written_in_utc_with_milliseconds_and_read_back() -> None:
    instant = datetime(2026, 1, 31, 10, 30, 0, 123_000, tzinfo=timezone(timedelta(hours=1)))

    assert rfc3339(instant) == "2026-01-31T09:30:00.123Z"
    assert parse_rfc3339(rfc3339(instant)) == instant


def test_instants_sort_as_text() -> None:
    start = datetime(2026, 1, 31, tzinfo=UTC)
    instants = [start + timedelta(milliseconds=step * 499) for step in range(10)]

    assert sorted(map(rfc3339, instants)) == [rfc3339(instant) for instant in instants]


@pytest.mark.parametrize("text", ["", "yesterday", "2026-01-31", "2026-01-31T09:30:00"])
def test_what_is_no_instant_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the message is for people
        parse_rfc3339(text)
