"""Mails through SES, as moto shows what was sent, and how they are handed over."""

import re
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.ses.models import ses_backends

from functions.common.errors import Unavailable
from functions.common.rpc.client import Stub
from functions.contracts.rpc import users_pb2
from functions.user_service.mailer import KINDS, SUBJECTS, TEXTS, PostedMail, SesMailer
from functions.user_service.model import Mail
from tests.support.fakes import LoopbackChannel
from tests.unit.user_service.fakes import World

SENDER = "billing@example.com"


@pytest.fixture
def ses() -> Iterator[Any]:
    with mock_aws():
        client = boto3.client("ses")
        client.verify_email_identity(EmailAddress=SENDER)
        yield client


def sent() -> list[Any]:
    return list(ses_backends[DEFAULT_ACCOUNT_ID]["us-east-1"].sent_messages)


def test_every_mail_has_its_words() -> None:
    assert set(KINDS) == set(SUBJECTS) == set(TEXTS) == set(Mail)


@pytest.mark.parametrize("mail", [Mail.VERIFY_EMAIL, Mail.RESET_PASSWORD])
def test_a_code_stands_on_a_line_of_its_own(ses: Any, mail: Mail) -> None:
    assert SesMailer(lambda: ses, SENDER).send("ada@example.com", mail, "c0de-_")
    [message] = sent()
    assert (message.source, message.destinations["ToAddresses"]) == (SENDER, ["ada@example.com"])
    assert message.subject == SUBJECTS[mail]
    assert re.findall(r"(?m)^c0de-_$", message.body) == ["c0de-_"]


def test_a_domain_goes_out_in_punycode(ses: Any) -> None:
    assert SesMailer(lambda: ses, SENDER).send("ada@b\u00fccher.example", Mail.PASSWORD_CHANGED, "")
    assert sent()[0].destinations["ToAddresses"] == ["ada@xn--bcher-kva.example"]
    assert SesMailer(lambda: ses, SENDER).send("ada@" + "\u00fc" * 63 + ".example", Mail.PASSWORD_CHANGED, "")


def test_a_sender_that_ses_does_not_know_is_unavailable(ses: Any, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(Unavailable):
        SesMailer(lambda: ses, "stranger@example.net").send("ada@example.com", Mail.VERIFY_EMAIL, "c0de")
    assert "ses_refused" in caplog.messages
    assert "ada@example.com" not in caplog.text


def test_without_a_sender_nothing_is_sent_and_that_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    mailer = SesMailer(lambda: pytest.fail("SES was asked"), "")
    for _ in range(3):
        assert not mailer.send("ada@example.com", Mail.VERIFY_EMAIL, "c0de")
    assert caplog.messages == ["mails_are_not_sent"]


def test_a_mail_is_posted_and_never_fails(world_channel: tuple[World, LoopbackChannel]) -> None:
    world, channel = world_channel
    post = PostedMail(Stub(users_pb2.DESCRIPTOR.services_by_name["Users"], channel))
    world.users.register("ada@example.com", "correct horse", "Ada")
    post.post("ada@example.com", Mail.RESET_PASSWORD)
    assert world.mailer.sent[-1][:2] == ("ada@example.com", Mail.RESET_PASSWORD)
    channel.down = True
    post.post("ada@example.com", Mail.RESET_PASSWORD)
    assert len(channel.calls) == 2


@pytest.fixture
def world_channel() -> tuple[World, LoopbackChannel]:
    from functions.common.rpc.server import LambdaRpcHandler
    from functions.user_service import rpc

    world = World()
    servicer = rpc.UsersServicer(world.directory, world.mailing, world.purge)
    return world, LoopbackChannel(LambdaRpcHandler(rpc.SERVICE, lambda: servicer, {}))
