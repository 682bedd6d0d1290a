"""Template and code say the same of routes and event sources, both ways."""

import re
from typing import Any

import pytest
from chalice.app import Chalice, ScheduledEventConfig, SQSEventConfig

from functions.common.http.app import ServiceApp
from functions.common.rpc.server import LambdaRpcHandler
from functions.contracts.routes import ROUTES
from infra.reach import imports, tree
from tests.contract.platform import BY_NAME, FUNCTION_LIST, RESOURCES, SERVICES, Function, sources
from tests.support.http import configure, request

HTTP = [function for function in FUNCTION_LIST if function.events("Api")]
CATCH_ALL = {"/", "/{proxy+}"}
SEVEN_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
# who has no token asks these; all others need one
PUBLIC = {
    ("POST", "/users"), ("POST", "/auth/login"), ("POST", "/auth/refresh"), ("GET", "/.well-known/jwks.json"),
    ("GET", "/health"), ("GET", "/openapi.json"), ("GET", "/docs"),
    ("POST", "/auth/verify-email/request"), ("POST", "/auth/verify-email"),
    ("POST", "/auth/password-reset/request"), ("POST", "/auth/password-reset"),
    ("POST", "/webhooks/providers/{provider_id}"),
}  # fmt: skip


def names(functions: list[Function]) -> list[str]:
    return [function.name for function in functions]


def in_template(function: Function) -> set[tuple[str, str]]:
    return {(event["Method"].upper(), event["Path"]) for event in function.events("Api")}


def in_code(app: Chalice) -> set[tuple[str, str]]:
    return {(method, path) for path, methods in app.routes.items() for method in methods}


@pytest.mark.parametrize("function", FUNCTION_LIST, ids=names(FUNCTION_LIST))
def test_every_handler_of_the_template_exists_and_is_callable(function: Function) -> None:
    assert callable(function.load())


@pytest.mark.parametrize("function", HTTP, ids=names(HTTP))
def test_the_routes_of_the_template_are_those_of_the_code(function: Function) -> None:
    app = function.load()

    assert isinstance(app, ServiceApp)
    assert in_template(function) == in_code(app)


def test_every_app_with_routes_is_a_function_of_the_template() -> None:
    wanted = set()
    for service in SERVICES:
        for path in sources(service):
            names_imported = set(imports(tree(path)))
            if "functions.common.http.app.ServiceApp" in names_imported:
                wanted.add(f"functions.{service}.{path.stem}.app")

    assert wanted == {str(function.properties["Handler"]) for function in HTTP}


def test_no_route_belongs_to_two_functions() -> None:
    routes = [route for function in HTTP for route in in_template(function)]

    assert sorted(routes) == sorted(set(routes))


def test_every_route_hangs_on_the_one_api() -> None:
    for function in HTTP:
        assert {str(event["RestApiId"]) for event in function.events("Api")} == {str({"Ref": "Api"})}, function.name


def test_the_catch_all_takes_seven_methods_of_each_path() -> None:
    assert in_template(BY_NAME["FrontDoor"]) == {(method, path) for method in SEVEN_METHODS for path in CATCH_ALL}


def test_the_front_door_knows_every_other_route() -> None:
    others = {route for function in HTTP if function.name != "FrontDoor" for route in in_template(function)}

    assert {(method, path) for path, methods in ROUTES.items() for method in methods} == others


def test_path_parameters_are_the_arguments_of_their_handlers() -> None:
    for function in HTTP:
        for path, methods in function.load().routes.items():
            for entry in methods.values():
                assert entry.view_args == [part.strip("{}") for part in re.findall(r"\{\w+\}", path)], path


def as_get(method: str) -> str:
    return "GET" if method == "HEAD" else method


def routes_of_services() -> list[tuple[Function, str, str]]:
    return [
        (function, method, path)
        for function in HTTP
        if function.name != "FrontDoor"
        for method, path in sorted(in_template(function))
    ]


@pytest.mark.parametrize(
    ("function", "method", "path"),
    routes_of_services(),
    ids=[f"{method} {path}" for _, method, path in routes_of_services()],
)
def test_every_route_needs_a_token_but_for_those_that_are_public(function: Function, method: str, path: str) -> None:
    app = function.load()
    spec = app.specs[path, method]
    if spec.public:
        assert (as_get(method), path) in PUBLIC or path.startswith("/mock/"), "public, but not in PUBLIC"
        return

    kept = {name: app.__dict__[name] for name in ("settings", "cache", "verifier") if name in app.__dict__}
    configure(app)
    try:
        values = dict.fromkeys(re.findall(r"\{(\w+)\}", path), "x")
        for bearer in (None, "tampered"):
            result = request(app, method, path, path=values, bearer=bearer)
            assert result.status == 401
            assert result.text == "" if method == "HEAD" else result.json["code"] == "unauthenticated"
            assert result.headers["WWW-Authenticate"].startswith("Bearer ")
    finally:
        for name in ("settings", "cache", "verifier"):
            app.__dict__.pop(name)
        app.__dict__.update(kept)


