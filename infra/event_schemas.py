"""Writes docs/events/<type>.json: for each event of the catalogue the JSON Schema of its whole CloudEvents document."""

import json
from pathlib import Path
from typing import Any

import msgspec

from functions.contracts.events.catalogue import CATALOGUE
from functions.contracts.events.envelope import CloudEvent, EventData

FOLDER = Path("docs/events")
DIALECT = "https://json-schema.org/draft/2020-12/schema"


def generate(into: Path) -> None:
    """Writes the schemas at their places under the folder `into`."""
    folder = into / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for name, cls in CATALOGUE.items():
        (folder / f"{name}.json").write_text(json.dumps(schema(cls), indent=2) + "\n")


def schema(cls: type[EventData]) -> dict[str, Any]:  # Any: JSON
    """The envelope's schema with the event's own type and data filled in."""
    (envelope, data), definitions = msgspec.json.schema_components((CloudEvent, cls), ref_template="#/$defs/{name}")
    document: dict[str, Any] = definitions.pop(envelope["$ref"].removeprefix("#/$defs/"))
    document["properties"] |= {
        "specversion": {"const": "1.0"},
        "type": {"const": cls.TYPE},
        "source": {"const": f"/billing/{cls.SOURCE}"},
        "datacontenttype": {"const": "application/json"},
        "time": {"type": "string", "format": "date-time"},
        "data": data,
    }
    document["required"] = [*document["required"], "specversion"]
    described = {"$schema": DIALECT, "title": cls.TYPE, "description": cls.__doc__ or ""}
    return {**described, **{k: v for k, v in document.items() if k != "title"}, "$defs": definitions}
