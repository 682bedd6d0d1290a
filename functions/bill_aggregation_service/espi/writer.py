"""Bills as a Green Button file that validates against NAESB's schema (ESPI 3.3) and reads back as the same bills.

Each entry is first written as ESPI can say it, then read as an importer would; where that gives another bill, the
difference goes into the extension (`extension.py`). Other readers lose what stands there and nothing else.
"""

import re
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from decimal import Decimal
from typing import NamedTuple
from urllib.parse import quote
from xml.sax.saxutils import escape

from functions.bill_aggregation_service.espi.codes import (
    COMMODITY_KINDS,
    CURRENCY_NUMBERS,
    LINE_KINDS,
    SERVICE_KINDS,
    UNIT_KINDS,
)
from functions.bill_aggregation_service.espi.content import MAX_TEXT, PER_MAJOR_UNIT, Facts, summary_content
from functions.bill_aggregation_service.espi.extension import ELEMENT, NAMESPACE, beside
from functions.bill_aggregation_service.espi.localtime import LocalTime, local_time
from functions.bill_aggregation_service.espi.resources import ReadingType, id_of, number_in
from functions.bill_aggregation_service.espi.stream import Node
from functions.bill_aggregation_service.model import Bill, BillContent, LineItem
from functions.bill_aggregation_service.rules import major_units
from functions.common.clock import rfc3339

ATOM, ESPI = "http://www.w3.org/2005/Atom", "http://naesb.org/espi"
BASE = "/espi/1_1/resource/Subscription"
LARGEST = 2**47
"""Int48 of the schema, in both directions."""
MULTIPLIERS = (0, -1, -2, -3, -6, -9, -12)
NOT_IN_XML = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
LARGEST_UTC_SECONDS = 2**32 - 1
FIRST_TOLD, LAST_TOLD = date(1971, 1, 1), date(2198, 12, 31)
"""A year within what a reader takes for a day, wherever clocks were then; and a year more does not end the calendar."""
MOST_DIGITS = 40


class _Point(NamedTuple):
    """A usage point of the file, and the local time of its utility."""

    path: str
    service_type: str
    zone: tzinfo


@dataclass(frozen=True, slots=True)
class Exported:
    bill: Bill
    zone: tzinfo


def write_file(bills: Iterable[Exported], now: datetime) -> Iterator[str]:
    """The file in pieces: a usage point is introduced when its first bill comes."""
    yield f'<?xml version="1.0" encoding="UTF-8"?>\n<feed xmlns="{ATOM}">\n'
    yield _head(BASE, "Bills", now) + "<author><name>Billing Aggregator</name></author>\n"
    zones: dict[LocalTime, str] = {}
    points: set[str] = set()
    for exported in bills:
        bill = exported.bill
        told = local_time(exported.zone, _told(bill.content.period_end).year)
        if told not in zones:
            zones[told] = f"/espi/1_1/resource/LocalTimeParameters/{len(zones) + 1}"
            yield _entry(zones[told], "Local time", now, _local_time_node(told))
        point = _point(bill, exported.zone, zones[told].rpartition("/")[2])
        if point.path not in points:
            points.add(point.path)
            yield _entry(point.path, "Usage point", now, _point_node(point), related=zones[told])
        yield _bill_entry(bill, point, told)
    yield "</feed>\n"


def _point(bill: Bill, zone: tzinfo, told: str) -> _Point:
    """Of a link, a service and a local time; its id is the usage point's own where the utility has told it."""
    content = bill.content
    own = quote(content.usage_point, safe="") or content.service_type
    return _Point(f"{BASE}/{bill.link_id}-{content.service_type}-{told}/UsagePoint/{own}", content.service_type, zone)


def _point_node(point: _Point) -> Node:
    node = Node("UsagePoint")
    if (kind := SERVICE_KINDS.get(point.service_type)) is not None:
        _add(_part(node, "ServiceCategory"), kind=kind)
    return node


def _local_time_node(told: LocalTime) -> Node:
    node = Node("LocalTimeParameters")
    _add(node, dstEndRule=f"{told.ends:08X}", dstOffset=_seconds(told.saving))
    _add(node, dstStartRule=f"{told.starts:08X}", tzOffset=_seconds(told.offset))
    return node


def _bill_entry(bill: Bill, point: _Point, told: LocalTime) -> str:
    content = bill.content
    own = quote(content.external_bill_id, safe="") or f"{content.period_start}_{content.period_end}_{content.type}"
    path = f"{point.path}/UsageSummary/{own}"
    node = _summary_node(content, point.zone)
    facts = Facts(
        number=number_in(path),
        usage_point=id_of(path, "UsagePoint"),
        service_type=point.service_type if point.service_type in SERVICE_KINDS else "",
        default_service_type="",
        zone=told,
        currency="",
        reading_type=ReadingType(),
    )
    if (extension := beside(summary_content(node, facts), content)) is not None:
        node.children = [extension, *node.children]
    title = f"Bill {content.external_bill_id or content.period_end}"
    return _entry(path, title, bill.as_of, node, name=bill.bill_id)


