"""What ships: contents and size of each artefact, and that it runs where nothing else is installed."""

import importlib.metadata
import importlib.util
import json
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from infra import artefacts
from infra.reach import modules_loaded, reachable
from infra.settings import ROOT, load
from tests.contract.platform import FUNCTION_LIST, FUNCTIONS, Function
from tests.support.artefacts import RUNTIME, files, zipped_size
from tests.support.artefacts import importable as importable_artefact
from tests.support.http import jwks, token

# in bytes, zipped: a cold start loads all of it
BUDGET, BUDGET_WITH_CRYPTOGRAPHY = 1_500_000, 6_500_000
NAMES = [function.name for function in FUNCTION_LIST]
# functions with the same list share their artefact
SHARING = {
    path: [function for function in FUNCTION_LIST if function.requirements == path]
    for path in sorted({function.requirements for function in FUNCTION_LIST})
}
EACH_LIST = pytest.mark.parametrize("listed", SHARING, ids=[str(path.relative_to(FUNCTIONS)) for path in SHARING])
NOT_SHIPPED = re.compile(
    r"(^|/)(tests?|\.[^/]+|requirements[\w-]*\.txt|README\.md|migrations|Makefile)(/|$)|\.(proto|pyi|pem|key|env|md|toml|ya?ml)$"
)
# tests of a library are in its own hands; ours must not ship at all
LIBRARY_FILES = re.compile(r"(^|/)(\.[^/]+|.*\.dist-info|bin)(/|$)|\.(pyi|proto)$")
# the other way that RPCs travel, for functions that do not run in Lambda; loaded by targets grpc://… alone
NOT_ON_LAMBDA = {artefacts.GRPC_CHANNEL}
SECRETS = re.compile(
    rb"AKIA[0-9A-Z]{16}|-----BEGIN [A-Z ]*PRIVATE KEY|aws_secret_access_key\s*=|eyJ[A-Za-z0-9_-]{20,}\.eyJ"
)


@pytest.mark.parametrize("name", NAMES)
def test_an_artefact_holds_its_own_service_and_no_other(artefact_folders: dict[str, Path], name: str) -> None:
    service = next(function.service for function in FUNCTION_LIST if function.name == name)
    package = artefact_folders[name] / "functions"

    assert {path.name for path in package.iterdir() if path.name != "__pycache__"} <= {
        "__init__.py", "common", "contracts", service,
    }  # fmt: skip
    own = {path.removeprefix("functions/") for path in files(artefact_folders[name]) if path.startswith("functions/")}
    assert {path for path in own if NOT_SHIPPED.search(path)} == set()


@EACH_LIST
def test_an_artefact_holds_the_modules_that_its_handlers_can_load_as_they_are(
    artefact_folders: dict[str, Path], listed: Path
) -> None:
    folder = artefact_folders[SHARING[listed][0].name]
    wanted = {path for function in SHARING[listed] for path in reachable(function.handler)} - NOT_ON_LAMBDA

    assert {path.relative_to(folder) for path in (folder / "functions").rglob("*.py")} == {
        path.relative_to(ROOT) for path in wanted
    }
    for path in wanted:
        assert (folder / path.relative_to(ROOT)).read_bytes() == path.read_bytes(), path


@EACH_LIST
def test_an_artefact_holds_the_packages_that_are_listed_and_nothing_else(
    artefact_folders: dict[str, Path], listed: Path
) -> None:
    folder = artefact_folders[SHARING[listed][0].name]
    allowed = {top for name in artefacts.names_in(listed) for top in top_level_names(name)}

    present = {path.name.partition(".")[0] for path in folder.iterdir()} - {"functions", "__pycache__"}

    assert present - allowed == set()
    assert [path for path in files(folder) if LIBRARY_FILES.search(path)] == []


@cache
def top_level_names(distribution: str) -> set[str]:
    try:
        paths = importlib.metadata.files(distribution) or ()
    except importlib.metadata.PackageNotFoundError:
        # what only an older interpreter needs is neither installed here nor shipped
        return set()
    return {path.parts[0].partition(".")[0] for path in paths if not path.parts[0].endswith(".dist-info")}


