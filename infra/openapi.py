"""Writes docs/openapi/openapi.json: the whole public API as OpenAPI 3.1, from what the apps say of their routes.

What is left out: the catch-all, the sandbox's utilities (each speaks a format of its own; docs/sandbox.md), and HEAD,
which answers whatever GET answers.
"""

import importlib
import inspect
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus
from pathlib import Path
from types import ModuleType
from typing import Any  # Any: JSON

import msgspec

from functions.common.http.app import ServiceApp
from functions.common.http.problem import MEDIA_TYPE as PROBLEM
from functions.common.http.route import JSON, RouteSpec
from infra.openapi_parts import (
    BEFORE_THE_LIMIT,
    HEADERS,
    IDEMPOTENCY_KEY,
    IF_MATCH,
    IF_NONE_MATCH,
    INFO,
    ON_COUNTED_ANSWERS,
    ON_EVERY_ANSWER,
    OWN_HEADERS,
    PATH_PARAMETERS,
    PROBLEM_SCHEMA,
    SIGNATURE,
    WORDS,
    Json,
)
from infra.template import functions

OUTPUT = Path("docs/openapi/openapi.json")
SCHEMAS = "#/components/schemas/{name}"
UTILITIES = re.compile(r"/mock/(electricity|gas|water|internet)/")
SANDBOX = "/mock/"
SIGNED = "/webhooks/providers/"
"""Where utilities send webhooks, as Standard Webhooks has it."""
WITHOUT_BODY = frozenset({"GET", "HEAD", "DELETE"})


@dataclass(frozen=True)
class Route:
    app: ServiceApp
    module: ModuleType
    path: str
    method: str
    """In upper case, as Chalice has it."""

    @property
    def service(self) -> str:
        return self.module.__name__.split(".")[1]

    @property
    def spec(self) -> RouteSpec:
        return self.app.specs[self.path, self.method]

    @property
    def view(self) -> Any:  # Any: Chalice's entry of a route
        return self.app.routes[self.path][self.method]

    @property
    def operation_id(self) -> str:
        return str(self.view.view_name)

    @property
    def described(self) -> str:
        return inspect.getdoc(inspect.unwrap(self.view.view_function)) or ""


def generate(into: Path) -> None:
    """Writes the document at its place under the folder `into`."""
    path = into / OUTPUT
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(Document(list(routes())).build(), indent=2, ensure_ascii=False) + "\n")


def routes() -> Iterator[Route]:
    """Every route that the document tells of, by path."""
    handlers = {
        str(properties["Handler"])
        for properties in functions().values()
        if any(event["Type"] == "Api" for event in properties.get("Events", {}).values())
    }
    found = []
    for handler in handlers:
        module = importlib.import_module(handler.rpartition(".")[0])
        app = getattr(module, handler.rpartition(".")[2])
        found += [Route(app, module, path, method) for path, method in app.specs]
    yield from sorted((route for route in found if is_public_api(route)), key=lambda route: (route.path, route.method))


def is_public_api(route: Route) -> bool:
    catch_all = route.path in {"/", "/{proxy+}"}
    return not catch_all and route.method != "HEAD" and not UTILITIES.match(route.path)


