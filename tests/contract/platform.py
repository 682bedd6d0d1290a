"""What the contract tests know of the platform: its services, its template, and what stands in the source."""

import ast
import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from functions.common.http.app import ServiceApp
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
    def service(self) -> str:
        return self.module.split(".")[1]

    @property
    def requirements(self) -> Path:
        """The list of what its artefact holds; functions with the same list have the same artefact."""
        return artefacts.requirements_of(str(self.properties["Handler"]))

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


# What a handler uses of its service's bootstrap, which has a builder for each thing that some function needs.

Definition = ast.FunctionDef | ast.ClassDef | ast.Assign


def definitions(module: ast.Module) -> dict[str, Definition]:
    found: dict[str, Definition] = {}
    for node in module.body:
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                found[name] = node
            case ast.Assign(targets=[ast.Name(id=name)]):
                found[name] = node
    return found


def names_within(node: ast.AST) -> set[str]:
    return {child.id for child in ast.walk(node) if isinstance(child, ast.Name)}


def closure(start: set[str], known: dict[str, Definition]) -> set[str]:
    """With what they name in turn."""
    found: set[str] = set()
    waiting = {name for name in start if name in known}
    while waiting:
        name = waiting.pop()
        found.add(name)
        waiting |= {other for other in names_within(known[name]) if other in known} - found
    return found


def builders_used(nodes: list[ast.AST]) -> set[str]:
    """`x` of each `bootstrap.x`, and each name: one may be imported from bootstrap."""
    attributes = {
        child.attr
        for node in nodes
        for child in ast.walk(node)
        if isinstance(child, ast.Attribute) and isinstance(child.value, ast.Name) and child.value.id == "bootstrap"
    }
    return attributes | {name for node in nodes for name in names_within(node)}


def handler_nodes(function: Function) -> list[ast.AST]:
    """What the handler consists of: the whole module for an app with routes, else what it names in turn."""
    module = tree(FUNCTIONS.joinpath(*function.module.split(".")[1:]).with_suffix(".py"))
    if isinstance(function.load(), ServiceApp):
        return [module]
    known = definitions(module)
    return [known[name] for name in closure({function.attribute}, known)]


def builders(function: Function) -> dict[str, Definition]:
    """What the handler has built, and all that takes, by its name in bootstrap.py."""
    known = definitions(tree(FUNCTIONS / function.service / "bootstrap.py"))
    return {name: known[name] for name in closure(builders_used(handler_nodes(function)), known)}


def modules_loaded(path: Path, function: Function) -> set[str]:
    """Modules that a file imports for this function, at once or later. Of bootstrap.py, which only handlers import,
    what other functions have built is left out."""
    if path != FUNCTIONS / function.service / "bootstrap.py":
        return imported_modules(path)
    built = builders(function)
    body = [
        node
        for node in tree(path).body
        if not isinstance(node, ast.FunctionDef | ast.ClassDef) or built.get(node.name) is node
    ]
    return {_module_of(name) for name in imports(ast.Module(body, []))}


@cache
def reachable(function: Function) -> frozenset[Path]:
    """Files of functions/ that are loaded with the handler or later on first use, packages' own files included."""
    found: set[Path] = set()
    waiting = [function.module]
    while waiting:
        name = waiting.pop()
        path = _file_of(name)
        if path is None or path in found:
            continue
        found.add(path)
        waiting += [other for other in modules_loaded(path, function) if other.startswith("functions.")]
        waiting += [name.rpartition(".")[0]] if "." in name else []
    return frozenset(found)
