"""Webhooks of utilities: who signed is heeded, once, and learns nothing."""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from moto import mock_aws

from functions.broker_service import bootstrap
from functions.broker_service.announcement_table import DynamoWebhookMarks, MarkItem
from functions.broker_service.announcements import MAX_BYTES, WORKING, Announcements, Seen, SignedWebhook
from functions.broker_service.app import app as broker
from functions.broker_service.bootstrap import ACCOUNTS, PROVIDERS
from functions.broker_service.table import DynamoJobTable
from functions.common.errors import AppError, Unavailable
from functions.common.rpc.client import Stub
from functions.common.rpc.server import LambdaRpcHandler, RpcContext
from functions.contracts.events.bills import BillsRefreshRequestedV1
from functions.contracts.events.envelope import unwrap
from functions.contracts.rpc.accounts_pb2 import FindLinksReply, FindLinksRequest, LinkedAccount
from functions.contracts.rpc.providers_pb2 import VerifyWebhookReply, VerifyWebhookRequest
from tests.support.fakes import FakeClock, FakePublisher, LoopbackChannel
from tests.support.http import Result, configure, request
from tests.unit.broker_service.fakes import ANNA, BERT

BODY = {"type": "bill.available", "account_number": "NP-10024817"}
GOOD = "v1,good"
ROUTE = "/webhooks/providers/{provider_id}"


class FakeProviders:
    """Verifies what says that it is good, and notes what it is asked."""

    def __init__(self) -> None:
        self.asked: list[VerifyWebhookRequest] = []

    def VerifyWebhook(self, request: VerifyWebhookRequest, _context: RpcContext) -> VerifyWebhookReply:
        self.asked.append(request)
        return VerifyWebhookReply(verified=request.provider_id == "prv_power" and GOOD in request.signatures.split())


class FakeAccounts:
    def __init__(self) -> None:
        self.links: list[LinkedAccount] = []
        self.asked: list[tuple[str, str]] = []
        self.error: AppError | None = None

    def FindLinks(self, request: FindLinksRequest, _context: RpcContext) -> FindLinksReply:
        if self.error:
            raise self.error
        self.asked.append((request.provider_id, request.account_number))
        return FindLinksReply(items=self.links if request.account_number == "NP-10024817" else [])


class World:
    def __init__(self) -> None:
        self.clock, self.publisher = FakeClock(), FakePublisher()
        self.providers, self.accounts = FakeProviders(), FakeAccounts()
        self.marks = DynamoWebhookMarks("jobs", self.clock)
        self.providers_channel = LoopbackChannel(LambdaRpcHandler(PROVIDERS, lambda: self.providers))
        self.announcements = Announcements(
            marks=self.marks,
            providers=Stub(PROVIDERS, self.providers_channel),
            accounts=Stub(ACCOUNTS, LoopbackChannel(LambdaRpcHandler(ACCOUNTS, lambda: self.accounts))),
            publisher=self.publisher,
            clock=self.clock,
        )
        self.link(ANNA, "lnk_a")
        self.link(BERT, "lnk_b")

    def link(self, user_id: str, link_id: str, **more: Any) -> None:
        self.accounts.links.append(LinkedAccount(user_id=user_id, link_id=link_id, kind="api", state="ACTIVE"))
        for name, value in more.items():
            setattr(self.accounts.links[-1], name, value)

    @property
    def asked_for(self) -> list[tuple[str, str, str, str]]:
        data = [unwrap(event, BillsRefreshRequestedV1) for event in self.publisher.events]
        return [(each.user_id, each.link_id, each.reason, each.job_id) for each in data]


BOTH = [(ANNA, "lnk_a", "provider", ""), (BERT, "lnk_b", "provider", "")]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with mock_aws():
        world = World()
        MarkItem.create_table(wait=True)
        monkeypatch.setattr(bootstrap, "announcements", lambda: world.announcements)
        configure(broker)
        yield world


def send(
    body: object = BODY, *, webhook_id: str = "msg_1", signatures: str = GOOD, provider_id: str = "prv_power"
) -> Result:
    headers = {"webhook-id": webhook_id, "webhook-timestamp": "1773576000", "webhook-signature": signatures}
    given = {name: value for name, value in headers.items() if value}
    return request(broker, "POST", ROUTE, body, path={"provider_id": provider_id}, headers=given)


def test_every_household_that_linked_the_account_is_refreshed(world: World) -> None:
    answer = send()

    assert (answer.status, answer.json) == (202, {})
    assert world.accounts.asked == [("prv_power", "NP-10024817")]
    assert world.asked_for == BOTH


def test_what_is_verified_is_what_came(world: World) -> None:
    body = '{"account_number":\t"NP-10024817", "type": "bill.available", "timestamp": "2026-03-15T12:00:00Z"}  '

    assert send(body, signatures="v2,x v1,good").status == 202

    [asked] = world.providers.asked
    assert asked.body == body.encode()
    assert (asked.webhook_id, asked.timestamp, asked.signatures) == ("msg_1", "1773576000", "v2,x v1,good")


def test_an_account_that_nobody_linked_is_answered_alike(world: World) -> None:
    linked, unlinked = send(), send({**BODY, "account_number": "NP-99999999"}, webhook_id="msg_2")

    assert (linked.status, linked.text) == (unlinked.status, unlinked.text)
    assert world.asked_for == BOTH


def test_a_link_that_waits_for_its_user_is_left_alone(world: World) -> None:
    """Each try with a refused login may lock the account at the utility; files are not read at all."""
    world.link(ANNA, "lnk_refused", state="ACTION_REQUIRED", customer_action_required=True)
    world.link(ANNA, "lnk_files", kind="manual")

    assert send().status == 202
    assert world.asked_for == BOTH


