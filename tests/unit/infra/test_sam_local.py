"""What `sam local` is given: templates without values, and the environment as containers see it."""

import json
from pathlib import Path
from typing import Any

import pytest

from infra import sam_local, settings, stack, target, template
from infra.console import Failure
from infra.sam_local import Local
from infra.settings import Settings
from infra.target import Seen

DEPLOYED = {"IDEMPOTENCY_SECRET": "hush", "CACHE_URL": "redis://127.0.0.1:6399/0", "USERS_TABLE": "users-1"}
EMBEDDED = settings.load({"AWS_ENDPOINT_URL": "http://127.0.0.1:4701", "REDIS_PORT": "6402"})
IN_DOCKER = settings.load({"TARGET": "localstack"})


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where things are written; nothing is built, and a Docker engine answers."""

    def deployed(_settings: Settings, _function: str) -> dict[str, str]:
        return dict(DEPLOYED)

    monkeypatch.setattr(sam_local, "FOLDER", tmp_path)
    monkeypatch.setattr(stack, "function_environment", deployed)
    monkeypatch.setattr(sam_local, "_build", lambda _settings, name, _source: tmp_path / name / "template.yaml")
    monkeypatch.setattr(sam_local, "_require_docker", lambda: None)
    monkeypatch.setattr(target, "in_docker", lambda chosen: chosen is IN_DOCKER)
    monkeypatch.setattr(target, "seen_by_functions", lambda _: Seen("http://engine:4566", "redis://cache:1/0"))
    return tmp_path


def written(path: Path) -> Any:
    return json.loads(path.read_text())


def test_values_stand_in_the_environment_file_and_names_in_the_template(folder: Path) -> None:
    prepared = sam_local.prepare(EMBEDDED, "invoke", ["UserApi"])

    env = written(prepared.env_file)
    assert env["UserApi"]["IDEMPOTENCY_SECRET"] == "hush"
    function = written(folder / "invoke.template.json")["Resources"]["UserApi"]["Properties"]
    assert function["Environment"]["Variables"] == dict.fromkeys(env["UserApi"], "")
    assert "hush" not in (folder / "invoke.template.json").read_text()


def test_nobody_else_may_read_the_environment_file(folder: Path) -> None:
    (folder / "invoke.env.json").write_text("{}")
    (folder / "invoke.env.json").chmod(0o644)

    prepared = sam_local.prepare(EMBEDDED, "invoke", ["UserApi"])

    assert prepared.env_file.stat().st_mode & 0o777 == 0o600


def test_engine_and_cache_are_where_a_container_finds_them(folder: Path) -> None:
    env = written(sam_local.prepare(EMBEDDED, "invoke", ["UserApi"]).env_file)["UserApi"]

    assert env["AWS_ENDPOINT_URL"] == "http://host.docker.internal:4701"
    assert env["CACHE_URL"] == "redis://host.docker.internal:6402/0"
    assert env["USERS_TABLE"] == DEPLOYED["USERS_TABLE"]


def test_beside_localstack_in_docker_they_have_the_names_of_its_network(folder: Path) -> None:
    prepared = sam_local.prepare(IN_DOCKER, "invoke", ["UserApi"])

    env = written(prepared.env_file)["UserApi"]
    assert env["AWS_ENDPOINT_URL"] == "http://engine:4566"
    assert env["CACHE_URL"] == DEPLOYED["CACHE_URL"]
    command = prepared.command("invoke", "UserApi")
    assert command[command.index("--docker-network") + 1] == "billing"


def test_on_aws_the_environment_is_the_deployed_one(folder: Path) -> None:
    on_aws = settings.load({"TARGET": "aws", "STAGE": "test"})

    assert written(sam_local.prepare(on_aws, "invoke", ["UserApi"]).env_file)["UserApi"] == DEPLOYED


def test_a_function_keeps_what_lambda_runs_it_by(folder: Path) -> None:
    sam_local.prepare(EMBEDDED, "invoke", ["ImportWorker"])

    function = written(folder / "invoke.template.json")["Resources"]["ImportWorker"]
    whole = template.read()
    assert function["Metadata"] == {"BuildMethod": "makefile"}
    kept = function["Properties"]
    assert kept["Timeout"] == whole["Resources"]["ImportWorker"]["Properties"]["Timeout"]
    assert kept["Runtime"] == whole["Globals"]["Function"]["Runtime"]
    assert "Events" not in kept


@pytest.mark.parametrize("function", sorted(template.functions()))
def test_sam_is_left_nothing_to_resolve(folder: Path, function: str) -> None:
    sam_local.prepare(EMBEDDED, "invoke", [function])

    properties = written(folder / "invoke.template.json")["Resources"][function]["Properties"]
    assert properties["Architectures"] == ["x86_64"]
    assert all(isinstance(properties[name], str | int) for name in ("Handler", "Runtime", "MemorySize", "Timeout"))


def test_with_routes_there_is_the_api_that_they_hang_on(folder: Path) -> None:
    sam_local.prepare(EMBEDDED, "api", ["BillApi"], routes=True)

    resources = written(folder / "api.template.json")["Resources"]
    whole = template.read()["Resources"]
    assert resources["BillApi"]["Properties"]["Events"] == whole["BillApi"]["Properties"]["Events"]
    assert resources["Api"]["Properties"]["BinaryMediaTypes"] == whole["Api"]["Properties"]["BinaryMediaTypes"]


def test_sam_gets_both_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target, "in_docker", lambda _: False)

    command = Local(EMBEDDED, tmp_path / "template.yaml", tmp_path / "env.json").command(
        "invoke", "UserApi", "--event", "e"
    )

    assert command[2:7] == ["samcli", "local", "invoke", "UserApi", "--event"]
    assert command[command.index("--template-file") + 1] == str(tmp_path / "template.yaml")
    assert command[command.index("--env-vars") + 1] == str(tmp_path / "env.json")
    assert "--docker-network" not in command


def test_without_a_docker_engine_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")

    with pytest.raises(Failure, match="no Docker engine answers"):
        sam_local.prepare(EMBEDDED, "invoke", ["UserApi"])
