"""Bills out of a Green Button file: what its entries say of one another is known at its end, so bills are made then.

A UsageSummary is a bill. Where a usage point has none, its readings as long as a billing period are bills, which is
how some gas utilities tell of them. ESPI numbers no bills: the last part of an entry's address takes the number's
place, unless it only counts entries, as many files do from 1 on; then the period tells bills apart.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, tzinfo

from functions.bill_aggregation_service.espi.content import (
    Facts,
    Reading,
    Unreadable,
    reading_content,
    seconds,
    summary_content,
)
from functions.bill_aggregation_service.espi.resources import Resources, id_of, number_in, path_of, stamp
from functions.bill_aggregation_service.espi.skipped import Skipped
from functions.bill_aggregation_service.espi.stream import Entry, EspiError, Node, entries
from functions.bill_aggregation_service.model import BillContent, FetchedBill
from functions.bill_aggregation_service.rules import canonical_json

SHORTEST_BILL, LONGEST_BILL = 7 * 86_400, 400 * 86_400
"""Of a reading that may be a bill, in seconds. What is shorter is what a meter measured."""
SURELY_SHORT = 5
"""Digits of a duration that is less than a bill's, whether in seconds or in milliseconds."""
MAX_BILLS = 20_000
MAX_BILL_BYTES = 64_000
SURELY_SMALL = 30
"""Line items of a bill that needs no measuring: a text has 500 characters at most."""
MAX_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Defaults:
    """What a file may leave unsaid. A currency that is taken from here shows as a quality note."""

    currency: str
    zone: tzinfo
    service_type: str


@dataclass(slots=True)
class FileContent:
    bills: list[FetchedBill] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Found:
    """A bill of the file, until all is known that belongs to it."""

    make: Callable[[Facts], BillContent]
    links: tuple[str, ...]
    entry: str
    stamped_at: datetime | None


def read_file(chunks: Iterable[bytes], defaults: Defaults) -> FileContent:
    """Raises EspiError for what is no Green Button file."""
    reader = _FileReader(defaults)
    for entry in entries(chunks, reader.drops):
        reader.take(entry)
    return reader.content()


