"""Which migrations a stack has: those of the services that are deployed in it."""

import subprocess
from pathlib import Path

import pytest

from infra import deploy, settings, stack, template


def test_what_is_deployed_is_the_commit_unless_it_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("VERSION", raising=False)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.setattr(deploy, "ROOT", tmp_path)
    assert deploy.version() == "", "no repository"

    me = ("-c", "user.name=n", "-c", "user.email=e@example.com", "-c", "commit.gpgsign=false")
    for command in (("init", "-q"), (*me, "commit", "-q", "--allow-empty", "-m", "first")):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    commit = deploy.version()
    assert len(commit) >= 7

    monkeypatch.setenv("VERSION", "1.4.2")
    assert deploy.version() == "1.4.2"

    monkeypatch.delenv("VERSION")
    monkeypatch.setenv("PATH", "")
    assert deploy.version() == "", "no git"


def test_a_stack_without_the_sandbox_has_no_migrations_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = dict.fromkeys(template.functions(), "physical id")
    monkeypatch.setattr(stack, "resources", lambda _: whole)
    everything = {step.service for step in deploy._steps(settings.load({}), "")}
    assert "mock_api_service" in everything

    real = {name: place for name, place in whole.items() if not name.startswith("Mock")}
    monkeypatch.setattr(stack, "resources", lambda _: real)

    assert {step.service for step in deploy._steps(settings.load({}), "")} == everything - {"mock_api_service"}
    assert deploy._steps(settings.load({}), "mock_api_service") == []
