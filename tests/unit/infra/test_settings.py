"""Settings of the command line."""

from pathlib import Path

import pytest

from infra.console import Failure
from infra.settings import Target, load


def test_without_variables_it_is_the_embedded_platform() -> None:
    settings = load({})

    assert settings.target is Target.EMBEDDED
    assert (settings.stack_name, settings.engine_port, settings.cache_port) == ("billing-dev", 4566, 6399)
    assert settings.environment()["AWS_ENDPOINT_URL"] == "http://127.0.0.1:4566"


def test_variables_change_where_it_runs() -> None:
    settings = load(
        {"STAGE": "e2e", "AWS_ENDPOINT_URL": "http://127.0.0.1:4600/", "REDIS_PORT": "6400", "RUN_DIR": "/somewhere"}
    )

    assert settings.endpoint == "http://127.0.0.1:4600"
    assert (settings.engine_port, settings.cache_port, settings.stack_name) == (4600, 6400, "billing-e2e")
    assert settings.run_dir == Path("/somewhere")


def test_on_aws_no_endpoint_and_no_test_credentials_are_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "mine")

    environment = load({"TARGET": "aws", "AWS_ENDPOINT_URL": "http://127.0.0.1:4566"}).environment()

    assert "AWS_ENDPOINT_URL" not in environment
    assert environment["AWS_ACCESS_KEY_ID"] == "mine"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TARGET", "azure"),
        ("STAGE", "My-Stage"),
        ("AWS_ENDPOINT_URL", "localhost:4566"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:port"),
        ("CACHE_URL", "redis://127.0.0.1"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused_by_its_name(name: str, value: str) -> None:
    with pytest.raises(Failure, match=f"{name}={value}"):
        load({name: value})
