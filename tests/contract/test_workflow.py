"""The workflow for GitHub runs what a developer runs, with no more rights than that takes."""

import re
from pathlib import Path
from typing import Any  # whatever YAML holds

import pytest
import yaml

from infra.settings import ROOT

WORKFLOW: dict[Any, Any] = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
FILES = sorted((ROOT / ".github").rglob("*.yml"))
JOBS: dict[str, dict[str, Any]] = WORKFLOW["jobs"]
TARGETS = set(re.findall(r"^([a-z_-]+):[^#\n]*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
NAMES = [str(path.relative_to(ROOT)) for path in FILES]


def commands(job: str) -> list[str]:
    return [line for step in JOBS[job]["steps"] for line in step.get("run", "").splitlines()]


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_every_command_of_make_is_a_target(path: Path) -> None:
    for words in re.findall(r"\bmake ([^\n#]+)", re.sub(r"#.*|description:.*", "", path.read_text())):
        asked = [word for word in words.split() if "=" not in word]
        assert asked
        for word in asked:
            assert word in TARGETS | {".venv/.stamp"}, f"make {words}"


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_what_others_wrote_is_pinned_by_its_commit(path: Path) -> None:
    used = re.findall(r"uses: (.+)", path.read_text())
    assert used
    for action in used:
        if action.startswith("./"):
            assert (ROOT / action / "action.yml").is_file()
        else:
            assert re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action)


def test_it_may_read_the_sources_and_nothing_else() -> None:
    assert WORKFLOW["permissions"] == {"contents": "read"}
    for name, job in JOBS.items():
        assert "permissions" not in job, name
        for step in job["steps"]:
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"] == {"persist-credentials": False}
    assert "secrets." not in "".join(path.read_text() for path in FILES)


def test_it_runs_all_checks_and_all_tests_on_both_engines() -> None:
    assert commands("lint") == ["make lint"]
    assert commands("test") == ["make test"]
    assert JOBS["localstack"]["env"] == {"TARGET": "localstack"}
    assert commands("localstack")[:2] == ["make localstack-up", "make test-integration"]
    assert commands("localstack")[-1] == "make localstack-down"
    assert JOBS["localstack"]["steps"][-1]["if"] == "always()"


def test_the_oldest_python_is_that_of_the_project() -> None:
    project = re.search(r'requires-python = ">=([\d.]+)"', (ROOT / "pyproject.toml").read_text())

    assert project
    assert JOBS["test"]["strategy"]["matrix"]["python"][0] == project[1]


@pytest.mark.parametrize("name", JOBS)
def test_no_job_hangs(name: str) -> None:
    assert JOBS[name]["timeout-minutes"] <= 60


@pytest.mark.parametrize("name", ["test", "localstack"])
def test_a_failure_leaves_its_logs(name: str) -> None:
    [upload] = [step for step in JOBS[name]["steps"] if step.get("uses", "").startswith("actions/upload-artifact@")]

    assert upload["if"] == "failure()"
    assert upload["with"]["path"] == ".run/**/log/"
    assert upload["with"]["include-hidden-files"], ".run is hidden"
