"""What a file's other entries say of its bills (usage points, reading types, local time), and what addresses say."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import TypeVar
from urllib.parse import unquote

from functions.bill_aggregation_service.espi.codes import COMMODITIES, SERVICES
from functions.bill_aggregation_service.espi.localtime import NO_RULE, LocalTime
from functions.bill_aggregation_service.espi.stream import Entry, Node

SUMMARIES = ("UsageSummary", "ElectricPowerUsageSummary")
MAX_ID = 200
COUNTS = re.compile(r"\d{1,3}", re.ASCII)
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Point:
    service_type: str = ""
    related: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ReadingType:
    """How to read a meter's numbers; empty where the file does not say."""

    service_type: str = ""
    currency: str = ""
    unit_kind: str = ""
    multiplier: str = ""


class Resources:
    def __init__(self) -> None:
        self._points: dict[str, Point] = {}
        self._reading_types: dict[str, ReadingType] = {}
        self._meter_readings: dict[str, tuple[str, ...]] = {}
        self._local_times: dict[str, LocalTime] = {}

    def add(self, entry: Entry, resource: Node) -> None:
        match resource.name:
            case "UsagePoint":
                category = resource.first("ServiceCategory")
                kind = category.value("kind") if category else ""
                path = path_of(entry.self_link, "UsagePoint")
                self._points[path] = Point(SERVICES.get(kind, ""), tuple(entry.related))
            case "MeterReading":
                self._meter_readings[path_of(entry.self_link, "MeterReading")] = tuple(entry.related)
            case "ReadingType":
                self._reading_types[entry.self_link] = _reading_type(resource)
            case "LocalTimeParameters" | "TimeConfiguration":
                if (local_time := _local_time(resource)) is not None:
                    self._local_times[entry.self_link] = local_time

    def point(self, path: str) -> Point:
        """The usage point at that address; where none is named, the only one of the file."""
        return self._points.get(path) or _only(self._points) or Point()

    def zone(self, point: Point) -> tzinfo | None:
        """None when the file does not say, or says it of several and not which."""
        named = (self._local_times.get(link) for link in point.related)
        return next((zone for zone in named if zone), None) or _only(self._local_times)

    def reading_type(self, links: Iterable[str]) -> ReadingType:
        """Of the block of readings with these links."""
        paths = [path for link in links if (path := path_of(link, "MeterReading"))]
        for path in paths:
            for related in self._meter_readings.get(path, ()):
                if related in self._reading_types:
                    return self._reading_types[related]
        return _only(self._reading_types) or ReadingType()


def path_of(link: str, kind: str) -> str:
    """The address up to the resource of that kind and its id; empty when the link does not lead through one."""
    parts = link.partition("?")[0].rstrip("/").split("/")
    if kind not in parts[:-1]:
        return ""
    return "/".join(parts[: parts.index(kind) + 2])


def id_of(link: str, kind: str) -> str:
    """The id of the resource of that kind in an address."""
    path = path_of(link, kind)
    return unquote(path.rpartition("/")[2])[:MAX_ID]


def number_in(link: str) -> str:
    """What takes the place of a bill's number: the id in a summary's own address, unless it only counts."""
    own = next((id_of(link, kind) for kind in SUMMARIES if path_of(link, kind)), "")
    return "" if COUNTS.fullmatch(own) else own


def stamp(text: str) -> datetime | None:
    """An Atom date construct (RFC 3339); None for what is none, or has no zone."""
    try:
        found = datetime.fromisoformat(text)
        return found.astimezone(UTC) if found.tzinfo else None
    except (ValueError, OverflowError):
        return None


def _only(known: dict[str, V]) -> V | None:
    return next(iter(known.values())) if len(known) == 1 else None


def _reading_type(node: Node) -> ReadingType:
    return ReadingType(
        service_type=COMMODITIES.get(node.value("commodity"), ""),
        currency=node.value("currency"),
        unit_kind=node.value("uom"),
        multiplier=node.value("powerOfTenMultiplier"),
    )


def _local_time(node: Node) -> LocalTime | None:
    """None when the offset makes no sense; rules that make none are left out."""
    try:
        offset = timedelta(seconds=int(node.value("tzOffset")))
        try:
            saving = timedelta(seconds=int(node.value("dstOffset") or 0))
            starts, ends = (int(node.value(name) or "0", 16) for name in ("dstStartRule", "dstEndRule"))
            return LocalTime(offset, saving, starts or NO_RULE, ends or NO_RULE)
        except (ValueError, OverflowError):
            return LocalTime(offset)
    except (ValueError, OverflowError):
        return None
