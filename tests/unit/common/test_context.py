import contextvars
import re
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from functions.common.context import correlation_id, invocation, remaining_seconds, trace_id, traceparent


def test_within_an_invocation_everything_belongs_to_its_correlation_id() -> None:
    with invocation("req-1.a_B", 5) as current:
        assert correlation_id() == current.correlation_id == "req-1.a_B"


@pytest.mark.parametrize("given", [None, "", "a" * 65, "with space", "line\nbreak", "ends\n", "é", '{"a":1}'])
def test_an_absent_or_ill_formed_correlation_id_is_replaced(given: str | None) -> None:
    with invocation(given, 5):
        assert re.fullmatch("cor_[0-9a-f]{32}", correlation_id())


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


TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.mark.parametrize(
    "parent", [f"00-{TRACE}-{SPAN}-01", f"00-{TRACE}-{SPAN}-00", f"cc-{TRACE}-{SPAN}-01", f"cc-{TRACE}-{SPAN}-01-more"]
)
def test_a_trace_goes_on_under_a_step_of_its_own(parent: str) -> None:
    with invocation("a", 5, parent):
        version, trace, span, flags = traceparent().split("-")

        assert (version, trace, flags, trace_id()) == ("00", TRACE, parent[53:55], TRACE)
        assert span != SPAN
        assert traceparent() == traceparent()


@pytest.mark.parametrize(
    "parent",
    [
        None,
        "",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}-01\n",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f" 00-{TRACE}-{SPAN}-01",
    ],
)
def test_what_is_no_traceparent_begins_a_new_trace(parent: str | None) -> None:
    with invocation("a", 5, parent):
        assert trace_id() not in ("", TRACE, "0" * 32)
        assert len(traceparent()) == 55


def test_outside_an_invocation_nothing_belongs_to_a_trace() -> None:
    assert trace_id() == ""
    assert traceparent() != traceparent()
