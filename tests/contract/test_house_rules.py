"""House rules that are cheap to check."""

import ast
import re
from pathlib import Path

import pytest

from infra.reach import tree
from infra.settings import ROOT
from tests.contract.platform import BY_NAME, FUNCTION_LIST, FUNCTIONS, RESOURCES, SERVICES, sources

EVERY_SERVICE = {"__init__.py", "app.py", "bootstrap.py", "service.py", "README.md", "requirements.txt"}
# In quotes XXX is ISO 4217's code for no currency.
UNFINISHED = re.compile(
    r"\b(TODO|FIXME|HACK)\b|(?<![\"`])\bXXX\b|NotImplementedError\(|^\s*(pass|\.\.\.)\s*#\s*later", re.MULTILINE
)
# lambci_debug_files is where SAM's containers have their debugger
MACHINE = re.compile(r"/(home|root|Users|tmp)/(?!lambci_debug_files)\w|/work/(main|shared)")
MAX_STATEMENTS = 6  # of a handler, at its top level: parse, one use case, answer
TEXT = {".py", ".md", ".yaml", ".yml", ".toml", ".json", ".txt", ".in", ".sh", ".proto", ""}


def tracked(*folders: str) -> list[Path]:
    """Text files of the project under these folders, without what is generated at run time."""
    tops = [ROOT / folder for folder in folders]
    paths = [path for top in tops for path in ([top] if top.is_file() else sorted(top.rglob("*")))]
    return [path for path in paths if path.is_file() and path.suffix in TEXT and "__pycache__" not in path.parts]


SHIPPED = ("functions", "infra", "docs", "template.yaml", "Makefile", "README.md", "CONTRIBUTING.md", "samconfig.toml")


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_has_the_same_files(service: str) -> None:
    """`ls` shows the service; what only some need is there exactly where it is needed."""
    present = {path.name for path in (FUNCTIONS / service).iterdir()}
    functions = [function for function in FUNCTION_LIST if function.service == service]
    has_rpc = any(function.module.endswith("rpc") for function in functions)
    has_bodies = any(e["Method"] in {"post", "put", "patch"} for f in functions for e in f.events("Api"))
    has_table = any(name.endswith("_TABLE") for function in functions for name in function.environment)

    assert present >= EVERY_SERVICE
    assert ("rpc.py" in present) == has_rpc
    assert ("schemas.py" in present) >= has_bodies
    assert ("table.py" in present) == has_table
    assert ("model.py" in present) >= has_table
    assert ("migrations" in present) >= has_table


@pytest.mark.parametrize("service", SERVICES)
def test_migrations_are_numbered_and_go_both_ways(service: str) -> None:
    folder = FUNCTIONS / service / "migrations"
    names = sorted(path.name for path in folder.glob("*.py") if path.name != "__init__.py")

    assert all(re.fullmatch(r"\d{4}_[a-z0-9_]+\.py", name) for name in names)
    assert [int(name[:4]) for name in names] == list(range(1, len(names) + 1))
    for name in names:
        functions = {node.name for node in tree(folder / name).body if isinstance(node, ast.FunctionDef)}
        assert {"up", "down"} <= functions, name


@pytest.mark.parametrize("path", tracked(*SHIPPED), ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_is_left_unfinished_and_nothing_names_a_machine(path: Path) -> None:
    text = path.read_text()

    assert UNFINISHED.findall(text) == []
    assert MACHINE.findall(text) == []


def test_handlers_are_short() -> None:
    """Parse, call one use case, return."""
    long = {}
    for path in (path for path in sources() if path.name.endswith("app.py")):
        for node in tree(path).body:
            if isinstance(node, ast.FunctionDef) and node.decorator_list:
                body = node.body[1:] if ast.get_docstring(node) else node.body
                if len(body) > MAX_STATEMENTS:
                    long[f"{path.parent.name}.{node.name}"] = len(body)

    assert long == {}


def test_logs_have_key_fields_and_no_f_strings() -> None:
    for path in sources():
        for node in ast.walk(tree(path)):
            match node:
                case ast.Call(func=ast.Attribute(value=ast.Name(id="log"), attr=level), args=[message, *_]):
                    assert isinstance(message, ast.Constant), f"{path}: log.{level}"
                    assert re.fullmatch(r"[a-z_]+", str(message.value)), f"{path}: {message.value!r}"


def test_nobody_prints() -> None:
    for path in sources():
        for node in ast.walk(tree(path)):
            assert not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"), (
                path
            )


def test_no_branch_asks_whether_this_is_local() -> None:
    local = re.compile(r"4566|localstack|ministack|AWS_ENDPOINT_URL|is_local", re.IGNORECASE)
    for path in sources():
        nodes = list(ast.walk(tree(path)))
        prose = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
        texts = [str(n.value) for n in nodes if isinstance(n, ast.Constant) and id(n) not in prose]
        names = [node.id for node in nodes if isinstance(node, ast.Name)]
        assert [text for text in texts + names if local.search(text)] == [], path


def test_every_table_is_billed_by_request_and_encrypted() -> None:
    for name, resource in RESOURCES.items():
        if resource["Type"] == "AWS::DynamoDB::Table":
            assert resource["Properties"]["BillingMode"] == "PAY_PER_REQUEST", name
            assert resource["Properties"]["SSESpecification"]["SSEEnabled"] is True, name


def test_wrapped_keys_have_no_backup() -> None:
    keys = RESOURCES["LinkKeysTable"]["Properties"]

    assert keys["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"] is False


def test_no_policy_allows_everything() -> None:
    for function in FUNCTION_LIST:
        for policy in function.properties.get("Policies", []):
            for statement in policy["Statement"]:
                actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
                assert not any(action.endswith("*") for action in actions), function.name
                assert statement["Resource"] != "*", function.name
                assert "dynamodb:Scan" not in actions, function.name


def test_the_sandbox_is_deployed_only_where_it_is_asked_for() -> None:
    sandbox = {name for name, resource in RESOURCES.items() if resource.get("Condition") == "IsSandbox"}

    assert {"MockApi", "MockTable"} <= sandbox
    assert BY_NAME["MockApi"].service == "mock_api_service"
