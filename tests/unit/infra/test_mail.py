"""The sender of mails is known to SES before anything is deployed."""

import os
from collections.abc import Iterator
from typing import Any

import pytest
from moto import mock_aws

from infra import aws, mail
from infra.settings import load

ON_AWS = load({"TARGET": "aws", "STAGE": "unit"})


@pytest.fixture
def ses() -> Iterator[Any]:
    with mock_aws():
        yield aws.client(ON_AWS, "ses")


def test_the_sender_is_verified_once(
    ses: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MAIL_SENDER", "bills@example.com")

    assert mail.ensure_sender(ON_AWS) == "bills@example.com"
    assert "bills@example.com" in capsys.readouterr().err
    assert mail.ensure_sender(ON_AWS) == "bills@example.com"
    assert capsys.readouterr().err == ""
    assert ses.list_identities()["Identities"] == ["bills@example.com"]


def test_an_address_that_an_engine_lists_as_not_started_is_verified(ses: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = {"VerificationAttributes": {"bills@example.com": {"VerificationStatus": "NotStarted"}}}
    monkeypatch.setenv("MAIL_SENDER", "bills@example.com")
    monkeypatch.setattr(ses, "get_identity_verification_attributes", lambda Identities: listed)
    monkeypatch.setattr(mail, "client", lambda settings, service: ses)

    mail.ensure_sender(ON_AWS)

    assert ses.list_identities()["Identities"] == ["bills@example.com"]


def test_on_aws_nobody_is_made_a_sender_unasked(ses: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MAIL_SENDER", raising=False)

    assert mail.ensure_sender(ON_AWS) == ""
    assert ses.list_identities()["Identities"] == []


def test_emulators_have_a_sender_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MAIL_SENDER", raising=False)

    assert "MAIL_SENDER" not in os.environ
    assert mail.sender(load({})) == mail.SANDBOX_SENDER
