"""What the contract tests know of the platform: its services, its template, and what stands in the source."""

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra import artefacts, template
from infra.settings import ROOT

FUNCTIONS = ROOT / "functions"
SERVICES = sorted(path.name for path in FUNCTIONS.glob("*_service") if path.is_dir())
TEMPLATE: dict[str, Any] = template.read()  # Any: a template is whatever YAML holds
RESOURCES: dict[str, dict[str, Any]] = TEMPLATE["Resources"]


@dataclass(frozen=True, eq=False)
class Function:
    """One function of the template."""

    name: str
    properties: dict[str, Any]

    @property
    def module(self) -> str:
        return str(self.properties["Handler"]).rpartition(".")[0]

    @property
    def attribute(self) -> str:
        return str(self.properties["Handler"]).rpartition(".")[2]

    @property
    def handler(self) -> str:
        return str(self.properties["Handler"])

    @property
    def service(self) -> str:
        return self.module.split(".")[1]

    @property
    def requirements(self) -> Path:
        """The list of what its artefact holds; functions with the same list have the same artefact."""
        return artefacts.requirements_of(self.handler)

    @property
    def environment(self) -> dict[str, Any]:
        """Its own variables; without those of all functions."""
        variables: dict[str, Any] = self.properties.get("Environment", {}).get("Variables", {})
        return variables

    @property
    def timeout(self) -> int:
        return int(self.properties.get("Timeout") or TEMPLATE["Globals"]["Function"]["Timeout"])

    def events(self, kind: str) -> list[dict[str, Any]]:
        return [event["Properties"] for event in self.properties.get("Events", {}).values() if event["Type"] == kind]

    def load(self) -> Any:  # Any: a Chalice app, an event handler or an RPC handler
        return getattr(importlib.import_module(self.module), self.attribute)


FUNCTION_LIST = [Function(name, properties) for name, properties in template.functions().items()]
BY_NAME = {function.name: function for function in FUNCTION_LIST}


def sources(*parts: str) -> list[Path]:
    """Every Python file under functions/<parts>, without generated code."""
    return sorted(path for path in FUNCTIONS.joinpath(*parts).rglob("*.py") if not path.name.endswith("_pb2.py"))


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
