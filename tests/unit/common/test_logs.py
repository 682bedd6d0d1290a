import io
import json
import logging
import re
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

import pytest

from functions.common import logs
from functions.common.context import invocation
from tests.support.logs import Lines

log = logging.getLogger("functions.sample")


@dataclass(frozen=True)
class Account:
    number: str
    word: str = field(repr=False)


class Outcome(StrEnum):
    FAILED = "failed"


def test_a_line_is_one_json_object_with_key_fields_and_the_correlation_id(log_lines: Lines) -> None:
    with invocation("req-1", 5):
        log.info("bill_stored", extra=logs.fields(bill_id="bil_1", count=2, text="two\nlines"))

    [line] = log_lines()
    assert line["event"] == "bill_stored"
    assert line["level"] == "INFO"
    assert line["logger"] == "functions.sample"
    assert line["correlation_id"] == "req-1"
    assert re.fullmatch("[0-9a-f]{32}", line["trace_id"])
    assert (line["bill_id"], line["count"], line["text"]) == ("bil_1", 2, "two\nlines")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"])


@pytest.mark.parametrize("name", sorted(logs.SECRET_NAMES))
def test_what_its_name_says_is_secret_is_masked_at_any_depth(name: str, log_lines: Lines) -> None:
    log.info("careless", extra=logs.fields(**{name: "hunter2"}))
    log.info("careless", extra=logs.fields(body={"deep": [{name.upper(): "hunter2"}], "plain": "seen"}))
    log.info("careless", extra=logs.fields(pair=({name: ["hunter2"]}, "seen")))

    written = log_lines()
    assert "hunter2" not in json.dumps(written)
    assert written[0][name] == logs.MASK
    assert written[1]["body"]["plain"] == "seen"
    assert written[2]["pair"][1] == "seen"


def test_a_line_is_told_as_the_logger_would_have_written_it(log_lines: Lines) -> None:
    told: dict[str, object] = {"route": "/bills", "body": {"password": "hunter2"}}
    with invocation("req-1", 5):
        log.info("request", extra=logs.fields(**told))
        logs.tell(log, "request", told)
        logs.tell(log, "request", {"ms": 1.5}, {"CacheHits": 1, "_aws": {"Timestamp": 0}})

    written = log_lines()
    times = [line.pop("time") for line in written]
    assert times == sorted(times)
    assert written[0] == written[1]
    assert written[1]["body"] == {"password": logs.MASK}
    assert (written[2]["ms"], written[2]["CacheHits"], written[2]["_aws"]) == (1.5, 1, {"Timestamp": 0})


def test_a_line_is_not_told_below_the_level_of_its_logger(log_lines: Lines) -> None:
    quiet = logging.getLogger("functions.quiet")
    quiet.setLevel(logging.WARNING)

    logs.tell(quiet, "request", {})

    assert log_lines() == []


def test_an_exception_is_logged_whole_in_the_same_line(log_lines: Lines) -> None:
    try:
        dict[str, str]()["which"]
    except KeyError:
        log.exception("unhandled")

    [line] = log_lines()
    assert "Traceback" in line["exception"]
    assert "KeyError" in line["exception"]


def test_what_is_not_json_is_written_as_text(log_lines: Lines) -> None:
    log.info("odd", extra=logs.fields(value=b"\xff", of=object, broken="\ud800"))

    assert log_lines()[0]["value"] == r"b'\xff'"


def test_libraries_stay_quiet_below_a_warning(log_lines: Lines) -> None:
    logging.getLogger("botocore").info("POST /?password=hunter2")
    logging.getLogger("botocore").warning("retrying")

    assert [line["event"] for line in log_lines()] == ["retrying"]


def test_configuring_again_changes_nothing(log_lines: Lines) -> None:
    logs.configure("DEBUG")
    log.info("once")

    assert [line["event"] for line in log_lines()] == ["once"]


def test_another_stream_may_be_given(log_lines: Lines) -> None:
    stream = io.StringIO()
    logs.configure("WARNING", stream)

    log.info("not this")
    log.warning("this")

    assert json.loads(stream.getvalue())["event"] == "this"
    assert log_lines() == []


def test_a_level_that_is_none_means_info(log_lines: Lines) -> None:
    logging.getLogger().handlers[:] = []
    logs.configure("LOUD")

    log.debug("not this")
    log.info("this")

    assert [line["event"] for line in log_lines()] == ["this"]


def test_what_json_cannot_say_strictly_costs_no_line(log_lines: Lines) -> None:
    values: tuple[object, ...] = ({1: "a"}, "\ud800", 2**70, date(2026, 3, 1), [b"x"], Outcome.FAILED)

    for value in values:
        log.info("odd", extra=logs.fields(value=value))

    written = [line["value"] for line in log_lines()]
    assert written == [{"1": "a"}, "\ud800", 2**70, "2026-03-01", ["b'x'"], "failed"]


def test_an_object_shows_no_more_than_its_repr(log_lines: Lines) -> None:
    log.info("odd", extra=logs.fields(account=Account("A-1", "hunter2"), accounts=[Account("A-2", "hunter2")]))

    [line] = log_lines()
    assert "A-1" in line["account"]
    assert "hunter2" not in json.dumps(line)
