"""The template gives each function the variables that its settings need, and none that nobody reads.

Which settings a function loads is read from the source: its handler calls builders of its service's bootstrap, and
those call `load(SomeSettings, os.environ)`, themselves or through other functions there.
"""

import ast
import importlib
from collections.abc import Iterator
from dataclasses import MISSING, Field, fields
from typing import Any

import pytest

from functions.common.http.app import ServiceApp
from functions.common.rpc.grpc_channel import GrpcSettings
from functions.common.settings import ActionSettings, HttpSettings, IdempotencySettings, load
from infra.reach import builders, tree
from tests.contract.platform import FUNCTION_LIST, FUNCTIONS, SERVICES, TEMPLATE, Function

GLOBAL = set(TEMPLATE["Globals"]["Function"]["Environment"]["Variables"])


def loaded(nodes: list[ast.FunctionDef]) -> Iterator[str]:
    """Names of the classes in `load(Class, …)`."""
    for node in nodes:
        for child in ast.walk(node):
            match child:
                case ast.Call(func=ast.Name(id="load"), args=[ast.Name(id=name), *_]):
                    yield name


def settings_of(function: Function) -> list[type]:
    module = importlib.import_module(f"functions.{function.service}.bootstrap")
    names = loaded([node for node in builders(function.handler).values() if isinstance(node, ast.FunctionDef)])
    found: list[type] = [getattr(module, name) for name in sorted(set(names))]
    app = function.load()
    if isinstance(app, ServiceApp):
        found.append(HttpSettings)
        if any(spec.idempotent for spec in app.specs.values()):
            found.append(IdempotencySettings)
        if any(spec.role for spec in app.specs.values()):
            found.append(ActionSettings)
    return found


def variables(classes: list[type], *, required: bool = False) -> set[str]:
    return {field.name.upper() for cls in classes for field in fields(cls) if not required or is_required(field)}


def is_required(field: "Field[Any]") -> bool:  # Any: a field of any type
    return field.default is MISSING and field.default_factory is MISSING


def read_by_migrations(service: str) -> set[str]:
    """Names in `ctx.env[…]` and `ctx.env.get(…)`; a migration is given the environment of the API function."""
    found = set()
    for path in (FUNCTIONS / service / "migrations").glob("*.py"):
        for node in ast.walk(tree(path)):
            match node:
                case (
                    ast.Subscript(value=ast.Attribute(attr="env"), slice=ast.Constant(value=str(name)))
                    | ast.Call(
                        func=ast.Attribute(value=ast.Attribute(attr="env"), attr="get"),
                        args=[ast.Constant(value=str(name)), *_],
                    )
                ):
                    found.add(name)
    return found


NAMES = [function.name for function in FUNCTION_LIST]


@pytest.mark.parametrize("function", FUNCTION_LIST, ids=NAMES)
def test_a_function_is_given_every_variable_that_it_requires(function: Function) -> None:
    assert variables(settings_of(function), required=True) - set(function.environment) == set()


@pytest.mark.parametrize("function", FUNCTION_LIST, ids=NAMES)
def test_a_function_is_given_no_variable_that_it_does_not_read(function: Function) -> None:
    read = variables(settings_of(function)) | (
        read_by_migrations(function.service) if function.events("Api") else set()
    )
    if any(name.startswith("RPC_") for name in read):
        read |= variables([GrpcSettings])  # by common.rpc, where a target is a gRPC server

    assert set(function.environment) - read == set()


def test_all_functions_share_the_level_of_the_log_and_nothing_else() -> None:
    assert list(GLOBAL) == ["LOG_LEVEL"]


@pytest.mark.parametrize("function", [f for f in FUNCTION_LIST if f.events("Api")], ids=lambda function: function.name)
def test_an_http_function_has_keys_cache_and_limits(function: Function) -> None:
    limits = {name.upper() for name in HttpSettings.__dataclass_fields__ if name.endswith("_per_minute")}

    assert {"JWKS", "CACHE_URL", *limits} <= set(function.environment)


def settings_classes(service: str) -> list[type]:
    module = importlib.import_module(f"functions.{service}.bootstrap")
    return [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and value.__module__.startswith(f"functions.{service}.")
        and value.__name__.endswith("Settings")
    ]


@pytest.mark.parametrize("service", SERVICES)
def test_every_settings_class_is_frozen_and_loaded_by_a_function(service: str) -> None:
    used = {cls for function in FUNCTION_LIST if function.service == service for cls in settings_of(function)}
    bases = {base for cls in used for base in cls.__mro__}

    for cls in settings_classes(service):
        assert cls.__dataclass_params__.frozen, cls  # type: ignore[attr-defined]  # a dataclass has it
        assert cls in bases, f"{cls} is loaded by no function"


@pytest.mark.parametrize("function", FUNCTION_LIST, ids=NAMES)
def test_the_settings_load_from_what_the_template_gives(function: Function) -> None:
    """Types included: what the template writes out in full must parse; what it refers to is a text."""
    given = {name: value if isinstance(value, str) else "7" for name, value in function.environment.items()}
    given |= {"SANDBOX": "true"} if "SANDBOX" in given else {}

    for cls in settings_of(function):
        load(cls, given)
