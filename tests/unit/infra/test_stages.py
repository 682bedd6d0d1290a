"""What samconfig.toml and make's command line make of a deploy to AWS, and which deploys are refused."""

from pathlib import Path

import pytest

from infra import stages
from infra.console import Failure
from infra.settings import load

SAMCONFIG = """
[default.deploy.parameters]
tags = "nobody=sees"

[dev.deploy.parameters]
tags = "project=billing"

[prod.deploy.parameters]
parameter_overrides = 'Production=true Architecture=arm64 CorsOrigins="https://a.example, https://b.example"'
tags = "project=billing stage=wrong"
"""
SAFE = '[prod.deploy.parameters]\nparameter_overrides = "Architecture=arm64"\n'


@pytest.fixture
def samconfig(tmp_path: Path) -> Path:
    path = tmp_path / "samconfig.toml"
    path.write_text(SAMCONFIG)
    return path


def of(stage: str, samconfig: Path, **environ: str) -> stages.Stage:
    return stages.of(load({"TARGET": "aws", "STAGE": stage}), environ, samconfig)


def test_a_stage_has_its_parameters_and_tags(samconfig: Path) -> None:
    prod = of("prod", samconfig)

    assert prod.config_env == "prod"
    assert prod.parameters == {
        "Target": "aws",
        "Sandbox": "false",
        "CacheUrl": "",
        "Production": "true",
        "Architecture": "arm64",
        "CorsOrigins": "https://a.example, https://b.example",
    }
    assert prod.tags == {"project": "billing", "stage": "prod"}


def test_a_stage_that_is_not_told_of_takes_that_of_dev(samconfig: Path) -> None:
    assert of("qa", samconfig) == stages.Stage(
        "dev", {"Target": "aws", "Sandbox": "false", "CacheUrl": ""}, {"project": "billing", "stage": "qa"}
    )


def test_make_s_command_line_comes_first(samconfig: Path) -> None:
    told = of("prod", samconfig, ARCHITECTURE="x86_64", CACHE_URL="none", ALARM_EMAIL="a@example.com").parameters

    assert (told["Architecture"], told["CacheUrl"], told["AlarmEmail"]) == ("x86_64", "none", "a@example.com")


def test_the_key_of_credentials_that_was_given_up_is_forgotten_when_that_is_said_and_not_before(
    samconfig: Path,
) -> None:
    assert "PreviousCredentialsKeyId" not in of("prod", samconfig).parameters, "the stack keeps what it has"
    assert of("prod", samconfig, PREVIOUS_CREDENTIALS_KEY_ID="k-1").parameters["PreviousCredentialsKeyId"] == "k-1"
    assert of("prod", samconfig, PREVIOUS_CREDENTIALS_KEY_ID="none").parameters["PreviousCredentialsKeyId"] == ""


def test_the_sandbox_stays_out_of_production(samconfig: Path) -> None:
    with pytest.raises(Failure, match="in production"):
        of("prod", samconfig, SANDBOX="true")

    assert of("dev", samconfig, SANDBOX="true").parameters["Sandbox"] == "true"


def test_stage_prod_is_in_production_whatever_the_file_says(tmp_path: Path) -> None:
    path = tmp_path / "samconfig.toml"
    path.write_text(SAFE)

    with pytest.raises(Failure, match="Production=true"):
        of("prod", path)


@pytest.mark.parametrize("target", ["embedded", "localstack"])
def test_emulators_take_nothing_from_the_file(target: str, samconfig: Path) -> None:
    settings = load({"TARGET": target, "STAGE": "prod"})

    assert stages.of(settings, {"LOG_LEVEL": "DEBUG"}, samconfig) == stages.Stage(
        "default", {"Sandbox": "true", "LogLevel": "DEBUG"}, {}
    )


def test_an_architecture_that_lambda_has_not_got_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARCHITECTURE", "riscv64")

    with pytest.raises(Failure, match="riscv64"):
        stages.architecture(load({"TARGET": "localstack"}))
