"""Local time as ESPI tells it (LocalTimeParameters): an offset, and rules for daylight saving time in 32 bits each.

Bits 0-11 seconds within the hour, 12-16 hour, 17-19 day of the week (Monday 1, 0: none), 20-24 day of the month,
25-27 operator, 28-31 month; FFFFFFFF: there is none. The time of a rule is that of the clock on the wall just before.
"""

import calendar
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache

NO_RULE = 0xFFFFFFFF
DAY_OF_MONTH, ON_OR_AFTER, FIRST, FIFTH, LAST = 0, 1, 2, 6, 7
LONGEST_OFFSET = timedelta(hours=15)


@dataclass(frozen=True)
class LocalTime(tzinfo):
    """Raises ValueError when made of an offset that no place on earth has."""

    offset: timedelta
    saving: timedelta = timedelta()
    starts: int = NO_RULE
    ends: int = NO_RULE

    def __post_init__(self) -> None:
        if abs(self.offset) > LONGEST_OFFSET or abs(self.saving) > timedelta(hours=3):
            raise ValueError("no such local time")

    def fromutc(self, dt: datetime) -> datetime:
        standard = dt.replace(tzinfo=None) + self.offset
        return (standard + self._saved(standard, in_standard_time=True)).replace(tzinfo=self)

    def utcoffset(self, dt: datetime | None) -> timedelta:
        return self.offset + self.dst(dt)

    def dst(self, dt: datetime | None) -> timedelta:
        return self._saved(dt.replace(tzinfo=None), in_standard_time=False) if dt else timedelta()

    def tzname(self, _dt: datetime | None) -> str:
        return "local"

    def _saved(self, clock: datetime, *, in_standard_time: bool) -> timedelta:
        if not self.saving or NO_RULE in (self.starts, self.ends):
            return timedelta()
        try:
            start, end = moment(self.starts, clock.year), moment(self.ends, clock.year)
        except ValueError:
            return timedelta()
        if in_standard_time:
            end -= self.saving
        within = start <= clock < end if start < end else not end <= clock < start
        return self.saving if within else timedelta()


def moment(rule: int, year: int) -> datetime:
    """When the rule applies in that year, on the clock on the wall. Raises ValueError for a rule that is none."""
    seconds, hour, weekday = rule & 0xFFF, rule >> 12 & 0x1F, rule >> 17 & 0x7
    day, operator, month = rule >> 20 & 0x1F, rule >> 25 & 0x7, rule >> 28 & 0xF
    if operator != DAY_OF_MONTH:
        day = _day(operator, year, month, day, weekday)
    return datetime(year, month, day, hour) + timedelta(seconds=seconds)  # noqa: DTZ001  # the clock on the wall


def _day(operator: int, year: int, month: int, day: int, weekday: int) -> int:
    if not 1 <= month <= 12 or not weekday:
        raise ValueError("no such rule")
    first, length = calendar.monthrange(year, month)
    if operator == LAST:
        return length - (first + length - weekday) % 7
    earliest = max(day, 1) if operator == ON_OR_AFTER else 7 * (operator - FIRST) + 1
    return earliest + (weekday - 1 - (first + earliest - 1)) % 7


@lru_cache(maxsize=256)
def local_time(zone: tzinfo, year: int) -> LocalTime:
    """What ESPI can tell of a zone: its rules of that year. Zones that change otherwise lose their changes."""
    offsets = {_offset(zone, datetime(year, month, 1, tzinfo=UTC)) for month in range(1, 13)}
    standard, summer = min(offsets), max(offsets)
    if len(offsets) != 2:
        return LocalTime(standard)
    changes = dict(_changes(zone, year))
    starts = _rule(changes.get(summer), _change_of(zone, year + 1, summer))
    ends = _rule(changes.get(standard), _change_of(zone, year + 1, standard))
    return LocalTime(standard, summer - standard, starts, ends)


def _change_of(zone: tzinfo, year: int, to: timedelta) -> datetime | None:
    return dict(_changes(zone, year)).get(to)


def _changes(zone: tzinfo, year: int) -> Iterator[tuple[timedelta, datetime]]:
    """The new offset, and the time on the wall just before."""
    hour = datetime(year, 1, 1, tzinfo=UTC)
    before = _offset(zone, hour)
    while hour.year == year:
        step = timedelta(days=1) if _offset(zone, hour + timedelta(days=1)) == before else timedelta(hours=1)
        hour += step
        offset = _offset(zone, hour)
        if offset != before:
            yield offset, (hour + before).replace(tzinfo=None)
            before = offset


def _rule(when: datetime | None, next_year: datetime | None) -> int:
    """The rule that gives both; NO_RULE when there is none."""
    if when is None or next_year is None:
        return NO_RULE
    shared = when.month << 28 | when.isoweekday() << 17 | when.hour << 12 | when.minute * 60
    for operator in (LAST, *range(FIRST, FIFTH + 1), ON_OR_AFTER):
        rule: int = shared | operator << 25 | (when.day << 20 if operator == ON_OR_AFTER else 0)
        if _gives(rule, when) and _gives(rule, next_year):
            return rule
    return NO_RULE


def _gives(rule: int, when: datetime) -> bool:
    try:
        return moment(rule, when.year) == when
    except ValueError:  # the fifth Sunday of a month that has four
        return False


def _offset(zone: tzinfo, instant: datetime) -> timedelta:
    return instant.astimezone(zone).utcoffset() or timedelta()
