"""The tables of docs/cost.md: `make cost` prints them, `make docs` puts them into the document."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from infra import cost
from infra.console import Failure, say
from infra.cost import Assumptions, Cost, Measured
from infra.prices import AS_OF, PAGES, PRICES, REGION
from infra.settings import ROOT

DOCUMENT = Path("docs/cost.md")
LINKS = (10_000, 1_000_000, 100_000_000)
REFRESHES = {"unchanged": "refresh_unchanged", "with a new bill": "refresh_with_a_new_bill"}


def run(factor: float) -> None:
    """Prints every table."""
    for name, text in tables(cost.read(), Assumptions(lambda_factor=factor)).items():
        say(f"{name}\n\n{text}\n")


def generate(into: Path) -> None:
    """Writes the document with its tables as they are now, at its place under the folder `into`."""
    text = (ROOT / DOCUMENT).read_text()
    for name, made in tables(cost.read(), Assumptions()).items():
        text = placed(text, name, made)
    path = into / DOCUMENT
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def placed(text: str, name: str, made: str) -> str:
    """The document with this table in its place. Raises Failure when it has none."""
    begin, end = f"<!-- {name}: made by make docs -->", f"<!-- end of {name} -->"
    before, found, rest = text.partition(begin)
    _, ended, after = rest.partition(end)
    if not (found and ended):
        raise Failure(f"{DOCUMENT} has no place for the table of {name}.", f"{begin} and {end}")
    return f"{before}{begin}\n\n{made}\n\n{end}{after}"


def tables(measured: Measured, assumed: Assumptions) -> dict[str, str]:
    """Each table of the document, by its name there."""
    renewed = {
        name: cost.times(cost.refresh(measured, flow, assumed, nat=True), 1000) for name, flow in REFRESHES.items()
    }
    deployed = cost.inventories()
    idle = {name: cost.idle_month(measured, has, assumed) for name, has in deployed.items()}
    months = {f"{links:,} links": cost.month(measured, deployed["prod"], assumed, links) for links in LINKS}
    return {
        "measurements": _measurements(measured),
        "cached reads": costs("per million", {"USD": cost.times(cost.cached_read(measured, assumed), 1e6)}),
        "refreshes": costs("USD per thousand", renewed),
        "looks": costs(
            "USD per thousand",
            {"looks at due dates": cost.times(cost.swept(measured, "look_at_a_due_date", assumed), 1000)},
        ),
        "idle month": costs("USD per month", idle, digits=2),
        "resources": _resources(deployed),
        "months": costs("USD per month", months, digits=0),
        "factors": _factors(measured),
        "prices": _prices(),
    }


def costs(title: str, columns: Mapping[str, Cost], digits: int = 4) -> str:
    """Rows by what is paid for, dearest first, and the sum; what costs nothing is left out."""
    names = {name for column in columns.values() for name, value in column.items() if value}
    dearest = sorted(names, key=lambda name: (-max(column.get(name, 0.0) for column in columns.values()), name))
    rows = [[f"`{name}`", *(_usd(column.get(name, 0.0), digits) for column in columns.values())] for name in dearest]
    rows.append(["**all**", *(f"**{_usd(sum(column.values()), digits)}**" for column in columns.values())])
    return markdown([title, *columns], rows)


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """The first column to the left, the others to the right."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _usd(value: float, digits: int) -> str:
    return f"{value:,.{digits}f}"


def _measurements(measured: Measured) -> str:
    about, flows = measured.about, measured.flows.values()
    calls = sorted({name for flow in flows for name in flow["calls"]})
    rows: dict[str, list[float]] = {
        "invocations of functions": [_sum(flow["functions"], "invocations") for flow in flows],
        "their milliseconds": [_sum(flow["functions"], "billed_ms") for flow in flows],
        **{name.replace("_", " "): [flow["calls"].get(name, 0.0) for flow in flows] for name in calls},
        "cache commands": [flow["cache"]["commands"] for flow in flows],
        "cache ECPUs": [flow["cache"]["ecpus"] for flow in flows],
        "bytes of log": [flow["log_bytes"] for flow in flows],
    }
    head = ["for one", *(name.replace("_", " ") for name in measured.flows)]
    told = f"{about['date']}, {about['machine']}, load {about['load']}; functions of {about['memory_mb']} MB."
    return f"{told}\n\n{markdown(head, ([name, *(_usd(value, 2) for value in row)] for name, row in rows.items()))}"


def _sum(functions: Mapping[str, Mapping[str, float]], what: str) -> float:
    return sum(each[what] for each in functions.values())


def _resources(deployed: Mapping[str, Mapping[str, int]]) -> str:
    names = sorted({name for has in deployed.values() for name in has})
    rows = [[name.replace("_", " "), *(str(has.get(name, 0)) for has in deployed.values())] for name in names]
    return markdown(["in the templates", *deployed], rows)


def _factors(measured: Measured) -> str:
    def row(factor: float) -> list[str]:
        assumed = Assumptions(lambda_factor=factor)
        read = sum(cost.cached_read(measured, assumed).values()) * 1e6
        renewed = sum(cost.refresh(measured, REFRESHES["unchanged"], assumed, nat=True).values()) * 1000
        return [f"{factor:g}", _usd(read, 2), _usd(renewed, 4)]

    head = ["milliseconds on Lambda for one here", "million cached reads", "thousand unchanged refreshes"]
    return markdown(head, map(row, (1.0, 2.0, 4.0)))


def _prices() -> str:
    lines = [f"List prices of {REGION} as of {AS_OF}, from pages below {PAGES}.", ""]
    lines += ["| name | USD | for | page |", "|---|---:|---|---|"]
    for name, price in PRICES.items():
        usd = f"{price.usd:.10f}".rstrip("0")
        usd += "0" * (2 - len(usd.partition(".")[2]))
        count = "1" if price.per == 1 else f"{price.per:,.0f}"
        lines.append(f"| `{name}` | {usd} | {count} {price.unit} | {price.page} |")
    return "\n".join(lines)