class _FileReader:
    def __init__(self, defaults: Defaults) -> None:
        self._defaults = defaults
        self._resources = Resources()
        self._summaries: list[_Found] = []
        self._readings: list[_Found] = []
        self._billed: set[str] = set()
        """Usage points with a summary."""
        self._measured: dict[str, str] = {}
        """Usage points with short readings: the first entry that has some."""
        self._dropped = 0
        self._skipped: list[Skipped] = []

    def drops(self, reading: Node) -> bool:
        period = reading.first("timePeriod")
        if period is None:
            return False
        told = period.value("duration")
        # a year of quarters of an hour is most of many a file: those are told by the look of them
        if len(told) > SURELY_SHORT or not told.isdigit():
            try:
                if seconds(period)[1] >= SHORTEST_BILL:
                    return False
            except ValueError:
                return False
        self._dropped += 1
        return True

    def take(self, entry: Entry) -> None:
        for resource in entry.resources:
            match resource.name:
                case "UsageSummary" | "ElectricPowerUsageSummary":
                    self._billed.add(_point(entry))
                    self._summaries.append(_found(entry, _summary_maker(resource)))
                case "IntervalBlock":
                    self._take_block(entry, resource)
                case _:
                    self._resources.add(entry, resource)
        if len(self._summaries) + len(self._readings) > MAX_BILLS:
            raise EspiError("too_many_bills", f"The file has more than {MAX_BILLS} bills.")

    def _take_block(self, entry: Entry, block: Node) -> None:
        readings = list(block.all("IntervalReading"))
        if self._dropped or not readings:
            self._measured.setdefault(_point(entry), _name(entry))
            self._dropped = 0
        whole = block.first("interval") if len(readings) == 1 else None
        for node in readings:
            period = node.first("timePeriod") or whole
            made = Reading(period, node.value("cost"), node.value("value"))
            self._readings.append(_found(entry, _reading_maker(made)))

    def content(self) -> FileContent:
        found = list(self._summaries)
        for reading in self._readings:
            if _point_in(reading.links) not in self._billed:
                self._measured.pop(_point_in(reading.links), None)
                found.append(reading)
        result = FileContent(skipped=self._skipped)
        made: list[tuple[_Found, BillContent]] = []
        for each in found:
            try:
                made.append((each, self._make(each)))
            except Unreadable as error:
                self._skip(each.entry, error.reason, str(error))
        result.bills = list(self._told_once(made))
        for point, entry in self._measured.items():
            if point not in self._billed:
                self._skip(entry, "no_bill", "The usage point has readings of its meter, but no bill.")
        return result

    def _make(self, found: _Found) -> BillContent:
        content = found.make(self._facts(found))
        if len(content.line_items) > SURELY_SMALL and len(canonical_json(content)) > MAX_BILL_BYTES:
            raise Unreadable("too_large", f"The bill takes more than {MAX_BILL_BYTES} bytes.")
        return content

    def _facts(self, found: _Found) -> Facts:
        point = self._resources.point(_point_in(found.links))
        reading_type = self._resources.reading_type(found.links)
        return Facts(
            number=number_in(found.links[0]),
            usage_point=next((own for link in found.links if (own := id_of(link, "UsagePoint"))), ""),
            service_type=point.service_type,
            default_service_type=self._defaults.service_type,
            zone=self._resources.zone(point) or self._defaults.zone,
            currency=self._defaults.currency,
            reading_type=reading_type,
        )

    def _told_once(self, made: list[tuple[_Found, BillContent]]) -> Iterator[FetchedBill]:
        """Of what a file says twice, the one stamped last. A bill that stands there under two numbers is one too."""
        latest: dict[tuple[object, ...], _Found] = {}
        same: dict[BillContent, _Found] = {}
        kept: set[int] = set()
        for place, (found, content) in sorted(enumerate(made), key=_latest_first):
            key, unnumbered = _identity(content), replace(content, external_bill_id="")
            if unnumbered in same:
                self._skip(found.entry, "duplicate", f"The same bill stands in {same[unnumbered].entry}.")
            elif key in latest:
                self._skip(found.entry, "superseded", f"{latest[key].entry} has the bill as it was later.")
            else:
                latest[key] = same[unnumbered] = found
                kept.add(place)
        return (FetchedBill(made[place][1], made[place][0].stamped_at) for place in sorted(kept))

    def _skip(self, entry: str, reason: str, detail: str) -> None:
        self._skipped.append(Skipped(reason, detail[:MAX_SHOWN], entry))


def _identity(content: BillContent) -> tuple[object, ...]:
    """As `rules.natural_key`, within one link."""
    own: object = content.external_bill_id or (content.period_start, content.period_end, content.type)
    return content.service_type, content.usage_point, own


def _latest_first(placed: tuple[int, tuple[_Found, BillContent]]) -> tuple[float, str]:
    _, (found, content) = placed
    return (-found.stamped_at.timestamp() if found.stamped_at else 0.0), canonical_json(content)


def _found(entry: Entry, make: Callable[[Facts], BillContent]) -> _Found:
    links = (entry.self_link, entry.up_link, *entry.related)
    return _Found(make, links, _name(entry), stamp(entry.updated) or stamp(entry.feed_updated))


def _summary_maker(node: Node) -> Callable[[Facts], BillContent]:
    return lambda facts: summary_content(node, facts)


def _reading_maker(reading: Reading) -> Callable[[Facts], BillContent]:
    return lambda facts: reading_content(reading, facts, LONGEST_BILL)


def _point(entry: Entry) -> str:
    return _point_in((entry.self_link, entry.up_link))


def _point_in(links: Iterable[str]) -> str:
    """The address up to the usage point; empty when no link leads through one."""
    return next((path for link in links if (path := path_of(link, "UsagePoint"))), "")


def _name(entry: Entry) -> str:
    return (entry.self_link or entry.id)[:MAX_SHOWN]
