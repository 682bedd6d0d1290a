"""Green Button files as utilities give them out, put together by the test that needs one."""

from collections.abc import Iterable

FEB_1_2026 = 1769922000
"""Midnight in New York."""
DAY = 86_400
USAGE_POINT = "/espi/1_1/resource/Subscription/5/UsagePoint/1"
PERIOD = f"<billingPeriod><duration>{28 * DAY}</duration><start>{FEB_1_2026}</start></billingPeriod>"
NEW_YORK = (
    "<LocalTimeParameters><dstEndRule>B40E2000</dstEndRule><dstOffset>3600</dstOffset>"
    "<dstStartRule>360E2000</dstStartRule><tzOffset>-18000</tzOffset></LocalTimeParameters>"
)


def summary(
    inner: str = "<billLastPeriod>6752000</billLastPeriod><currency>840</currency>", period: str = PERIOD
) -> str:
    return f"<UsageSummary>{period}{inner}</UsageSummary>"


def entry(
    resource: str, path: str = f"{USAGE_POINT}/UsageSummary/B-1", updated: str = "", related: Iterable[str] = ()
) -> str:
    links = f'<link rel="self" href="{path}"/><link rel="up" href="{path.rpartition("/")[0]}"/>'
    links += "".join(f'<link rel="related" href="{link}"/>' for link in related)
    stamp = f"<updated>{updated}</updated>" if updated else ""
    return f"<entry><id>urn:uuid:{path}</id>{links}<title/>{stamp}<content>{resource}</content></entry>"


def feed(*entries: str) -> bytes:
    return f'<feed xmlns="http://www.w3.org/2005/Atom" xmlns:espi="http://naesb.org/espi">{"".join(entries)}</feed>'.encode()


def usage_point(kind: str = "0", path: str = USAGE_POINT, related: Iterable[str] = ()) -> str:
    point = f"<UsagePoint><ServiceCategory><kind>{kind}</kind></ServiceCategory></UsagePoint>"
    return entry(point, path, related=related)


def local_time(number: int = 1, parameters: str = NEW_YORK) -> str:
    return entry(parameters, f"/espi/1_1/resource/LocalTimeParameters/{number}")


def line_item(amount: str, note: str = "Energy", kind: str = "3", more: str = "") -> str:
    inner = f"<amount>{amount}</amount><note>{note}</note>{more}<itemKind>{kind}</itemKind>"
    return f"<costAdditionalDetailLastPeriod>{inner}</costAdditionalDetailLastPeriod>"


def reading(start: int, days: float, cost: str = "", value: str = "100") -> str:
    paid = f"<cost>{cost}</cost>" if cost else ""
    period = f"<timePeriod><duration>{int(days * DAY)}</duration><start>{start}</start></timePeriod>"
    return f"<IntervalReading>{paid}{period}<value>{value}</value></IntervalReading>"


def interval_block(*readings: str, path: str = f"{USAGE_POINT}/MeterReading/1/IntervalBlock/1") -> str:
    whole = f"<interval><duration>{28 * DAY}</duration><start>{FEB_1_2026}</start></interval>"
    return entry(f"<IntervalBlock>{whole}{''.join(readings)}</IntervalBlock>", path)


def gas_meter(path: str = USAGE_POINT, currency: str = "<currency>840</currency>") -> tuple[str, str]:
    """A meter of therms, and its reading type."""
    kind = f"/espi/1_1/resource/ReadingType/{path.rpartition('/')[2]}"
    numbers = f"<commodity>7</commodity>{currency}<powerOfTenMultiplier>-1</powerOfTenMultiplier><uom>169</uom>"
    return (
        entry("<MeterReading/>", f"{path}/MeterReading/1", related=[f"{path}/MeterReading/1/IntervalBlock", kind]),
        entry(f"<ReadingType>{numbers}</ReadingType>", kind),
    )
