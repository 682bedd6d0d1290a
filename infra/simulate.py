"""`make simulate`: a virtual day of many links, in minutes, driven by the platform's own rule of when a link is due.

Two beginnings: a platform that has run for long, its links due at any time; and the worst, all of them due at once, as
after a day without a sweep. What is simulated is the sweep, which takes so many due links a minute, and how refreshes
end; `account_linking_service.model.Schedule` is the real one. The rest is assumed, and said below.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from functions.account_linking_service.model import Schedule
from functions.account_linking_service.states import LinkState
from infra.console import say

MINUTES = 24 * 60
START = datetime(2026, 1, 1, tzinfo=UTC)
INTERVAL = timedelta(hours=6)
"""REFRESH_INTERVAL_SECONDS as template and settings have it."""
FAILED, REFUSED = 0.02, 0.001
"""Assumed share of refreshes that a utility fails, and of those where the customer must act."""
CALLS = 4
"""Assumed calls of a utility per refresh: a token and pages, or a request and polls."""
MARKERS = {"due at any time": ".", "all due at once": "o"}


@dataclass(frozen=True, slots=True)
class Minute:
    refreshed: int
    """Links that the sweep took."""
    waiting: int
    """Links that were due and not taken."""
    lag: int
    """Minutes that the longest waiting of the taken had waited."""


@dataclass(frozen=True, slots=True)
class Day:
    minutes: tuple[Minute, ...]

    @property
    def peak(self) -> int:
        return max(minute.refreshed for minute in self.minutes)

    @property
    def refreshes(self) -> int:
        return sum(minute.refreshed for minute in self.minutes)

    @property
    def longest_lag(self) -> int:
        return max(minute.lag for minute in self.minutes)

    @property
    def caught_up(self) -> int | None:
        """The first minute from which on no link waits longer than a minute; None when some do at the end."""
        late = [number for number, minute in enumerate(self.minutes) if minute.lag > 1]
        if not late:
            return 0
        return None if late[-1] == len(self.minutes) - 1 else late[-1] + 1


class Simulation:
    """`per_minute`: how many links one run of the sweep takes at most. `herd`: all are due at the beginning."""

    def __init__(self, links: int, per_minute: int, *, herd: bool, seed: int = 1) -> None:
        self._random = random.Random(seed)  # noqa: S311 - the same day each time
        self._schedule = Schedule(INTERVAL, self._random.random)
        self._per_minute = per_minute
        self._failures = bytearray(links)
        self._due: list[list[int]] = [[] for _ in range(MINUTES)]
        cycle = int(INTERVAL.total_seconds() // 60)
        for link in range(links):
            self._due[0 if herd else self._random.randrange(cycle)].append(link)

    def run(self) -> Day:
        return Day(tuple(self._minutes()))

    def _minutes(self) -> Iterator[Minute]:
        waiting: list[tuple[int, int]] = []  # since when, link; the longest waiting last
        for now in range(MINUTES):
            waiting[:0] = [(now, link) for link in self._due[now]]
            self._due[now] = []
            taken = [waiting.pop() for _ in range(min(self._per_minute, len(waiting)))]
            for _, link in taken:
                self._refresh(link, now)
            yield Minute(len(taken), len(waiting), now - taken[0][0] if taken else 0)

    def _refresh(self, link: int, now: int) -> None:
        drawn, state = self._random.random(), LinkState.ACTIVE
        if drawn < REFUSED:
            state = LinkState.ACTION_REQUIRED
        self._failures[link] = min(self._failures[link] + 1, 255) if drawn < REFUSED + FAILED else 0
        wait = self._schedule.next_refresh(state, self._failures[link], START) - START
        due = now + max(1, round(wait.total_seconds() / 60))
        if due < MINUTES:
            self._due[due].append(link)


def run(links: int, per_minute: int) -> None:
    """Simulates both beginnings, says what came of it and draws it."""
    days = {
        "due at any time": Simulation(links, per_minute, herd=False).run(),
        "all due at once": Simulation(links, per_minute, herd=True).run(),
    }
    say(f"{links:,} links, every {INTERVAL}, at most {per_minute:,} a minute; {FAILED:.0%} fail, {REFUSED:.1%} refused")
    for name, day in days.items():
        caught_up = "never" if day.caught_up is None else f"minute {day.caught_up}"
        say(
            f"  {name:16} {day.refreshes:>10,} refreshes, about {day.refreshes * CALLS:,} calls of utilities;"
            f" at most {day.peak:,} a minute, on average {day.refreshes // MINUTES:,};"
            f" longest lag {day.longest_lag} min, caught up from {caught_up}"
        )
    say(drawn(days))


def drawn(days: dict[str, Day]) -> str:
    """Refreshes per minute and due links waiting, a point every ten minutes, as text for a terminal."""
    import plotext

    every = 10
    hours = [minute / 60 for minute in range(0, MINUTES, every)]
    figure = plotext.figure
    figure.clear()
    figure.subplots(2, 1)
    figure.plot_size(120, 40)
    for row, what in enumerate(("refreshed", "waiting"), start=1):
        chart = figure.subplot(row, 1)
        chart.title(f"links {what} per minute, by hour of the day")  # no legend: it would cover the first hours
        for name, day in days.items():
            values = [getattr(minute, what) for minute in day.minutes[::every]]
            chart.draw(chart.signal(hours, values, marker=MARKERS[name]))
    key = ", ".join(f"{marker} {name}" for name, marker in MARKERS.items())
    return f"{figure.build().string(colorless=True)}\n{key}"
