"""Greenline Gas: Green Button, i.e. an Atom feed of NAESB ESPI resources (REQ.21), one UsageSummary per bill.

Amounts are in 1e-5 of the currency, the currency is its ISO 4217 number, times are epoch seconds. A billing period
lasts from midnight to midnight in the utility's zone. ESPI has neither a due date nor a bill number; the number ends
the entry's self link. What is said twice has a stamp of an hour later.
"""

import uuid
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from xml.etree import ElementTree as ET
from zoneinfo import ZoneInfo

from functions.mock_api_service.model import AccountNumber, Bill, Kind, LineItem, Utility

MEDIA_TYPE = "application/atom+xml; charset=utf-8"
ATOM, ESPI = "http://www.w3.org/2005/Atom", "http://naesb.org/espi"
ISO_NUMBERS = {"EUR": "978"}
UNITS_OF_MEASURE = {"m3": "42"}
NATURAL_GAS, SERVICE_GAS, VALIDATED = "7", "1", "14"
# ItemKind of ESPI, whose fees and credits are for energy generation, delivery and usage, or administrative.
ITEM_KINDS = {
    Kind.GENERATION: "1",
    Kind.USAGE: "3",
    Kind.DELIVERY: "2",
    Kind.FEE: "4",
    Kind.TAX: "5",
    Kind.CREDIT: "8",
    Kind.OTHER: "4",
}
PER_MINOR_UNIT = 1000
PER_MAJOR_UNIT = 100_000


def feed(utility: Utility, account: AccountNumber, bills: Sequence[Bill], today: date) -> str:
    """The feed of one service point. The same bills give the same bytes; `today` dates one without any."""
    zone = ZoneInfo(utility.time_zone)
    base = f"/espi/1_1/resource/Subscription/{account}"
    usage_point = f"{base}/UsagePoint/1"
    root = ET.Element("feed", {"xmlns": ATOM})
    _head(root, base, f"{utility.label} usage and billing", max((bill.updated_on for bill in bills), default=today))
    since = min((bill.statement_date for bill in bills), default=today)
    content = _entry(root, usage_point, "Gas service point", since)
    point = ET.SubElement(content, "UsagePoint", {"xmlns": ESPI})
    _text(ET.SubElement(point, "ServiceCategory"), "kind", SERVICE_GAS)
    for bill in bills:
        path = f"{usage_point}/UsageSummary/{bill.number}"
        content = _entry(root, path, f"Bill {bill.number}", bill.updated_on, hour=1 if bill.copy else 0)
        _summary(content, bill, zone)
    ET.indent(root, " ")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _summary(content: ET.Element, bill: Bill, zone: ZoneInfo) -> None:
    """The elements' order is the schema's."""
    summary = ET.SubElement(content, "UsageSummary", {"xmlns": ESPI})
    start, end = _midnight(bill.period_start, zone), _midnight(bill.period_end + timedelta(1), zone)
    period = ET.SubElement(summary, "billingPeriod")
    _text(period, "duration", end - start)
    _text(period, "start", start)
    _text(summary, "billLastPeriod", bill.amount_minor * PER_MINOR_UNIT)
    _text(summary, "costAdditionalLastPeriod", bill.amount_minor * PER_MINOR_UNIT)
    for item in bill.line_items:
        _line_item(ET.SubElement(summary, "costAdditionalDetailLastPeriod"), item, bill.unit)
    _text(summary, "currency", ISO_NUMBERS[bill.currency])
    _measurement(ET.SubElement(summary, "overallConsumptionLastPeriod"), bill.volume, bill.unit)
    _text(summary, "qualityOfReading", VALIDATED)
    _text(summary, "statusTimeStamp", _midnight(bill.statement_date, zone))
    _text(summary, "commodity", NATURAL_GAS)
    _text(summary, "tariffProfile", bill.tariff)


def _line_item(element: ET.Element, item: LineItem, unit: str) -> None:
    _text(element, "amount", item.amount_minor * PER_MINOR_UNIT)
    _text(element, "note", item.name)
    if item.volume is not None:
        _measurement(ET.SubElement(element, "measurement"), item.volume, unit)
    _text(element, "itemKind", ITEM_KINDS[item.kind])
    if item.rate is not None:
        _text(element, "unitCost", int(item.rate * PER_MAJOR_UNIT))


def _measurement(element: ET.Element, volume: Decimal, unit: str) -> None:
    """As meters report it: whole litres, told as 10^-3 of a cubic metre."""
    _text(element, "powerOfTenMultiplier", "-3")
    _text(element, "uom", UNITS_OF_MEASURE[unit])
    _text(element, "value", int(volume.scaleb(3)))


def _entry(root: ET.Element, path: str, title: str, updated: date, hour: int = 0) -> ET.Element:
    entry = ET.SubElement(root, "entry")
    _head(entry, path, title, updated, hour)
    return ET.SubElement(entry, "content", {"type": "application/xml"})


def _head(element: ET.Element, path: str, title: str, updated: date, hour: int = 0) -> None:
    _text(element, "id", uuid.uuid5(uuid.NAMESPACE_URL, path).urn)
    ET.SubElement(element, "link", {"rel": "self", "href": path})
    ET.SubElement(element, "link", {"rel": "up", "href": path.rpartition("/")[0]})
    _text(element, "title", title)
    _text(element, "updated", f"{updated}T{hour:02}:00:00Z")


def _text(parent: ET.Element, tag: str, value: object) -> None:
    ET.SubElement(parent, tag).text = str(value)


def _midnight(day: date, zone: ZoneInfo) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC).timestamp())
