"""Each line of docs/security.md names the code that makes it so and the test that holds it; both are there."""

import ast
import re

import pytest

from infra.settings import ROOT

TEXT = (ROOT / "docs" / "security.md").read_text()
STANDS = TEXT.partition("## What stands")[2].partition("\n## ")[0]
ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")] for line in STANDS.splitlines() if line.startswith("| ")
]
CLAIMS = {row[0].strip("| "): row[1:] for row in ROWS[1:]}
TOPICS = (
    "Passwords",
    "Access tokens",
    "Key rotation",
    "Lock-out",
    "Limits",
    "Idempotency",
    "Own data",
    "Secrets",
    "Audit",
)


def quoted(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def defined(node: ast.Module | ast.ClassDef, prefix: str = "") -> set[str]:
    """Functions, and those of classes as `Class::function`."""
    found = {prefix + each.name for each in node.body if isinstance(each, ast.FunctionDef)}
    classes = [each for each in node.body if isinstance(each, ast.ClassDef)]
    return found.union(*(defined(each, f"{prefix}{each.name}::") for each in classes))


def test_every_topic_is_there() -> None:
    assert [topic for topic in TOPICS if not any(f"**{topic}**" in claim for claim in CLAIMS)] == []


@pytest.mark.parametrize("claim", CLAIMS)
def test_a_claim_names_code_and_tests_that_exist(claim: str) -> None:
    code, tests = (quoted(cell) for cell in CLAIMS[claim])

    assert code, "names no code"
    assert tests, "names no test"
    assert [path for path in code if not (ROOT / path).is_file()] == []
    for name in tests:
        path, _, test = name.partition("::")
        assert test in defined(ast.parse((ROOT / path).read_text())), name


def test_every_other_file_that_it_names_exists() -> None:
    paths = {text for text in quoted(TEXT) if re.fullmatch(r"(docs|functions|infra|tests)/[\w./-]+\.\w+", text)}

    assert [path for path in sorted(paths) if not (ROOT / path).is_file()] == []