def test_what_is_listed_as_public_is() -> None:
    apps = {route: function.load() for function in HTTP for route in in_template(function)}

    for method, path in PUBLIC:
        assert apps[method, path].specs[path, method].public, path


def test_controls_of_the_sandbox_need_the_admin_role() -> None:
    app = BY_NAME["MockApi"].load()

    for (path, method), spec in app.specs.items():
        if path.startswith(("/mock/clock", "/mock/outages", "/mock/scenarios", "/mock/bills")) and method != "GET":
            assert spec.role == "admin", path


# queues and schedules


def queue_name(arn: Any) -> str:  # Any: YAML
    """Logical id of the queue in `!GetAtt Queue.Arn`."""
    return str(arn["Fn::GetAtt"]).partition(".")[0] if isinstance(arn["Fn::GetAtt"], str) else str(arn["Fn::GetAtt"][0])


Source = tuple[str, str, str, int]


def sources_in_template() -> set[Source]:
    found: set[Source] = set()
    for function in FUNCTION_LIST:
        handler = str(function.properties["Handler"])
        found |= {("queue", handler, queue_name(e["Queue"]), e["BatchSize"]) for e in function.events("SQS")}
        found |= {("schedule", handler, e["Schedule"], 0) for e in function.events("Schedule")}
    return found


def sources_in_code() -> set[Source]:
    found: set[Source] = set()
    for module in {f.module for f in FUNCTION_LIST if f.module.endswith("app")}:
        app = next(f for f in FUNCTION_LIST if f.module == module).load()
        if not isinstance(app, Chalice):
            app = __import__(module, fromlist=["app"]).app
        for source in app.event_sources:
            handler = f"{module}.{source.handler_string.rpartition('.')[2]}"
            if isinstance(source, SQSEventConfig):
                found.add(("queue", handler, str(source.queue), source.batch_size))
            elif isinstance(source, ScheduledEventConfig):
                found.add(("schedule", handler, str(source.schedule_expression), 0))
    return found


def test_the_event_sources_of_the_template_are_those_of_the_code() -> None:
    assert sources_in_template() == sources_in_code()


def test_a_function_has_one_kind_of_trigger() -> None:
    """Anything else than an API event, a queue or a schedule would be untested here; RPC functions have none."""
    for function in FUNCTION_LIST:
        kinds = {event["Type"] for event in function.properties.get("Events", {}).values()}
        assert kinds in ({"Api"}, {"SQS"}, {"Schedule"}, set()), function.name
        assert bool(kinds) != isinstance(function.load(), LambdaRpcHandler), function.name


SQS = [function for function in FUNCTION_LIST if function.events("SQS")]


@pytest.mark.parametrize("function", SQS, ids=names(SQS))
def test_a_queue_is_read_so_that_nothing_is_lost(function: Function) -> None:
    for event in function.events("SQS"):
        assert event["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
        queue = RESOURCES[queue_name(event["Queue"])]["Properties"]
        assert queue["VisibilityTimeout"] > function.timeout
        dead = RESOURCES[queue_name(queue["RedrivePolicy"]["deadLetterTargetArn"])]
        assert dead["Type"] == "AWS::SQS::Queue"
        deliveries = queue["RedrivePolicy"]["maxReceiveCount"]
        assert deliveries >= 3
        # what is not asked for again, by the sweep or the user, must outlive an hour in which a service is down
        asked_again = queue_name(event["Queue"]) in {"RefreshQueue", "ImportQueue"}
        assert asked_again or deliveries * queue["VisibilityTimeout"] >= 3600
        assert dead["Properties"]["MessageRetentionPeriod"] >= queue["MessageRetentionPeriod"]


@pytest.mark.parametrize("function", SQS, ids=names(SQS))
def test_a_worker_gives_up_when_its_queue_would_and_into_the_same_dead_letter_queue(function: Function) -> None:
    """What the worker moves itself has a reason; what the queue moves has none."""
    (event,) = function.events("SQS")
    policy = RESOURCES[queue_name(event["Queue"])]["Properties"]["RedrivePolicy"]

    assert function.environment["MAX_DELIVERIES"] == str(policy["maxReceiveCount"])
    assert function.environment["DEAD_LETTER_QUEUE_URL"] == {"Ref": queue_name(policy["deadLetterTargetArn"])}


def test_every_dead_letter_queue_has_an_alarm() -> None:
    dead = {
        queue_name(resource["Properties"]["RedrivePolicy"]["deadLetterTargetArn"])
        for resource in RESOURCES.values()
        if resource["Type"] == "AWS::SQS::Queue" and "RedrivePolicy" in resource["Properties"]
    }
    watched = {
        queue_name(dimension["Value"])
        for resource in RESOURCES.values()
        if resource["Type"] == "AWS::CloudWatch::Alarm"
        for dimension in resource["Properties"].get("Dimensions", ())
        if dimension["Name"] == "QueueName"
    }

    assert dead
    assert dead <= watched
