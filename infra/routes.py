"""Writes functions/contracts/routes.py, by which the front door tells 404 from 405: `python -m infra.routes [--check]`.

The routes are those of the explicit Api events in template.yaml, without the catch-all itself.
"""

import sys
from collections import defaultdict
from pathlib import Path

from infra.console import Failure
from infra.settings import ROOT
from infra.template import functions

OUTPUT = ROOT / "functions" / "contracts" / "routes.py"
HEADER = '''"""Every route of the public API: path → methods. Written by `python -m infra.routes` from template.yaml."""

ROUTES: dict[str, tuple[str, ...]] = {
'''


def routes(template: Path | None = None) -> dict[str, tuple[str, ...]]:
    """Path → methods in upper case, both sorted."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for properties in functions(template).values():
        events = [event["Properties"] for event in properties.get("Events", {}).values() if event["Type"] == "Api"]
        if any(event["Path"].endswith("+}") for event in events):
            continue  # the catch-all
        for event in events:
            found[event["Path"]].add(event["Method"].upper())
    return {path: tuple(sorted(found[path])) for path in sorted(found)}


def render(table: dict[str, tuple[str, ...]]) -> str:
    return HEADER + "".join(f'    "{path}": {_tuple(methods)},\n' for path, methods in table.items()) + "}\n"


def _tuple(methods: tuple[str, ...]) -> str:
    """As the formatter leaves it."""
    return "(" + ", ".join(f'"{method}"' for method in methods) + ("," if len(methods) == 1 else "") + ")"


def write() -> None:
    OUTPUT.write_text(render(routes()))


def check() -> None:
    """Raises Failure when the committed file is not what the template says."""
    if not OUTPUT.exists() or OUTPUT.read_text() != render(routes()):
        raise Failure(f"{OUTPUT.relative_to(ROOT)} is out of date", "Run: python -m infra.routes")


if __name__ == "__main__":
    try:
        check() if "--check" in sys.argv else write()
    except Failure as failure:
        failure.show()
        sys.exit(1)
