"""The OpenAPI document is that of the code, is valid, and promises what the code answers."""

import inspect
import json
import re
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from functions.common import errors
from functions.common.http.problem import MEDIA_TYPE, problem
from functions.contracts.routes import ROUTES
from infra import docs, openapi
from infra.openapi_parts import WORDS
from infra.settings import ROOT
from tests.contract.test_routes import PUBLIC

DOCUMENT: dict[str, Any] = json.loads((ROOT / openapi.OUTPUT).read_text())
DOCUMENTED = {(method.upper(), path) for path, methods in DOCUMENT["paths"].items() for method in methods}
UTILITY = re.compile(r"/mock/(electricity|gas|water|internet)/")
REFUSALS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.AppError)]


def test_it_is_valid_openapi() -> None:
    OpenAPIV31SpecValidator(DOCUMENT).validate()

    assert DOCUMENT["openapi"].startswith("3.1.")


def test_it_is_what_the_code_gives() -> None:
    assert json.loads(json.dumps(openapi.Document(list(openapi.routes())).build())) == DOCUMENT, (
        "out of date: make docs"
    )
    assert openapi.generate in docs.GENERATORS


def test_every_route_is_in_it_and_nothing_else() -> None:
    routes = {(method, path) for path, methods in ROUTES.items() for method in methods}

    assert {(method, path) for method, path in routes if method != "HEAD" and not UTILITY.match(path)} == DOCUMENTED


def test_its_public_routes_are_those_that_are_listed() -> None:
    public = {
        (method.upper(), path)
        for path, methods in DOCUMENT["paths"].items()
        for method, operation in methods.items()
        if not operation["security"]
    }

    assert public == {(method, path) for method, path in PUBLIC if method != "HEAD"}


@pytest.mark.parametrize(("method", "path"), sorted(DOCUMENTED))
def test_an_operation_says_what_it_is(method: str, path: str) -> None:
    operation = DOCUMENT["paths"][path][method.lower()]

    assert operation["summary"]
    assert operation["tags"][0] in {tag["name"] for tag in DOCUMENT["tags"]}
    statuses = set(operation["responses"])
    assert {"429", "500", "503"} <= statuses
    assert ("401" in statuses) >= bool(operation["security"])
    assert ("404" in statuses) >= ("{" in path)
    assert ("422" in statuses) >= ("requestBody" in operation)
    assert [status for status in statuses if status.startswith("2")], "how it ends well"


def test_names_of_operations_differ() -> None:
    names = [operation["operationId"] for methods in DOCUMENT["paths"].values() for operation in methods.values()]

    assert len(names) == len(set(names))


def test_what_a_handler_reads_is_what_its_route_declares() -> None:
    for route in openapi.routes():
        source = inspect.getsource(inspect.unwrap(route.view.view_function))
        bodies, queries = (re.findall(rf"app\.{name}\((?:\w+\.)?(\w+)\)", source) for name in ("read", "read_query"))
        assert set(bodies) <= {route.spec.body.__name__ if route.spec.body else ""}, route.path
        assert set(queries) == ({route.spec.query.__name__} if route.spec.query else set()), route.path
        if not route.path.startswith(openapi.SIGNED):  # there the body is read once its signature is verified
            assert bool(route.spec.body) == ("app.read(" in source or "app.json_object(" in source), route.path


@pytest.mark.parametrize("kind", REFUSALS)
def test_a_problem_fits_its_schema(kind: type[errors.AppError]) -> None:
    status, headers, body = problem(kind("Something."), "/v1/bills")
    schema = {**DOCUMENT["components"]["schemas"]["Problem"], "$schema": "https://json-schema.org/draft/2020-12/schema"}

    jsonschema.Draft202012Validator(schema).validate(json.loads(body))

    assert headers["Content-Type"] == MEDIA_TYPE
    assert 400 <= status < 600
    assert status in WORDS or status in {405, 501}, "the front door's, or nobody's"
