"""What NAESB's schema (ESPI 3.3, espi_usage) and RFC 4287 ask of the parts that we write, as a check of our own.

The schema itself is NAESB's. This names, for each element, its children in the schema's order, which of them must be
there, and the type of each text.
"""

import re
from collections.abc import Callable
from datetime import datetime
from xml.etree import ElementTree as ET

ATOM, ESPI = "{http://www.w3.org/2005/Atom}", "{http://naesb.org/espi}"
Check = Callable[[str], bool]


def integer(low: int, high: int) -> Check:
    return lambda text: bool(re.fullmatch(r"[+-]?\d+", text)) and low <= int(text) <= high


int48, uint32, int16, uint16 = integer(-(2**47), 2**47), integer(0, 2**32 - 1), integer(-(2**15), 2**15 - 1), integer(0, 65535)  # fmt: skip  # noqa: E501
time_type = integer(-(2**63), 2**63 - 1)
string256: Check = lambda text: len(text) <= 256  # noqa: E731
hex_binary32: Check = lambda text: bool(re.fullmatch(r"([0-9A-F]{2}){0,4}", text))  # noqa: E731

# element of a type: its children in order, each with the type's name or a check; "!" must be there, "*" any number
TYPES: dict[str, tuple[tuple[str, str | Check], ...]] = {
    "UsagePoint": (("ServiceCategory", "ServiceCategory"),),
    "ServiceCategory": (("kind!", uint16),),
    "LocalTimeParameters": (
        ("dstEndRule!", hex_binary32), ("dstOffset!", time_type), ("dstStartRule!", hex_binary32),
        ("tzOffset!", time_type),
    ),
    "UsageSummary": (
        ("billingPeriod", "DateTimeInterval"), ("billLastPeriod", int48), ("billToDate", int48),
        ("costAdditionalLastPeriod", int48), ("costAdditionalDetailLastPeriod*", "LineItem"), ("currency", uint16),
        ("overallConsumptionLastPeriod", "SummaryMeasurement"), ("qualityOfReading", uint16),
        ("statusTimeStamp!", time_type), ("commodity", uint16), ("tariffProfile", string256),
    ),
    "DateTimeInterval": (("duration!", uint32), ("start!", time_type)),
    "LineItem": (
        ("amount", int48), ("note!", string256), ("measurement", "SummaryMeasurement"), ("itemKind!", uint16),
        ("unitCost", int48),
    ),
    "SummaryMeasurement": (
        ("powerOfTenMultiplier", int16), ("timeStamp", time_type), ("uom", uint16), ("value", int48),
    ),
}  # fmt: skip


def faults(document: bytes) -> list[str]:
    """Where the document is none that the schemas allow; empty when it is valid."""
    root = ET.fromstring(document)  # our own
    found = [] if root.tag == f"{ATOM}feed" else [f"root {root.tag}"]
    ids = [element.text for element in root.iter(f"{ATOM}id")]
    found += [f"id twice: {each}" for each in ids if ids.count(each) > 1]
    for element in (root, *root.findall(f"{ATOM}entry")):
        found += _atom_faults(element)
    for content in root.iter(f"{ATOM}content"):
        if len(content) != 1:
            found.append("content holds one resource")
        for resource in content:
            found += _faults(resource, resource.tag.removeprefix(ESPI))
    return found


def _atom_faults(element: ET.Element) -> list[str]:
    found = [f"{element.tag}: no {name}" for name in ("id", "title", "updated") if element.find(ATOM + name) is None]
    found += [f"{element.tag}: {child.tag}" for child in element if not child.tag.startswith(ATOM)]
    updated = element.findtext(f"{ATOM}updated") or ""
    if datetime.fromisoformat(updated).tzinfo is None:
        found.append(f"updated {updated}")
    return found


def _faults(element: ET.Element, kind: str) -> list[str]:
    if kind not in TYPES:
        return [f"{element.tag} is no {kind}"]
    children = list(element)
    while children and children[0].tag == f"{ESPI}extension":
        children.pop(0)  # xs:anyType, first in every object
    found: list[str] = []
    for rule, check in TYPES[kind]:
        name = rule.rstrip("!*")
        count = 0
        while children and children[0].tag == ESPI + name and (count == 0 or rule.endswith("*")):
            found += _child_faults(children.pop(0), check)
            count += 1
        if rule.endswith("!") and not count:
            found.append(f"{kind}: no {name}")
    return found + [f"{kind}: {child.tag} is out of place" for child in children]


def _child_faults(child: ET.Element, check: str | Check) -> list[str]:
    if isinstance(check, str):
        return _faults(child, check)
    return [] if not len(child) and check(child.text or "") else [f"{child.tag}: {child.text!r}"]
