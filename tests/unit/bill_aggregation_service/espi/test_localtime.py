"""ESPI's local time: what its rules of 32 bits mean, and that a zone written as rules reads as the zone."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.bill_aggregation_service.espi.localtime import NO_RULE, LocalTime, local_time, moment

NEW_YORK = LocalTime(timedelta(hours=-5), timedelta(hours=1), 0x360E2000, 0xB40E2000)
SYDNEY = LocalTime(timedelta(hours=10), timedelta(hours=1), 0xA40E2000, 0x440E3000)


def rule(month: int, operator: int, weekday: int = 0, day: int = 0, hour: int = 2, seconds: int = 0) -> int:
    return month << 28 | operator << 25 | day << 20 | weekday << 17 | hour << 12 | seconds


@pytest.mark.parametrize(
    ("encoded", "day"),
    [
        (0x360E2000, datetime(2026, 3, 8, 2)),  # noqa: DTZ001  # second Sunday of March
        (0xB40E2000, datetime(2026, 11, 1, 2)),  # noqa: DTZ001  # first Sunday of November
        (rule(3, 4, 5, hour=1, seconds=2700), datetime(2026, 3, 20, 1, 45)),  # noqa: DTZ001  # the schema's own example
        (rule(10, 7, 7), datetime(2026, 10, 25, 2)),  # noqa: DTZ001  # last Sunday
        (rule(2, 7, 6), datetime(2026, 2, 28, 2)),  # noqa: DTZ001  # the last day is one
        (rule(3, 1, 5, 23), datetime(2026, 3, 27, 2)),  # noqa: DTZ001  # Friday on or after the 23rd
        (rule(4, 0, 0, 15), datetime(2026, 4, 15, 2)),  # noqa: DTZ001  # a day of the month
    ],
)
def test_what_a_rule_means(encoded: int, day: datetime) -> None:
    assert moment(encoded, 2026) == day


@pytest.mark.parametrize(
    "encoded", [0, NO_RULE, rule(13, 0, 0, 1), rule(2, 0, 0, 30), rule(2, 6, 7), rule(3, 2), rule(3, 0, 0, 1, hour=25)]
)
def test_what_is_no_rule(encoded: int) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # of datetime, or our own
        moment(encoded, 2026)


@given(st.datetimes(datetime(2008, 1, 1), datetime(2035, 12, 31)))  # noqa: DTZ001
def test_places_read_as_their_zones(instant: datetime) -> None:
    for place, zone in ((NEW_YORK, "America/New_York"), (SYDNEY, "Australia/Sydney")):
        there = instant.replace(tzinfo=UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None)
        assert instant.replace(tzinfo=UTC).astimezone(place).replace(tzinfo=None) == there


@pytest.mark.parametrize(
    "zone",
    ["UTC", "America/New_York", "Europe/Berlin", "Australia/Sydney", "Asia/Kolkata", "Pacific/Auckland",
     "America/Phoenix", "Pacific/Kiritimati", "America/Havana", "Asia/Jerusalem"],
)  # fmt: skip
@pytest.mark.parametrize("year", [2024, 2025, 2026])
def test_a_zone_written_as_rules_reads_as_the_zone(zone: str, year: int) -> None:
    told = local_time(ZoneInfo(zone), year)

    for hour in range(0, 365 * 24, 5):
        instant = datetime(year, 1, 1, tzinfo=UTC) + timedelta(hours=hour)
        there = instant.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
        assert instant.astimezone(told).replace(tzinfo=None) == there


@pytest.mark.parametrize("zone", ["Africa/Casablanca", "Africa/Cairo", "America/Santiago"])
def test_a_zone_that_rules_cannot_tell_keeps_its_standard_time(zone: str) -> None:
    """Or its rules, where they are some after all; it never breaks."""
    told = local_time(ZoneInfo(zone), 2026)

    assert told.offset in {timedelta(0), timedelta(hours=2), timedelta(hours=-4)}
    assert told.tzname(None) == "local"
    assert told.utcoffset(None) == told.offset


@pytest.mark.parametrize(("offset", "saving"), [(16, 0), (-16, 0), (0, 4), (1_000_000, 0)])
def test_there_is_no_such_place(offset: int, saving: int) -> None:
    with pytest.raises(ValueError, match="no such local time"):
        LocalTime(timedelta(hours=offset), timedelta(hours=saving))


def test_rules_that_are_none_are_no_daylight_saving() -> None:
    summer = datetime(2026, 7, 1, tzinfo=UTC)

    for broken in (LocalTime(timedelta(0), timedelta(hours=1)), LocalTime(timedelta(0), timedelta(hours=1), 0, 0)):
        assert summer.astimezone(broken).hour == 0
