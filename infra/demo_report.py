"""What the demo checks and shows: no network here."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from infra.client import Aggregation, Json

UTILITIES = ("prv_northwind_power", "prv_greenline_gas", "prv_clearwater", "prv_fibernet")
"""The sandbox's four, see docs/sandbox.md."""
RIGHT_ANSWERS = frozenset({"fresh", "cached"})
MINOR_DIGITS = {"JPY": 0, "KRW": 0, "BHD": 3, "KWD": 3}  # ISO 4217; two for all others that occur here


@dataclass(frozen=True)
class Link:
    link_id: str
    provider: str
    scenario: str


def lacking(links: Sequence[Link], bills: Sequence[Json]) -> list[str]:
    """Providers whose link has no bill."""
    counts = Counter(bill["link_id"] for bill in bills)
    return [link.provider for link in links if not counts[link.link_id]]


def not_exactly_one(links: Sequence[Link], bills: Sequence[Json]) -> list[str]:
    counts = Counter(bill["link_id"] for bill in bills)
    return [f"{link.provider} (there are {counts[link.link_id]})" for link in links if counts[link.link_id] != 1]


def new_bills(before: Sequence[Json], after: Sequence[Json]) -> list[Json]:
    known = {bill["bill_id"] for bill in before}
    return [bill for bill in after if bill["bill_id"] not in known]


def lost_bills(before: Aggregation, after: Aggregation) -> list[str]:
    lost = new_bills(after.items, before.items)
    return [f"{len(lost)} bills that were there before"] if lost else []


def source_faults(good: Sequence[Link], bad: Sequence[Link], seen: Aggregation) -> list[str]:
    """What is wrong with the rows in `sources`: the bad links must say why, the good ones must not suffer."""
    wanted = {"bad_login": ("action_required", "invalid_credentials"), "down": ("failed", "provider_unavailable")}
    faults = []
    for link in bad:
        said = _outcome(seen.source(link.link_id))
        if said != wanted[link.scenario]:
            faults.append(f"{link.provider} ({link.scenario}) to say {wanted[link.scenario]}, it says {said}")
    for link in good:
        said = _outcome(seen.source(link.link_id))
        if said[0] not in RIGHT_ANSWERS or said[1]:
            faults.append(f"{link.provider} ({link.scenario}) to be unaffected, it says {said}")
    return faults


def _outcome(source: Json) -> tuple[str, str]:
    return source.get("outcome", "no row"), (source.get("error") or {}).get("code", "")


def money(amount_minor: int, currency: str) -> str:
    """`-1234.50 EUR` for -123450 minor units."""
    digits = MINOR_DIGITS.get(currency, 2)
    whole, part = divmod(abs(amount_minor), 10**digits)
    sign = "-" if amount_minor < 0 else ""
    return f"{sign}{whole}{f'.{part:0{digits}}' if digits else ''} {currency}"


def progress_bar(done: int, total: int, width: int = 20) -> str:
    filled = width * done // total if total else 0
    return f"[{'█' * filled}{'·' * (width - filled)}] {done}/{total}"


def bill_table(bills: Sequence[Json], links: Sequence[Link]) -> str:
    names = {link.link_id: link.provider for link in links}
    rows = [
        (
            names[bill["link_id"]],
            f"{bill['period_start']} – {bill['period_end']}",
            bill.get("due_date") or "none",
            money(bill["amount_minor"], bill["currency"]),
            bill["status"],
        )
        for bill in sorted(bills, key=lambda bill: (names[bill["link_id"]], bill["period_start"]))
    ]
    return table(("provider", "period", "due date", "amount", "status"), rows, right=frozenset({"amount"}))


def source_table(links: Sequence[Link], seen: Aggregation) -> str:
    rows = []
    for link in links:
        source = seen.source(link.link_id)
        outcome, code = _outcome(source)
        rows.append(
            (link.provider, link.scenario, outcome, code, str(len(seen.of(link.link_id))), source.get("as_of") or "")
        )
    return table(("provider", "user name", "outcome", "error", "bills", "as of"), rows, right=frozenset({"bills"}))


def table(head: Sequence[str], rows: Sequence[Sequence[str]], right: frozenset[str] = frozenset()) -> str:
    """Plain text in columns; those named in `right` are flush right."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        columns = zip(head, cells, widths, strict=True)
        return "  ".join(f"{cell:{'>' if name in right else '<'}{width}}" for name, cell, width in columns).rstrip()

    return "\n".join([line(head), line(["─" * width for width in widths]), *map(line, rows)])
