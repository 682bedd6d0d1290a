import contextvars
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from functions.common.context import correlation_id, invocation, remaining_seconds
from functions.common.ids import is_id


def test_within_an_invocation_everything_belongs_to_its_correlation_id() -> None:
    with invocation("req-1.a_B", 5) as current:
        assert correlation_id() == current.correlation_id == "req-1.a_B"


@pytest.mark.parametrize("given", [None, "", "a" * 65, "with space", "line\nbreak", "ends\n", "é", '{"a":1}'])
def test_an_absent_or_ill_formed_correlation_id_is_replaced(given: str | None) -> None:
    with invocation(given, 5):
        assert is_id("cor", correlation_id())


def test_outside_there_is_a_new_one_each_time() -> None:
    assert correlation_id() != correlation_id()


def test_the_time_that_remains_falls_and_never_below_zero() -> None:
    with invocation("a", 5):
        assert 4 < remaining_seconds() <= 5
    with invocation("a", -1):
        assert remaining_seconds() == 0
    assert remaining_seconds(default=7) == 7


def test_an_inner_invocation_gives_way_to_the_outer_one_even_by_an_exception() -> None:
    with invocation("outer", 5):
        with pytest.raises(KeyError), invocation("inner", 1):
            raise KeyError
        assert correlation_id() == "outer"
        assert remaining_seconds() > 1


def test_it_travels_into_the_threads_of_a_fan_out() -> None:
    with invocation("fan-out", 5), ThreadPoolExecutor(2) as pool:
        assert pool.submit(contextvars.copy_context().run, correlation_id).result() == "fan-out"
        assert pool.submit(correlation_id).result() != "fan-out"


def test_the_deadline_is_monotonic_time() -> None:
    with invocation("a", 3) as current:
        assert current.deadline == pytest.approx(time.monotonic() + 3, abs=0.5)
