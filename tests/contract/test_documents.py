"""What the documents say of commands, files and the code is so."""

import importlib.util
import re
from pathlib import Path

import pytest

from infra.settings import ROOT
from tests.contract.platform import FUNCTION_LIST, SERVICES
from tests.contract.test_rpc import HANDLERS

DOCUMENTS = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "functions/*/README.md", "requirements/*.md", "tests/**/*.md")
    for path in ROOT.glob(pattern)
)
MAKEFILE = (ROOT / "Makefile").read_text()
RULES = re.findall(r"^([A-Za-z_-]+):(?!=)([^\n]*)$", MAKEFILE, re.MULTILINE)
TARGETS = {name for name, rest in RULES if "##" in rest}
INTERNAL = {"broken"}  # makes the environment again when its interpreter is gone
NAMES = [str(path.relative_to(ROOT)) for path in DOCUMENTS]


def code_in(path: Path) -> list[str]:
    """Lines of code blocks, and code within a line of text."""
    text = path.read_text()
    blocks = re.findall(r"```[^\n]*\n(.*?)```", text, re.DOTALL)
    rest = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    indented = [line for line in rest.splitlines() if line.startswith("    ")]
    return [line for block in blocks for line in block.splitlines()] + indented + re.findall(r"`([^`\n]+)`", rest)


def commands_in(path: Path, program: str) -> list[str]:
    """What follows `program` where it is the command, after variables and prompts."""
    found = []
    for line in code_in(path):
        for part in re.split(r"&&|\|\||[;|]|\$\(", line.partition(" #")[0]):
            words = [word for word in part.split() if "=" not in word and word not in {"$", "time"}]
            if words and words[0] == program:
                found.append(" ".join(words[1:]))
    return found


def test_the_documents_are_there() -> None:
    wanted = {"README.md", "CONTRIBUTING.md", "docs/architecture.md"} | {f"functions/{s}/README.md" for s in SERVICES}

    assert wanted <= set(NAMES)
    assert len([name for name in NAMES if name.startswith("docs/adr/")]) >= 5


@pytest.mark.parametrize("path", DOCUMENTS, ids=NAMES)
def test_every_make_command_in_a_document_exists(path: Path) -> None:
    for command in commands_in(path, "make"):
        for word in command.split():
            if not word.startswith("-") and re.fullmatch(r"[a-z_-]+", word):
                assert word in TARGETS, f"make {command}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=NAMES)
def test_every_python_module_that_a_document_runs_exists(path: Path) -> None:
    for command in commands_in(path, "python"):
        found = re.match(r"-m ([\w.]+)", command)
        if found:
            assert importlib.util.find_spec(found[1]), f"python {command}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=NAMES)
def test_every_relative_link_leads_somewhere(path: Path) -> None:
    text = re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" not in link and not link.startswith(("#", "mailto:")):
            assert (path.parent / link.partition("#")[0]).exists(), link


def test_every_target_explains_itself() -> None:
    assert {name for name, rest in RULES if "##" not in rest} <= INTERNAL


def test_the_readme_names_the_two_commands() -> None:
    commands = commands_in(ROOT / "README.md", "make")

    assert "demo" in commands
    assert "test" in commands


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_s_readme_is_short_and_tells_its_routes_and_rpcs(service: str) -> None:
    text = (ROOT / "functions" / service / "README.md").read_text()

    assert len(text.splitlines()) <= 40
    for function in (function for function in FUNCTION_LIST if function.service == service):
        paths = {event["Path"] for event in function.events("Api")} - {"/{proxy+}"}
        assert [path for path in sorted(paths) if path.removeprefix("/mock") not in text] == [], function.name
    for function in HANDLERS.values():
        if function.service == service:
            methods = function.load().service.methods_by_name
            assert [name for name in methods if name not in text] == []
