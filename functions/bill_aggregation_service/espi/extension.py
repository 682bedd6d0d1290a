"""What ESPI cannot say of a bill, in the place that the schema keeps for others: `extension`, first in every object.

    <extension><bill xmlns="urn:billing-aggregator:bill:1"><due_date>"2026-03-20"</due_date>…</bill></extension>

Each element is a field of BillContent with its value in JSON. Where a document is to be found is never told nor
believed: a file must not make the platform fetch an address.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, get_type_hints

import msgspec

from functions.bill_aggregation_service.espi.stream import Node
from functions.bill_aggregation_service.model import BillContent, LineItem, Usage
from functions.bill_aggregation_service.rules import ASSUMPTIONS, DATED, LARGEST_MINOR, is_billed_on, plain

NAMESPACE = "urn:billing-aggregator:bill:1"
ELEMENT = "bill"
FIELDS = {name: hint for name, hint in get_type_hints(BillContent).items() if name != "document_url"}
MAX_TEXT = 500


def told_beside(resource: Node) -> dict[str, Any]:  # Any: values of BillContent's own types
    """Fields that replace what the resource itself says. Raises ValueError for one that has no such value."""
    found: dict[str, Any] = {}
    for extension in resource.all("extension"):
        for bill in extension.all(ELEMENT):
            for element in bill.children:
                if element.name in FIELDS:
                    found[element.name] = _checked(element)
    return found


def beside(said: BillContent, meant: BillContent) -> Node | None:
    """The extension that makes `meant` of what ESPI `said`; None when nothing is missing."""
    bill = Node(ELEMENT)
    for name in FIELDS:
        if getattr(said, name) != getattr(meant, name):
            bill.add(Node(name, msgspec.json.encode(getattr(meant, name)).decode()))
    if not bill.children:
        return None
    extension = Node("extension")
    extension.add(bill)
    return extension


def _checked(element: Node) -> Any:  # Any: as above
    try:
        value = _plain(msgspec.json.decode(element.text, type=FIELDS[element.name]))
    except msgspec.MsgspecError as error:
        raise ValueError(f"{element.name} has no such value") from error
    if not CHECKS.get(element.name, _plausible)(value):
        raise ValueError(f"{element.name} is out of range")
    return value


def _plain(value: Any) -> Any:  # Any: as above
    """Quantities and rates in their one spelling. Raises ValueError for a senseless one."""
    match value:
        case tuple():
            return tuple(map(_plain, value))
        case Usage():
            return replace(value, volume=plain(value.volume))
        case LineItem():
            volume, rate = (None if number is None else plain(number) for number in (value.volume, value.rate))
            return replace(value, volume=volume, rate=rate)
    return value


def _plausible(value: object) -> bool:
    """Texts are short and amounts are a household's, however deep they stand."""
    told = msgspec.to_builtins(value)
    if isinstance(told, str):
        return len(told) <= MAX_TEXT
    if isinstance(told, int):
        return abs(told) <= LARGEST_MINOR
    inner = told.values() if isinstance(told, dict) else told if isinstance(told, list | tuple) else ()
    return all(_plausible(part) for part in inner)


CHECKS: dict[str, Callable[[Any], bool]] = {
    "service_type": lambda text: text.isidentifier() and text.isascii() and text == text.lower() and len(text) <= 40,
    "currency": lambda text: len(text) == 3 and text.isascii() and text.isalpha() and text.isupper(),
    **dict.fromkeys(DATED, is_billed_on),
    "assumed": lambda codes: set(codes) <= ASSUMPTIONS.keys(),
}
