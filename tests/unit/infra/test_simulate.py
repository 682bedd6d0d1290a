"""The virtual day of `make simulate`: nothing is lost in it, and a herd spreads out."""

import pytest

from infra import simulate
from infra.simulate import MINUTES, Day, Minute, Simulation

LINKS = 20_000


def test_a_platform_that_has_run_for_long_refreshes_every_link_four_times_a_day_without_lag() -> None:
    day = Simulation(LINKS, 1000, herd=False).run()

    assert LINKS * 4 * 0.95 < day.refreshes < LINKS * 4 * 1.1
    assert (day.longest_lag, day.caught_up) == (0, 0)
    assert day.peak < 2 * day.refreshes / MINUTES


def test_a_herd_is_taken_at_the_sweep_s_pace_and_does_not_come_back_as_one() -> None:
    day = Simulation(LINKS, 100, herd=True).run()

    assert day.longest_lag == LINKS // 100 - 1
    assert day.peak == 100
    assert day.caught_up is not None
    assert max(minute.refreshed for minute in day.minutes[-120:]) < day.peak


def test_a_sweep_that_is_too_slow_never_catches_up() -> None:
    assert Simulation(LINKS, 10, herd=True).run().caught_up is None


def test_the_same_day_each_time() -> None:
    assert Simulation(500, 100, herd=False).run() == Simulation(500, 100, herd=False).run()


def test_caught_up_is_the_minute_after_the_last_that_is_late() -> None:
    assert Day((Minute(1, 5, 3), Minute(1, 4, 2), Minute(1, 0, 1), Minute(1, 0, 0))).caught_up == 2


def test_the_command_says_and_draws_both_beginnings(capsys: pytest.CaptureFixture[str]) -> None:
    simulate.run(200, 50)

    said = capsys.readouterr().err
    for beginning in ("due at any time", "all due at once"):
        assert said.count(beginning) == 2  # in words, and in the key of the charts
    assert "links waiting per minute, by hour of the day" in said