@EACH_LIST
def test_byte_code_is_there_for_the_interpreter_that_runs_it_and_for_no_other(
    artefact_folders: dict[str, Path], listed: Path
) -> None:
    folder = artefact_folders[SHARING[listed][0].name]
    python, _ = artefacts.runtime(load())
    compiled = [path for path in files(folder) if path.endswith(".pyc")]
    hosts_own = python == f"{sys.version_info.major}.{sys.version_info.minor}"

    tag = f".cpython-{python.replace('.', '')}.pyc"
    beside_source = [path for path in compiled if "/__pycache__/" in path]
    assert [path for path in beside_source if not path.endswith(tag)] == []
    in_place_of_source = set(compiled) - set(beside_source)
    assert {path.split("/")[0] for path in in_place_of_source} <= set(artefacts.COMPILED if hosts_own else ())
    for path in in_place_of_source:
        assert (folder / path).read_bytes()[:4] == importlib.util.MAGIC_NUMBER, path
    if hosts_own:
        for path in files(folder):
            if path.startswith("functions/") and path.endswith(".py"):
                parent, _, name = path.rpartition("/")
                assert f"{parent}/__pycache__/{name.removesuffix('.py')}{tag}" in compiled, path
    for path in compiled:
        assert str(ROOT).encode() not in (folder / path).read_bytes(), f"{path} names the building machine"


@EACH_LIST
def test_no_secret_ships(artefact_folders: dict[str, Path], listed: Path) -> None:
    folder = artefact_folders[SHARING[listed][0].name]

    for path in sorted((folder / "functions").rglob("*")):
        if path.is_file():
            assert not SECRETS.search(path.read_bytes()), path


@EACH_LIST
def test_an_artefact_keeps_its_budget(artefact_folders: dict[str, Path], listed: Path) -> None:
    folder = artefact_folders[SHARING[listed][0].name]
    budget = BUDGET_WITH_CRYPTOGRAPHY if (folder / "cryptography").exists() else BUDGET

    assert zipped_size(folder) <= budget


def test_functions_with_the_same_list_share_their_artefact(artefact_folders: dict[str, Path]) -> None:
    for first, *others in SHARING.values():
        for other in others:
            assert files(artefact_folders[other.name]) == files(artefact_folders[first.name]), other.name


def test_every_list_is_some_functions() -> None:
    assert sorted(FUNCTIONS.glob("*_service/requirements*.txt")) == list(SHARING)


def test_what_speaks_with_utilities_does_not_reach_the_function_that_faces_the_internet() -> None:
    """ADR 11."""
    by_name = {function.name: function for function in FUNCTION_LIST}
    speaks = FUNCTIONS / "bill_aggregation_service" / "adapters" / "http_client.py"

    assert speaks in reachable(by_name["BillRpc"].handler)
    assert [f.name for f in FUNCTION_LIST if f.events("Api") and speaks in reachable(f.handler)] == []


# requirements


def third_party(listed: Path) -> dict[str, str]:
    """Module → a file that imports it, of all that the handlers with this list can load."""
    found: dict[str, str] = {}
    for function in SHARING[listed]:
        for path in sorted(reachable(function.handler) - NOT_ON_LAMBDA):
            for module in modules_loaded(path, function.handler):
                top = module.split(".")[0]
                if top != "functions" and top not in sys.stdlib_module_names and not top.startswith("mypy_boto3"):
                    found.setdefault(top, str(path.relative_to(ROOT)))
    return found


def needed(distributions: set[str]) -> set[str]:
    """With what they need in turn."""
    found: set[str] = set()
    waiting = set(distributions)
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        for requirement in importlib.metadata.requires(name) or ():
            if "extra ==" not in requirement:
                waiting.add(canonical(re.split(r"[\s<>=!~;\[(]", requirement, maxsplit=1)[0]))
        waiting = {other for other in waiting if installed(other)}
    return found


