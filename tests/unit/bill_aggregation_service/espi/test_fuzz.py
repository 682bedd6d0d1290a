"""Whatever comes as a file: no crash, no hang, and memory that does not grow with what no bill is made of."""

import time
import tracemalloc
from collections.abc import Iterator
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.bill_aggregation_service.espi.reader import Defaults, FileContent, read_file
from functions.bill_aggregation_service.espi.stream import EspiError
from functions.bill_aggregation_service.rules import refusal
from tests.unit.bill_aggregation_service.espi.feeds import (
    DAY,
    FEB_1_2026,
    entry,
    feed,
    gas_meter,
    interval_block,
    line_item,
    local_time,
    reading,
    summary,
    usage_point,
)

DEFAULTS = Defaults("USD", ZoneInfo("America/New_York"), "electricity")
MB = 1_000_000
WHOLE = feed(
    usage_point(),
    local_time(),
    *gas_meter(),
    interval_block(reading(FEB_1_2026, 28, "7550000")),
    entry(summary('<extension><bill><due_date>"2026-03-20"</due_date></bill></extension>' + line_item("5")), updated="2026-03-02T00:00:00Z"),  # noqa: E501
)  # fmt: skip
NAMES = (
    "feed", "entry", "id", "link", "updated", "content", "UsageSummary", "ElectricPowerUsageSummary", "UsagePoint",
    "ServiceCategory", "kind", "billingPeriod", "duration", "start", "billLastPeriod", "currency", "amount", "note",
    "costAdditionalDetailLastPeriod", "measurement", "uom", "value", "powerOfTenMultiplier", "statusTimeStamp",
    "commodity", "IntervalBlock", "IntervalReading", "timePeriod", "cost", "LocalTimeParameters", "tzOffset",
    "dstOffset", "dstStartRule", "dstEndRule", "ReadingType", "MeterReading", "extension", "bill", "due_date",
)  # fmt: skip
TEXTS = st.sampled_from(
    ["", "0", "1", "-1", "72", "840", "7", "5000000", "1769922000", "1769922000000", "2419200", "1e999", "NaN", "-0",
     "99999999999999999999", "B40E2000", "FFFFFFFF", '"2026-01-01"', "null", "[]", "\u0661", "2026-03-02T00:00:00Z"]
) | st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="<&>\ufffe\uffff"), max_size=12)  # fmt: skip  # noqa: E501


def attempt(document: bytes) -> FileContent | None:
    """Only bills that can be kept, or the one error that says why there are none."""
    try:
        result = read_file([document], DEFAULTS)
    except EspiError:
        return None
    for bill in result.bills:
        assert refusal(bill.content) == ""
        assert bill.content.period_start <= bill.content.period_end
    return result


def elements(children: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    body = st.lists(children, max_size=6).map("".join)
    return st.tuples(st.sampled_from(NAMES), body).map(lambda made: f"<{made[0]}>{made[1]}</{made[0]}>")


TREES = st.recursive(TEXTS, elements, max_leaves=40)


@given(st.binary(max_size=300))
def test_any_bytes(document: bytes) -> None:
    attempt(document)


@given(TREES, st.sampled_from(["feed", "entry", "UsageSummary", "IntervalBlock", "other"]))
def test_any_elements(inner: str, root: str) -> None:
    attempt(f"<{root}>{inner}</{root}>".encode())


@given(st.dictionaries(st.sampled_from(["start", "duration", "billLastPeriod", "currency", "amount", "value", "uom",
       "tzOffset", "dstOffset", "dstStartRule", "dstEndRule", "cost", "due_date", "updated", "commodity", "kind"]),
       TEXTS, min_size=1, max_size=4))  # fmt: skip
def test_any_values_in_a_file_that_is_one(values: dict[str, str]) -> None:
    document = WHOLE.decode()
    for name, value in values.items():
        head, found, tail = document.partition(f"<{name}>")
        if found:
            document = head + found + value + tail[tail.index("</") :]

    assert attempt(document.encode()) is not None


@given(st.data())
def test_a_file_that_was_damaged(data: st.DataObject) -> None:
    document = bytearray(WHOLE)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(document) - 1))
        match data.draw(st.sampled_from(["change", "cut", "double"])):
            case "change":
                document[place] = data.draw(st.integers(0, 255))
            case "cut":
                del document[place : place + data.draw(st.integers(1, 40))]
            case _:
                document[place:place] = document[place : place + data.draw(st.integers(1, 200))]
        if not document:
            break
    attempt(bytes(document))


# Sizes


def repeated(head: str, piece: str, tail: str, size: int) -> Iterator[bytes]:
    yield head.encode()
    block = (piece * (64_000 // len(piece) + 1)).encode()
    for _ in range(size // len(block)):
        yield block
    yield tail.encode()


READINGS = ("<feed><entry><content><IntervalBlock>", reading(FEB_1_2026, 1 / 96, "974"), "</IntervalBlock></content></entry></feed>")  # fmt: skip  # noqa: E501
LARGE = {
    "readings": READINGS,
    "one text": (
        "<feed><entry><content><UsageSummary><note>",
        "x" * 100,
        "</note></UsageSummary></content></entry></feed>",
    ),
    "one attribute": ('<feed><entry><link rel="self" href="', "x" * 100, '"/></entry></feed>'),
    "one comment": ("<feed><!--", "x" * 100, "--></feed>"),
    "names": ("<feed><entry>", "".join(f"<n{n}/>" for n in range(9_000)), "</entry></feed>"),
    "entries of nothing": ("<feed>", "<entry><content><ReadingType/></content></entry>", "</feed>"),
}
REFUSED = {
    "deep": ("<feed>", "<a>", ""),
    "items": ("<UsageSummary>", "<a/>", "</UsageSummary>"),
    "links": ("<feed><entry>", '<link rel="related" href="a"/>', "</entry></feed>"),
    "summaries": ("<feed>", "<UsageSummary/>", "</feed>"),
}


def ended_with(chunks: Iterator[bytes]) -> str:
    """The code of the error, if there was one."""
    try:
        assert read_file(chunks, DEFAULTS).bills == []
    except EspiError as error:
        return error.code
    return ""


@pytest.mark.parametrize("name", LARGE | REFUSED)
def test_a_large_file_takes_seconds_and_little_memory(name: str) -> None:
    """4 MB here. What the memory holds does not grow with the file, but for the text at hand and the bills."""
    head, piece, tail = (LARGE | REFUSED)[name]
    began = time.process_time()  # other tests run at the same time
    tracemalloc.start()

    code = ended_with(repeated(head, piece, tail, 4 * MB))

    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert code in (("too_complex", "too_many_bills") if name in REFUSED else ("",))
    assert peak < (14 if name.startswith(("one", "summaries")) else 6) * MB
    assert time.process_time() - began < 20


def test_readings_are_forgotten_at_once() -> None:
    head, piece, tail = READINGS
    peaks = []
    for size in (MB // 2, 4 * MB):
        tracemalloc.start()
        read_file(repeated(head, piece, tail, size), DEFAULTS)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()

    assert peaks[1] < 1.5 * peaks[0]


def test_a_period_of_any_length_is_a_period() -> None:
    """No date arithmetic overflows on the way."""
    for start in (-(10**18), -1, 0, 1, 10**10, 10**13, 10**18):
        for duration in (0, 1, DAY, 10**9, 10**12):
            period = f"<billingPeriod><duration>{duration}</duration><start>{start}</start></billingPeriod>"
            assert attempt(feed(entry(summary(period=period)))) is not None