def _summary_node(content: BillContent, zone: tzinfo) -> Node:
    """The elements' order is the schema's."""
    node = Node("UsageSummary")
    start = _midnight(_told(content.period_start), zone)
    end = _midnight(_told(content.period_end) + timedelta(1), zone)
    _add(_part(node, "billingPeriod"), duration=min(max(end - start, 0), LARGEST_UTC_SECONDS), start=start)
    total = _amount(content.amount_minor, content.currency)
    _add(node, billLastPeriod=total)
    for item in content.line_items:
        _add_line_item(_part(node, "costAdditionalDetailLastPeriod"), item, content.currency)
    _add(node, currency=int(CURRENCY_NUMBERS.get(content.currency, "0")))
    for usage in content.usage[:1]:
        if (measured := _measured(usage.volume, usage.unit)) is not None:
            _add(_part(node, "overallConsumptionLastPeriod"), **measured)
    _add(node, statusTimeStamp=_midnight(_told(content.statement_date), zone) if content.statement_date else end)
    _add(node, commodity=COMMODITY_KINDS.get(content.service_type), tariffProfile=_text(content.tariff or "") or None)
    return node


def _add_line_item(node: Node, item: LineItem, currency: str) -> None:
    _add(node, amount=_amount(item.amount_minor, currency), note=_text(item.name))
    if item.volume is not None and (measured := _measured(item.volume, item.unit or "")) is not None:
        _add(_part(node, "measurement"), **measured)
    _add(node, itemKind=LINE_KINDS[item.kind], unitCost=_whole(item.rate, PER_MAJOR_UNIT) if item.rate else None)


def _amount(minor: int, currency: str) -> int:
    """In 1e-5 of the currency; what ESPI has no room for goes to the edge of it."""
    return max(-LARGEST, min(int(major_units(minor, currency).scaleb(PER_MAJOR_UNIT)), LARGEST))


def _measured(volume: Decimal, unit: str) -> dict[str, object] | None:
    """None for a unit that ESPI does not know, and for a number that it has no room for."""
    if unit not in UNIT_KINDS:
        return None
    kind, shift = UNIT_KINDS[unit]
    for multiplier in MULTIPLIERS:
        if (value := _whole(volume, shift - multiplier)) is not None:
            return {"powerOfTenMultiplier": multiplier, "uom": kind, "value": value}
    return None


def _whole(number: Decimal, places: int) -> int | None:
    """With its point moved; None for what is no whole number then, and for what ESPI has no room for."""
    if not number.is_finite() or abs(number.adjusted()) > MOST_DIGITS:
        return None
    moved = number.scaleb(places)
    return int(moved) if moved == moved.to_integral_value() and abs(moved) <= LARGEST else None


def _told(day: date) -> date:
    """The nearest day that ESPI's times can tell; the extension has the day itself."""
    return max(FIRST_TOLD, min(day, LAST_TOLD))


def _midnight(day: date, zone: tzinfo) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp())


def _seconds(delta: timedelta) -> int:
    return int(delta.total_seconds())


def _text(text: str) -> str:
    """As XML can hold it: without control characters, and with single spaces."""
    return " ".join(NOT_IN_XML.sub(" ", text).split())[:MAX_TEXT].strip()


def _part(parent: Node, name: str) -> Node:
    node = Node(name)
    parent.add(node)
    return node


def _add(parent: Node, **values: object) -> None:
    """In the order given; None is left out."""
    for name, value in values.items():
        if value is not None:
            parent.add(Node(name, str(value)))


def _entry(path: str, title: str, updated: datetime, resource: Node, *, related: str = "", name: str = "") -> str:
    xml = _xml(resource).replace(f"<{resource.name}>", f'<{resource.name} xmlns="{ESPI}">', 1)
    link = f'<link rel="related" href="{escape(related)}"/>' if related else ""
    return f'<entry>{_head(path, title, updated, name)}{link}<content type="application/xml">{xml}</content></entry>\n'


def _head(path: str, title: str, updated: datetime, name: str = "") -> str:
    """`name` is what the Atom id is made of, where the address alone might not be the only one."""
    up = path.rpartition("/")[0]
    return (
        f"<id>{uuid.uuid5(uuid.NAMESPACE_URL, name or path).urn}</id>"
        f'<link rel="self" href="{escape(path)}"/><link rel="up" href="{escape(up)}"/>'
        f"<title>{escape(_text(title))}</title><updated>{rfc3339(updated)}</updated>"
    )


def _xml(node: Node) -> str:
    attribute = f' xmlns="{NAMESPACE}"' if node.name == ELEMENT else ""
    inner = "".join(map(_xml, node.children)) if node.children else escape(_json_in_xml(node.text))
    return f"<{node.name}{attribute}>{inner}</{node.name}>"


def _json_in_xml(text: str) -> str:
    """JSON may hold characters that XML may not; there they can be escaped. Other texts have none of them."""
    return NOT_IN_XML.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