def installed(distribution: str) -> bool:
    try:
        importlib.metadata.distribution(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@cache
def distributions() -> dict[str, list[str]]:
    return {
        module: [canonical(name) for name in names]
        for module, names in importlib.metadata.packages_distributions().items()
    }


@EACH_LIST
def test_every_import_is_met_by_the_requirements(listed: Path) -> None:
    names = set(map(canonical, artefacts.names_in(listed)))

    missing = {
        module: path
        for module, path in third_party(listed).items()
        if module not in RUNTIME and not names & set(distributions()[module])
    }

    assert missing == {}


@EACH_LIST
def test_nothing_is_required_that_nothing_imports(listed: Path) -> None:
    imported = {name for module in third_party(listed) if module not in RUNTIME for name in distributions()[module]}
    if "jwt" in third_party(listed):
        imported.add("cryptography")  # PyJWT's optional part, for ES256
    zones = {"tzdata"}  # zoneinfo finds it by itself
    backports = {"async-timeout"}  # redis, on a Python before 3.11.3

    unneeded = set(map(canonical, artefacts.names_in(listed))) - needed(imported) - zones - backports

    assert unneeded == set()


# where nothing else is installed


BARE = """
import sys
sys.path[:0] = sys.argv[1:3]
import importlib, json
{body}
"""


def run_bare(artefact: Path, runtime: Path, body: str, *arguments: str, env: dict[str, str] | None = None) -> Any:
    """What `body` prints last, as JSON, in an interpreter that has the artefact and Lambda's own libraries only."""
    command = [sys.executable, "-I", "-S", "-B", "-c", BARE.replace("{body}", body), str(artefact), str(runtime)]
    done = subprocess.run([*command, *arguments], env=env or {}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stderr}\n{done.stdout}"
    return json.loads(done.stdout.splitlines()[-1])


IMPORT_ALL = """
for name in sys.argv[3:]:
    importlib.import_module(name)
import sysconfig
known = (sys.argv[1], sys.argv[2], sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"))
files = [module.__file__ for module in list(sys.modules.values()) if getattr(module, "__file__", None)]
print(json.dumps([file for file in files if not file.startswith(known)]))
"""


@EACH_LIST
def test_everything_that_a_handler_can_load_loads(importable: dict[Path, Path], runtime: Path, listed: Path) -> None:
    modules = set(third_party(listed))
    for function in SHARING[listed]:
        for path in reachable(function.handler) - NOT_ON_LAMBDA:
            parts = path.relative_to(ROOT).with_suffix("").parts
            modules.add(".".join(parts[:-1] if parts[-1] == "__init__" else parts))

    strangers = run_bare(importable[listed], runtime, IMPORT_ALL, *sorted(modules))

    assert strangers == []


INVOKE = """
module, attribute, events = sys.argv[3], sys.argv[4], json.loads(sys.argv[5])
handler = getattr(importlib.import_module(module), attribute)
answers = [handler(event, None) for event in events]
print(json.dumps(answers))
"""


def gateway_event(method: str, resource: str, bearer: str = "", proxy: str = "") -> dict[str, Any]:
    values = dict.fromkeys(re.findall(r"\{(\w+)\+?\}", resource), proxy or "x")
    path = re.sub(r"\{(\w+)\+?\}", lambda found: values[found[1]], resource)
    return {
        "headers": {"Authorization": f"Bearer {bearer}"} if bearer else None, "multiValueQueryStringParameters": None,
        "pathParameters": values or None, "stageVariables": None, "body": None, "isBase64Encoded": False,
        "requestContext": {
            "httpMethod": method, "resourcePath": resource, "path": f"/v1{path}", "stage": "v1",
            "identity": {"sourceIp": "192.0.2.1"},
        },
    }  # fmt: skip


def environment(function: Function) -> dict[str, str]:
    """As on Lambda, with targets that lead nowhere."""
    own = {name: "lambda:nobody" if name.startswith("RPC_") else "nothing" for name in function.environment}
    own |= {name: "600" for name in own if name.endswith(("_PER_MINUTE", "_DELIVERIES", "_BYTES"))}
    # nobody listens there: the cache is tried, which loads redis, and done without
    own |= {"JWKS": jwks(), "CACHE_URL": "redis://127.0.0.1:1/0", "SANDBOX": "true", "LOG_LEVEL": "INFO"}
    return own | {"AWS_DEFAULT_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none"}


HTTP = [function for function in FUNCTION_LIST if function.events("Api")]


@pytest.mark.parametrize("function", HTTP, ids=[function.name for function in HTTP])
def test_an_http_function_answers(importable: dict[Path, Path], runtime: Path, function: Function) -> None:
    routes = [(event["Method"].upper(), event["Path"]) for event in function.events("Api")]
    specs = function.load().specs
    locked = [(method, path) for method, path in routes if not specs[path, method].public]
    events = [gateway_event("GET", "/nowhere")]
    for method, path in locked:
        events += [gateway_event(method, path), gateway_event(method, path, token(exp=1))]
    if function.name == "FrontDoor":
        events += [gateway_event("GET", "/{proxy+}", proxy="nowhere"), gateway_event("PUT", "/{proxy+}", proxy="bills")]

    answers = run_bare(
        importable[function.requirements], runtime, INVOKE, function.module, function.attribute, json.dumps(events),
        env=environment(function),
    )  # fmt: skip

    expected = [404, *[401, 401] * len(locked), *([404, 405] if function.name == "FrontDoor" else [])]
    assert [answer["statusCode"] for answer in answers] == expected
    for answer in answers[1 : 1 + 2 * len(locked)]:
        assert answer["headers"]["WWW-Authenticate"].startswith("Bearer")
    # the expired token was signed by the right key: cryptography is there and works
    assert all(
        "invalid_token" in answer["headers"]["WWW-Authenticate"] for answer in answers[2 : 2 * len(locked) + 1 : 2]
    )


RPC = [function for function in FUNCTION_LIST if function.module.endswith("rpc")]


@pytest.mark.parametrize("function", RPC, ids=[function.name for function in RPC])
def test_an_rpc_function_answers(importable: dict[Path, Path], runtime: Path, function: Function) -> None:
    call = {"method": "no.such.Service/Method", "message": "", "timeout_ms": 1000, "correlation_id": "a"}

    answers = run_bare(
        importable[function.requirements], runtime, INVOKE, function.module, function.attribute, json.dumps([{}, call]),
        env=environment(function),
    )  # fmt: skip

    assert [answer["status"] for answer in answers] == [3, 12]  # INVALID_ARGUMENT, UNIMPLEMENTED


WORKERS = [function for function in FUNCTION_LIST if function.events("SQS")]


@pytest.mark.parametrize("function", WORKERS, ids=[function.name for function in WORKERS])
def test_a_worker_answers(importable: dict[Path, Path], runtime: Path, function: Function) -> None:
    events = [{"Records": []}, {"Records": [{"messageId": "m-1", "body": "no event", "receiptHandle": ""}]}]

    answers = run_bare(
        importable[function.requirements], runtime, INVOKE, function.module, function.attribute, json.dumps(events),
        env=environment(function),
    )  # fmt: skip

    assert answers == [{"batchItemFailures": []}, {"batchItemFailures": [{"itemIdentifier": "m-1"}]}]


SNAPSHOT = """
from types import SimpleNamespace
hooks = {}
sys.modules["snapshot_restore_py"] = SimpleNamespace(
    register_before_snapshot=lambda hook: hooks.update(before=hook),
    register_after_restore=lambda hook: hooks.update(after=hook),
)
import os
os.environ["AWS_LAMBDA_INITIALIZATION_TYPE"] = "snap-start"
importlib.import_module(sys.argv[3])
hooks["before"]()
before = set(sys.modules)
hooks["after"]()
print(json.dumps([name in before for name in sys.argv[4:]]))
"""


@pytest.mark.parametrize("name", [name for name in NAMES if name.endswith("Api")])
def test_a_snapshot_holds_all_that_an_artefact_has(
    artefact_folders: dict[str, Path], runtime: Path, tmp_path: Path, name: str
) -> None:
    """In an interpreter without an environment or a network, as it is when a version is published."""
    function = next(function for function in FUNCTION_LIST if function.name == name)
    artefact = importable_artefact(name, tmp_path)
    own = [str(path.relative_to(ROOT))[:-3].replace("/", ".") for path in reachable(function.handler) - NOT_ON_LAMBDA]
    modules = [name.removesuffix(".__init__") for name in own]

    held = run_bare(artefact, runtime, SNAPSHOT, function.handler.rpartition(".")[0], *modules, "boto3", "redis", "jwt")

    assert [module for module, there in zip([*modules, "boto3", "redis", "jwt"], held, strict=True) if not there] == []
