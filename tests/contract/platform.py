"""What the contract tests know of the platform: its services, its template, and what stands in the source."""

import ast
import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from infra import template
from infra.settings import ROOT

FUNCTIONS = ROOT / "functions"
SERVICES = sorted(path.name for path in FUNCTIONS.glob("*_service") if path.is_dir())
TEMPLATE: dict[str, Any] = template.read()  # Any: a template is whatever YAML holds
RESOURCES: dict[str, dict[str, Any]] = TEMPLATE["Resources"]


@dataclass(frozen=True)
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
    def service(self) -> str:
        return self.module.split(".")[1]

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


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def imports(node: ast.AST) -> Iterator[str]:
    """Dotted names that are imported anywhere within `node`; what is imported for types alone is left out."""
    for child in ast.iter_child_nodes(node):
        match child:
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                continue
            case ast.Import(names=names):
                yield from (name.name for name in names)
            case ast.ImportFrom(module=str(module), names=names):
                yield from (f"{module}.{name.name}" for name in names)
            case _:
                yield from imports(child)


def imported_modules(path: Path) -> set[str]:
    """As `imports`, each as the module that is loaded: `functions.common.aws`, not `functions.common.aws.kms`."""
    return {_module_of(name) for name in imports(tree(path))}


def _module_of(name: str) -> str:
    if not name.startswith("functions."):
        return name
    while not _file_of(name):
        name = name.rpartition(".")[0]
    return name


def _file_of(module: str) -> Path | None:
    base = ROOT.joinpath(*module.split("."))
    return next((path for path in (base.with_suffix(".py"), base / "__init__.py") if path.exists()), None)


def reachable(module: str) -> set[Path]:
    """Files of functions/ that are loaded with `module` or later on first use, packages' own files included."""
    found: set[Path] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        path = _file_of(name)
        if path is None or path in found:
            continue
        found.add(path)
        waiting += [other for other in imported_modules(path) if other.startswith("functions.")]
        waiting += [name.rpartition(".")[0]] if "." in name else []
    return found
