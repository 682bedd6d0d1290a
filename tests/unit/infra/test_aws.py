"""Whose sessions reach the targets."""

from pathlib import Path

import localstack_client.session
import pytest

from infra import aws, settings

ROOT = Path(aws.__file__).parents[1]


@pytest.fixture
def sessions(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The services that clients of localstack-client's own session were made for."""
    made: list[str] = []
    client = localstack_client.session.Session.client

    def noted(self: object, service: str, **given: object) -> object:
        made.append(service)
        return client(self, service, **given)

    monkeypatch.setattr(localstack_client.session.Session, "client", noted)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "of-somebody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of-somebody")
    return made


@pytest.mark.parametrize("target", ["embedded", "localstack"])
def test_of_an_emulator_they_are_localstack_client_s(target: str, sessions: list[str]) -> None:
    chosen = settings.load({"TARGET": target, "AWS_ENDPOINT_URL": "http://127.0.0.1:4588"})

    client = aws.client(chosen, "sqs")

    assert sessions == ["sqs"]
    assert client.meta.endpoint_url == "http://127.0.0.1:4588"
    assert client._request_signer._credentials.access_key == "test", "never what belongs to an account"


def test_of_aws_they_are_not(sessions: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL")

    client = aws.client(settings.load({"TARGET": "aws", "STAGE": "prod"}), "sqs")

    assert sessions == []
    assert client.meta.endpoint_url == "https://sqs.us-east-1.amazonaws.com"
    assert client._request_signer._credentials.access_key == "of-somebody"


def test_nothing_else_in_scripts_and_integration_tests_makes_clients() -> None:
    sources = [path for folder in ("infra", "tests/integration") for path in (ROOT / folder).rglob("*.py")]

    found = {path.relative_to(ROOT).as_posix() for path in sources if "import boto3" in path.read_text()}

    assert found == {"infra/aws.py"}
