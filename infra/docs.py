"""Files that are generated from the template and the code. `make lint` compares them with what is checked in."""

from collections.abc import Callable
from pathlib import Path

from infra import asyncapi, cost_tables, event_schemas, link_states, openapi, routes
from infra.settings import ROOT


def generate(into: Path) -> None:
    """Writes every generated file at its place under the folder `into`, which may be empty."""
    for generator in GENERATORS:
        generator(into)


def _routes(into: Path) -> None:
    path = into / routes.OUTPUT.relative_to(ROOT)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(routes.render(routes.routes()))


GENERATORS: list[Callable[[Path], None]] = [
    _routes,
    event_schemas.generate,
    asyncapi.generate,
    link_states.generate,
    openapi.generate,
    cost_tables.generate,
]
