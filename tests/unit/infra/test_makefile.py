"""The Makefile documents itself, and every target is a command that exists."""

import re
import subprocess

import click
import pytest

from infra import commands  # noqa: F401 - adds its commands to the group
from infra.cli import main
from infra.settings import ROOT

MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = dict(re.findall(r"^([a-z_-]+):[^#\n]*## (.+)$", MAKEFILE, re.MULTILINE))
WANTED = {
    *("demo", "up", "up_build", "down", "restart", "reset", "status", "url", "logs", "build", "deploy", "migrate"),
    *("rollback", "rotate-keys", "seed", "admin", "test", "test-unit", "test-integration", "lint", "format", "protos"),
    *("docs", "bench", "invoke", "start-api", "grpc", "protos-release", "localstack-up", "localstack-down"),
}


def test_every_wanted_target_is_there_and_explained() -> None:
    assert set(TARGETS) >= WANTED


def test_make_alone_lists_every_target_with_its_help() -> None:
    listed = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert [line.split(maxsplit=1) for line in listed.splitlines()] == [list(row) for row in TARGETS.items()]


def test_every_target_is_one_command_that_exists() -> None:
    recipes = re.findall(r"^([a-z_-]+):[^\n]*##[^\n]*\n((?:\t[^\n]*\n)*)", MAKEFILE, re.MULTILINE)

    for target, recipe in recipes:
        lines = recipe.strip().splitlines()
        assert len(lines) == 1, f"{target} is not one command"
        if target != "help":
            name = lines[0].split("@$(INFRA) ")[1].split()[0]
            assert name in main.commands, f"{target} calls `infra {name}`, which does not exist"


@pytest.mark.parametrize("name", sorted(main.commands))
def test_every_command_explains_itself(name: str) -> None:
    assert main.commands[name].get_short_help_str()


def test_options_come_from_variables_of_make() -> None:
    variables = {
        option.envvar
        for command in main.commands.values()
        for option in command.params
        if isinstance(option, click.Option)
    }

    assert {"FN", "EVENT", "N", "SERVICE", "EMAIL"} <= variables
