"""The numbers that NAESB ESPI (REQ.21, schema 3.3) writes for services, units, kinds of line items and currencies."""

from collections.abc import Mapping

from functions.bill_aggregation_service.currencies import EXPONENTS, NUMBERS
from functions.bill_aggregation_service.model import LineKind

CURRENCY_NUMBERS: Mapping[str, str] = {code: number for number, code in NUMBERS.items()}

COMMODITIES: Mapping[str, str] = {
    "1": "electricity", "2": "electricity", "26": "electricity", "7": "gas", "8": "gas", "9": "water", "14": "water",
    "10": "heating", "12": "heating", "11": "sewerage", "23": "tv_licence", "24": "internet", "25": "waste",
}  # fmt: skip
"""CommodityKind → service type; what is left out (0: none) says nothing to a household."""
SERVICES: Mapping[str, str] = {
    "0": "electricity", "1": "gas", "2": "water", "4": "heating", "5": "waste", "6": "sewerage", "8": "tv_licence",
    "9": "internet",
}  # fmt: skip
"""ServiceKind, of a usage point."""
SERVICE_KINDS: Mapping[str, str] = {service: kind for kind, service in SERVICES.items()}
COMMODITY_KINDS: Mapping[str, str] = {
    "electricity": "1", "gas": "7", "water": "9", "heating": "12", "sewerage": "11", "tv_licence": "23",
    "internet": "24", "waste": "25",
}  # fmt: skip

UNITS: Mapping[str, tuple[str, int]] = {
    "31": ("MJ", -6), "42": ("m3", 0), "72": ("kWh", -3), "119": ("ft3", 0), "120": ("ft3", 0), "128": ("gal", 0),
    "130": ("imp_gal", 0), "132": ("Btu", 0), "134": ("l", 0), "156": ("l", 0), "157": ("l", 0), "166": ("m3", 0),
    "167": ("m3", 0), "169": ("therm", 0),
}  # fmt: skip
"""UnitSymbolKind → unit, and the power of ten that turns ESPI's unit into it (Wh into kWh)."""
UNIT_KINDS: Mapping[str, tuple[str, int]] = {
    "MJ": ("31", 6), "m3": ("42", 0), "kWh": ("72", 3), "ft3": ("119", 0), "gal": ("128", 0), "imp_gal": ("130", 0),
    "Btu": ("132", 0), "l": ("134", 0), "therm": ("169", 0),
}  # fmt: skip

ITEM_KINDS: Mapping[str, LineKind] = {
    "1": LineKind.GENERATION, "2": LineKind.DELIVERY, "3": LineKind.USAGE, "4": LineKind.FEE, "5": LineKind.TAX,
    "6": LineKind.CREDIT, "7": LineKind.CREDIT, "8": LineKind.CREDIT, "9": LineKind.PAYMENT, "10": LineKind.OTHER,
}  # fmt: skip
LINE_KINDS: Mapping[LineKind, str] = {
    LineKind.GENERATION: "1", LineKind.DELIVERY: "2", LineKind.USAGE: "3", LineKind.FEE: "4", LineKind.TAX: "5",
    LineKind.CREDIT: "8", LineKind.PAYMENT: "9", LineKind.OTHER: "10",
}  # fmt: skip


def currency_of(text: str) -> str | None:
    """The ISO 4217 code that a file names: by its number, as the standard wants it, or in letters, as some write it.

    None for one that does not exist. `text` is not empty and not 0, which stands for "another one".
    """
    if text.isascii() and text.isdigit():
        return NUMBERS.get(text.zfill(3))
    code = text.upper()
    return code if code in EXPONENTS else None