class Document:
    def __init__(self, routes: Sequence[Route]) -> None:
        self._routes = routes

    def build(self) -> Json:
        paths: dict[str, Json] = {}
        for route in self._routes:
            paths.setdefault(route.path, {})[route.method.lower()] = self._operation(route)
        services = {
            route.service: inspect.getmodule(inspect.unwrap(route.view.view_function))
            for route in reversed(self._routes)  # a service with two apps is described by that of its first path
        }
        return {
            "openapi": "3.1.0",
            "info": INFO,
            "servers": [{"url": ".", "description": "Where this document was read."}],
            "tags": [
                {"name": _tag(service), "description": _first_paragraph(module.__doc__ or "")}
                for service, module in sorted(services.items())
            ],
            "paths": paths,
            "components": {
                "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
                "headers": HEADERS,
                "responses": {_name(status): _problem(status) for status in sorted(self._refusals)},
                "schemas": {**self._referred_to(), "Problem": PROBLEM_SCHEMA},
            },
        }

    def _referred_to(self) -> Json:
        references, definitions = self._schemas
        queries = {_referred(references[route.spec.query]) for route in self._routes if route.spec.query}
        return {name: schema for name, schema in definitions.items() if name not in queries}

    @property
    def _refusals(self) -> set[int]:
        return {status for route in self._routes for status in refusals(route)}

    @cached_property
    def _schemas(self) -> tuple[dict[type, Json], Json]:
        """Reference to each Struct that a route names, and the definitions of all that they need."""
        named = (kind for r in self._routes for kind in (r.spec.body, r.spec.query, r.spec.returns) if kind)
        kinds = list(dict.fromkeys(named))
        references, definitions = msgspec.json.schema_components(kinds, ref_template=SCHEMAS)
        return dict(zip(kinds, references, strict=True)), {
            name: _typed(definitions[name]) for name in sorted(definitions)
        }

    def _operation(self, route: Route) -> Json:
        spec = route.spec
        operation: Json = {
            "operationId": route.operation_id,
            "summary": spec.summary,
            "tags": [_tag(route.service)],
        }
        if description := self._description(route):
            operation["description"] = description
        if route.path.startswith(SANDBOX):
            operation["x-sandbox"] = True
        if route.spec.role:
            operation["x-role"] = route.spec.role
        operation["security"] = [] if spec.public else [{"bearer": []}]
        if parameters := self._parameters(route):
            operation["parameters"] = parameters
        if spec.body:
            schema = self._schemas[0][spec.body]
            content = {kind: {"schema": schema} for kind in spec.content_types}
            operation["requestBody"] = {"required": not spec.body_optional, "content": content}
        elif spec.content_types != (JSON,):
            content = {kind: {"schema": {"type": "string"}} for kind in spec.content_types}
            operation["requestBody"] = {"required": True, "content": content}
        operation["responses"] = (
            {str(spec.status): self._answer(spec)}
            | self._not_modified(route)
            | {str(status): {"$ref": f"#/components/responses/{_name(status)}"} for status in sorted(refusals(route))}
        )
        return operation

    def _description(self, route: Route) -> str:
        parts = [route.described]
        if route.spec.query:
            parts.append(self._query(route.spec.query).get("description", ""))
        if route.spec.role:
            parts.append(f"Needs the role {route.spec.role}.")
        if route.path.startswith(SANDBOX):
            parts.append("Only where the sandbox is deployed.")
        return " ".join(part for part in parts if part)

    def _parameters(self, route: Route) -> list[Json]:
        names = re.findall(r"\{(\w+)\}", route.path)
        found = [
            {
                "name": name,
                "in": "path",
                "required": True,
                "schema": {"type": "string", "pattern": PATH_PARAMETERS[name]},
            }
            for name in names
        ]
        if route.spec.query:
            schema = self._query(route.spec.query)
            for name, value in schema["properties"].items():
                required = name in schema.get("required", ())
                found.append({"name": name, "in": "query", "required": required, "schema": _without_null(value)})
        if route.path.startswith(SIGNED):
            found += SIGNATURE
        if route.spec.idempotent:
            found.append(IDEMPOTENCY_KEY)
        if route.spec.etag and route.method == "GET":
            found.append(IF_NONE_MATCH)
        return found + ([IF_MATCH] if HTTPStatus.PRECONDITION_FAILED in route.spec.errors else [])

    def _query(self, query: type[msgspec.Struct]) -> Json:
        """Its definition; parameters are told one by one, so nothing refers to it."""
        references, definitions = self._schemas
        definition: Json = definitions[_referred(references[query])]
        return definition

    def _answer(self, spec: RouteSpec) -> Json:
        replayed = ["Idempotency-Replayed"] if spec.idempotent else []
        tagged = ["ETag"] if spec.etag else []
        answer: Json = {
            "description": HTTPStatus(spec.status).phrase,
            "headers": _headers(*ON_EVERY_ANSWER, *ON_COUNTED_ANSWERS, *spec.headers, *replayed, *tagged),
        }
        if spec.status != HTTPStatus.NO_CONTENT:
            free = {"type": "object"} if spec.produces == JSON else {"type": "string"}
            schema = self._schemas[0][spec.returns] if spec.returns else free
            others = {kind: {"schema": {"type": "string"}} for kind in spec.also_produces}
            answer["content"] = {spec.produces: {"schema": schema}} | others
        return answer

    def _not_modified(self, route: Route) -> Json:
        if not (route.spec.etag and route.method == "GET"):
            return {}
        headers = _headers(*ON_EVERY_ANSWER, *ON_COUNTED_ANSWERS, "ETag")
        return {"304": {"description": "The caller has the newest copy.", "headers": headers}}


def refusals(route: Route) -> set[int]:
    """Statuses of every refusal that the route may answer."""
    spec = route.spec
    found = {429, 500, 503, *spec.errors}
    if route.method not in WITHOUT_BODY:
        found |= {400, 413, 415}
    if spec.body or spec.query or spec.idempotent:
        found |= {422}
    if spec.idempotent:
        found |= {409}
    if not spec.public:
        found |= {401}
    if spec.role:
        found |= {403}
    if "{" in route.path:
        found |= {404}
    return found


def _problem(status: int) -> Json:
    counted = () if status in BEFORE_THE_LIMIT else ON_COUNTED_ANSWERS
    return {
        "description": WORDS[status],
        "headers": _headers(*ON_EVERY_ANSWER, *counted, *OWN_HEADERS.get(status, ())),
        "content": {PROBLEM: {"schema": {"$ref": SCHEMAS.format(name="Problem")}}},
    }


def _headers(*names: str) -> Json:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _name(status: int) -> str:
    return HTTPStatus(status).phrase.title().replace(" ", "")


def _tag(service: str) -> str:
    return "sandbox" if service == "mock_api_service" else service.removesuffix("_service").replace("_", " ")


def _first_paragraph(text: str) -> str:
    return " ".join(text.partition("\n\n")[0].split())


def _referred(reference: Json) -> str:
    return str(reference["$ref"]).rpartition("/")[2]


def _typed(schema: Json) -> Json:
    """msgspec leaves an enumeration's type to be guessed from its values."""
    texts = "enum" in schema and all(isinstance(value, str) for value in schema["enum"])
    return {"type": "string", **schema} if texts else schema


def _without_null(schema: Json) -> Json:
    """A query parameter is there or not; it is never null."""
    kept = {key: value for key, value in schema.items() if key != "default" or value not in (None, "")}
    choices = [choice for choice in kept.pop("anyOf", ()) if choice != {"type": "null"}]
    return {**choices[0], **kept} if len(choices) == 1 else {**kept, **({"anyOf": choices} if choices else {})}
