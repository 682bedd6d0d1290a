"""Imports point inward, a service imports no other, and importing a handler costs and needs nothing."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from infra.reach import imported_modules, tree
from infra.settings import ROOT
from tests.contract.platform import FUNCTION_LIST, FUNCTIONS, SERVICES, sources
from tests.contract.platform import module_name as name_of

HANDLERS = sorted(
    name_of(path)
    for service in SERVICES
    for path in sources(service)
    if path.parent.name == service and path.stem in {function.module.rpartition(".")[2] for function in FUNCTION_LIST}
)
HEAVY = {"argon2", "boto3", "botocore", "cryptography", "jwt", "pynamodb", "redis", "requests"}
OUTWARD = {"argon2", "boto3", "botocore", "chalice", "os", "pynamodb", "redis", "requests", "urllib3"}


def top_level(path: Path) -> set[str]:
    return {module.split(".")[0] for module in imported_modules(path)}


def offenders(paths: list[Path], forbidden: set[str]) -> dict[str, list[str]]:
    found = {str(path.relative_to(ROOT)): sorted(top_level(path) & forbidden) for path in paths}
    return {path: modules for path, modules in found.items() if modules}


def services_imported(path: Path) -> set[str]:
    return {module.split(".")[1] for module in imported_modules(path) if module.startswith("functions.")} & set(
        SERVICES
    )


def test_there_are_seven_services() -> None:
    assert SERVICES == [
        "account_linking_service", "bill_aggregation_service", "broker_service", "listener_service",
        "mock_api_service", "user_service", "utility_provider_service",
    ]  # fmt: skip


@pytest.mark.parametrize("package", ["common", "contracts"])
def test_what_all_share_imports_no_service(package: str) -> None:
    assert {str(path): services_imported(path) for path in sources(package) if services_imported(path)} == {}


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_imports_no_other(service: str) -> None:
    assert {
        str(p): services_imported(p) - {service} for p in sources(service) if services_imported(p) - {service}
    } == {}


@pytest.mark.parametrize("service", SERVICES)
def test_a_function_imports_nothing_that_is_not_shipped(service: str) -> None:
    assert offenders(sources(service), {"infra", "tests", "aws_lambda_powertools", "moto", "pytest"}) == {}


@pytest.mark.parametrize("service", SERVICES)
def test_use_cases_know_no_framework(service: str) -> None:
    assert offenders([FUNCTIONS / service / "service.py"], OUTWARD) == {}


def test_domain_types_need_the_standard_library_only() -> None:
    allowed = {"functions.common.errors", "functions.common.clock", "functions.common.ids"}
    wrong = {}
    for path in sorted(FUNCTIONS.glob("*_service/model.py")):
        own = f"functions.{path.parent.name}."
        modules = {module for module in imported_modules(path) if not module.startswith(own)} - allowed
        wrong[str(path)] = {module for module in modules if module.split(".")[0] not in sys.stdlib_module_names}

    assert {path: modules for path, modules in wrong.items() if modules} == {}


def test_only_table_py_imports_pynamodb() -> None:
    found = offenders(sources(), {"pynamodb"})

    assert [path for path in found if not Path(path).name.endswith("table.py")] == []


def test_only_common_aws_py_imports_boto3() -> None:
    assert set(offenders(sources(), {"boto3"})) <= {"functions/common/aws.py"}


def test_a_handler_reaches_its_storage_in_three_files() -> None:
    """app.py → service.py → table.py: an app does not reach around its use cases."""
    wrong = {
        str(path.relative_to(ROOT)): sorted(m for m in imported_modules(path) if m.endswith(".table"))
        for path in sources()
        if path.name in {"front_door.py", "service.py", "model.py"}
        or path.name.endswith(("app.py", "rpc.py", "schemas.py"))
    }
    assert {path: modules for path, modules in wrong.items() if modules} == {}


def test_only_handlers_and_migrations_import_bootstrap() -> None:
    """What a function needs is read from what its handler has built (infra/reach.py)."""
    importers = [
        path for path in sources() if any(module.endswith("_service.bootstrap") for module in imported_modules(path))
    ]

    assert [
        str(path)
        for path in importers
        if name_of(path) not in {function.module for function in FUNCTION_LIST} and path.parent.name != "migrations"
    ] == []


def test_imports_are_absolute_and_nobody_touches_the_search_path() -> None:
    import ast

    for path in [*sources(), *sorted((ROOT / "infra").rglob("*.py"))]:
        for node in ast.walk(tree(path)):
            assert not (isinstance(node, ast.ImportFrom) and node.level), path
            assert not (
                isinstance(node, ast.Attribute)
                and node.attr == "path"
                and isinstance(node.value, ast.Name)
                and node.value.id == "sys"
            ), f"{path} speaks of the module search path"


ISOLATED = """
import sys
def no_network(event, arguments):
    if event.startswith("socket."):
        raise RuntimeError(f"{event} while importing")
sys.addaudithook(no_network)
sys.path.insert(0, sys.argv[1])
import importlib
importlib.import_module(sys.argv[2])
import json
print(json.dumps(sorted({name.split(".")[0] for name in sys.modules})))
"""


@pytest.mark.parametrize("module", HANDLERS)
def test_importing_a_handler_needs_no_environment_no_network_and_no_heavy_library(module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-B", "-c", ISOLATED, str(ROOT), module],
        env={}, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert HEAVY & set(json.loads(done.stdout)) == set()


def test_every_service_has_a_handler() -> None:
    assert {module.split(".")[1] for module in HANDLERS} == set(SERVICES)
