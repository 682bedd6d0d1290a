"""What a handler can load, read from the source: what its artefact holds, and what tests hold it to.

Imports are followed wherever they stand, also within functions; those for types alone are not. Of a service's
bootstrap.py, which has a builder for each thing that some function needs, only what the handler has built counts.
"""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from infra.settings import ROOT

FUNCTIONS = ROOT / "functions"
Definition = ast.FunctionDef | ast.ClassDef | ast.Assign


@cache
def reachable(handler: str) -> frozenset[Path]:
    """Files of functions/ that are loaded with `functions.<service>.<module>.<name>` or later on first use, packages'
    own files included."""
    found: set[Path] = set()
    waiting = [handler.rpartition(".")[0]]
    while waiting:
        name = waiting.pop()
        path = _file_of(name)
        if path is None or path in found:
            continue
        found.add(path)
        waiting += [other for other in modules_loaded(path, handler) if other.startswith("functions.")]
        waiting += [name.rpartition(".")[0]] if "." in name else []
    return frozenset(found)


def modules_loaded(path: Path, handler: str) -> set[str]:
    """Modules that a file imports for this handler, at once or later."""
    if path != _bootstrap(handler):
        return imported_modules(path)
    built = builders(handler)
    body = [
        node
        for node in tree(path).body
        if not isinstance(node, ast.FunctionDef | ast.ClassDef) or built.get(node.name) is node
    ]
    return {_module_of(name) for name in imports(ast.Module(body, []))}


def builders(handler: str) -> dict[str, Definition]:
    """What the handler has built, and all that takes, by its name in bootstrap.py."""
    known = _definitions(tree(_bootstrap(handler)))
    return {name: known[name] for name in _closure(_builders_used(_handler_nodes(handler)), known)}


def imported_modules(path: Path) -> set[str]:
    """As modules that are loaded: `functions.common.aws`, not `functions.common.aws.kms`."""
    return {_module_of(name) for name in imports(tree(path))}


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def imports(node: ast.AST) -> Iterator[str]:
    """Dotted names that are imported anywhere within `node`."""
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


def _module_of(name: str) -> str:
    if not name.startswith("functions."):
        return name
    while not _file_of(name):
        name = name.rpartition(".")[0]
    return name


def _file_of(module: str) -> Path | None:
    base = ROOT.joinpath(*module.split("."))
    return next((path for path in (base.with_suffix(".py"), base / "__init__.py") if path.exists()), None)


def _bootstrap(handler: str) -> Path:
    return FUNCTIONS / handler.split(".")[1] / "bootstrap.py"


def _handler_nodes(handler: str) -> list[ast.AST]:
    """What the handler consists of: the whole module for an app with routes, else what it names in turn."""
    name, _, attribute = handler.rpartition(".")
    path = _file_of(name)
    if path is None:
        raise FileNotFoundError(name)
    module = tree(path)
    functions = [node for node in module.body if isinstance(node, ast.FunctionDef)]
    if any(attribute in _names_within(decorator) for node in functions for decorator in node.decorator_list):
        return [module]
    known = _definitions(module)
    return [known[name] for name in _closure({attribute}, known)]


def _builders_used(nodes: list[ast.AST]) -> set[str]:
    """`x` of each `bootstrap.x`, and each name: one may be imported from bootstrap."""
    attributes = {
        child.attr
        for node in nodes
        for child in ast.walk(node)
        if isinstance(child, ast.Attribute) and isinstance(child.value, ast.Name) and child.value.id == "bootstrap"
    }
    return attributes | {name for node in nodes for name in _names_within(node)}


def _definitions(module: ast.Module) -> dict[str, Definition]:
    found: dict[str, Definition] = {}
    for node in module.body:
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                found[name] = node
            case ast.Assign(targets=[ast.Name(id=name)]):
                found[name] = node
    return found


def _names_within(node: ast.AST) -> set[str]:
    return {child.id for child in ast.walk(node) if isinstance(child, ast.Name)}


def _closure(start: set[str], known: dict[str, Definition]) -> set[str]:
    """With what they name in turn."""
    found: set[str] = set()
    waiting = {name for name in start if name in known}
    while waiting:
        name = waiting.pop()
        found.add(name)
        waiting |= {other for other in _names_within(known[name]) if other in known} - found
    return found