@pytest.mark.parametrize(
    "forged",
    [
        {"signatures": "v1,bad"},
        {"signatures": ""},
        {"webhook_id": ""},
        {"webhook_id": "x" * 201},
        {"signatures": f"{GOOD} " + "v1,x " * 500},
        {"webhook_id": "msg_é"},
        {"provider_id": "prv_unknown"},
        {"provider_id": "prv_é"},
    ],
)
def test_what_is_not_signed_is_refused_alike(world: World, forged: dict[str, str]) -> None:
    answer = send(**forged)

    assert answer.status == 401
    assert (answer.json["code"], answer.json["detail"]) == ("signature_invalid", "The signature does not verify.")
    assert answer.headers["WWW-Authenticate"] == 'Webhook-Signature realm="billing"'
    assert world.publisher.events == []


@pytest.mark.parametrize("body", ["{", "[]", '"bill.available"', "", '{"type": "bill.available"}', BODY])
def test_an_unsigned_body_is_not_looked_at(world: World, body: object) -> None:
    assert send(body, signatures="v1,bad").status == 401


@pytest.mark.parametrize(
    ("body", "status", "fields"),
    [
        ({"type": "bill.available"}, 422, ["account_number"]),
        ({"account_number": "1"}, 422, ["type"]),
        ({"type": 7, "account_number": ""}, 422, ["type", "account_number"]),
        ({**BODY, "amount": 7}, 422, ["amount"]),
        ({**BODY, "account_number": "x" * 201}, 422, ["account_number"]),
        ("[]", 400, []),
        ("{", 400, []),
    ],
)
def test_a_signed_body_that_is_wrong_is_told_so(world: World, body: object, status: int, fields: list[str]) -> None:
    answer = send(body)

    assert answer.status == status
    assert sorted(error["field"] for error in answer.json.get("errors", [])) == sorted(fields)
    assert send().status == 202  # its id is not used up
    assert world.asked_for == BOTH


def test_another_type_is_taken_and_ignored(world: World) -> None:
    answer = send({"type": "tariff.changed", "data": {"tariff": "green"}})

    assert (answer.status, answer.json) == (202, {})
    assert world.publisher.events == []


def test_a_huge_body_is_refused_before_anything(world: World) -> None:
    assert send(json.dumps({**BODY, "pad": "x" * MAX_BYTES})).status == 413
    assert world.providers.asked == []


def test_a_body_that_is_no_text_is_refused(world: World) -> None:
    webhook = SignedWebhook("prv_power", "msg_1", "1773576000", GOOD, b"\xff")

    with pytest.raises(AppError) as refused:
        world.announcements.receive_provider_webhook(webhook)
    assert refused.value.status == 400


def test_a_replay_does_nothing_and_is_answered_alike(world: World) -> None:
    first, again = send(), send()

    assert (first.status, first.text) == (again.status, again.text)
    assert world.asked_for == BOTH


def test_an_id_counts_per_utility(world: World) -> None:
    send()

    assert world.marks.begin("prv_gas", "msg_1", WORKING) is Seen.NEW


def test_it_is_remembered_longer_than_a_signature_counts(world: World) -> None:
    send()

    world.clock.advance(timedelta(hours=23))
    assert send().status == 202
    assert world.asked_for == BOTH
    world.clock.advance(timedelta(hours=2))
    assert send().status == 202
    assert world.asked_for == BOTH * 2


def test_a_failure_after_the_signature_is_told_so_that_it_is_sent_again(world: World) -> None:
    world.accounts.error = Unavailable("down")
    assert send().status == 503
    world.accounts.error = None
    world.publisher.down = True
    assert send().status == 503
    world.publisher.down = False
    world.publisher.refuse = {BillsRefreshRequestedV1.TYPE}
    assert send().status == 503
    world.publisher.refuse = set()

    assert send().status == 202
    assert world.asked_for == BOTH


def test_a_judge_that_is_down_is_no_verdict(world: World) -> None:
    world.providers_channel.down = True

    assert send().status == 503


def test_of_two_at_once_one_is_worked_on_and_the_other_sent_again(world: World) -> None:
    answers = []
    publish = world.publisher.publish

    def meanwhile(events: Any) -> frozenset[str]:
        answers.append(send())
        return publish(events)

    world.publisher.publish = meanwhile  # type: ignore[method-assign]
    answers.append(send())

    assert [answer.status for answer in answers] == [503, 202]
    assert int(answers[0].headers["Retry-After"]) > 0
    assert world.asked_for == BOTH


def test_a_function_that_died_leaves_it_to_the_next(world: World) -> None:
    assert world.marks.begin("prv_power", "msg_1", WORKING) is Seen.NEW
    assert send().status == 503

    world.clock.advance(WORKING)
    assert send().status == 202
    assert world.asked_for == BOTH


def test_what_is_done_cannot_be_abandoned(world: World) -> None:
    send()
    world.marks.abandon("prv_power", "msg_1")

    assert world.marks.begin("prv_power", "msg_1", WORKING) is Seen.DONE


def test_marks_that_cannot_be_taken_back_end_with_their_lease(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_: str) -> None:
        raise Unavailable("The table does not answer.")

    monkeypatch.setattr(world.marks, "abandon", fails)
    world.publisher.down = True

    assert send().status == 503
    assert "webhook_not_abandoned" in caplog.text


def test_marks_belong_to_no_user(world: World) -> None:
    """They share the table of jobs."""
    send()
    jobs = DynamoJobTable("jobs", world.clock)

    for user_id in (ANNA, BERT):
        assert list(jobs.held(user_id, "")) == []
        assert jobs.delete(user_id, 100) == 0
