"""The sender of mails is known to SES before anything is deployed."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from moto import mock_aws

from infra import aws, mail
from infra.settings import load

ON_AWS = load({"TARGET": "aws", "STAGE": "unit"})


@dataclass
class Engine:
    """SES, as far as the deploy uses it."""

    listed: list[str]
    status: str
    verified: list[str]

    def get_paginator(self, operation: str) -> "Engine":
        return self

    def paginate(self, **parameters: str) -> list[dict[str, list[str]]]:
        return [{"Identities": self.listed}]

    def get_identity_verification_attributes(self, **parameters: list[str]) -> dict[str, Any]:
        [address] = parameters["Identities"]
        return {"VerificationAttributes": {address: {"VerificationStatus": self.status}}}

    def verify_email_identity(self, **parameters: str) -> None:
        self.verified.append(parameters["EmailAddress"])


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


@pytest.mark.parametrize(
    ("listed", "status", "asked"),
    [([], "Pending", True), (["bills@example.com"], "Failed", True), (["bills@example.com"], "Pending", False)],
    ids=[
        "an engine that has a status for anybody",
        "the link was not followed in time",
        "the link may yet be followed",
    ],
)
def test_what_is_known_of_the_address_decides(
    monkeypatch: pytest.MonkeyPatch, listed: list[str], status: str, asked: bool
) -> None:
    verified: list[str] = []
    monkeypatch.setenv("MAIL_SENDER", "bills@example.com")
    monkeypatch.setattr(mail, "client", lambda settings, service: Engine(listed, status, verified))

    mail.ensure_sender(ON_AWS)

    assert verified == ["bills@example.com"] * asked


def test_on_aws_nobody_is_made_a_sender_unasked(ses: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MAIL_SENDER", raising=False)

    assert mail.ensure_sender(ON_AWS) == ""
    assert ses.list_identities()["Identities"] == []


def test_emulators_have_a_sender_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MAIL_SENDER", raising=False)

    assert "MAIL_SENDER" not in os.environ
    assert mail.sender(load({})) == mail.SANDBOX_SENDER
