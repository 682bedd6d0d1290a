"""The RPCs through the same envelope as over Lambda."""

from datetime import timedelta
from typing import Any

import pytest

from functions.account_linking_service import bootstrap, rpc
from functions.account_linking_service.credentials import Secrets
from functions.account_linking_service.model import ProviderId, UserId
from functions.account_linking_service.providers import RegisteredProviders
from functions.common.clock import rfc3339
from functions.common.errors import Conflict, InvalidInput, NotFound, Unavailable
from functions.common.ids import new_id
from functions.common.rpc.client import Stub
from functions.common.rpc.server import LambdaRpcHandler, RpcContext
from functions.contracts.rpc import accounts_pb2, providers_pb2
from functions.contracts.rpc.accounts_pb2 import (
    EnsureManualLinkRequest,
    FindLinksReply,
    FindLinksRequest,
    GetLinkedAccountRequest,
    GetLinkedAccountsReply,
    GetLinkedAccountsRequest,
    LinkedAccount,
    ListDueReply,
    ListDueRequest,
    MfaChallenge,
    OpenReply,
    OpenRequest,
    RecordOutcomeRequest,
    SubmitMfaRequest,
)
from functions.contracts.rpc.common_pb2 import FlushOutboxReply, FlushOutboxRequest
from functions.contracts.rpc.providers_pb2 import CustomerParam, GetProviderRequest, Provider
from tests.support.fakes import LoopbackChannel
from tests.unit.account_linking_service.conftest import World

ADA = "usr_ada"
ACCOUNTS = accounts_pb2.DESCRIPTOR.services_by_name["Accounts"]
CREDENTIALS = accounts_pb2.DESCRIPTOR.services_by_name["Credentials"]


@pytest.fixture
def accounts(world: World, monkeypatch: pytest.MonkeyPatch) -> Stub:
    monkeypatch.setattr(bootstrap, "register", lambda: world.register)
    monkeypatch.setattr(bootstrap, "repair", lambda: world.repair)
    monkeypatch.setattr(bootstrap, "personal", lambda: world.personal)
    return Stub(ACCOUNTS, LoopbackChannel(LambdaRpcHandler(ACCOUNTS, rpc._build_accounts)))


@pytest.fixture
def credentials(world: World, monkeypatch: pytest.MonkeyPatch) -> Stub:
    monkeypatch.setattr(bootstrap, "door", lambda: world.door)
    return Stub(CREDENTIALS, LoopbackChannel(LambdaRpcHandler(CREDENTIALS, rpc._build_credentials)))


@pytest.fixture
def link_id(world: World) -> str:
    secrets = Secrets({"account_number": "NW12345678"}, "ada", "correct horse")
    wanted = world.providers.wanted["prv_northwind_power"]
    return world.linking.link_account(UserId(ADA), ProviderId("prv_northwind_power"), wanted, secrets, None).link_id


def test_the_handlers_serve_the_two_services() -> None:
    assert rpc.handler.service is ACCOUNTS
    assert rpc.credentials_handler.service is CREDENTIALS
    for method in ACCOUNTS.methods_by_name:
        assert callable(getattr(rpc.AccountsServicer, method))
    for method in CREDENTIALS.methods_by_name:
        assert callable(getattr(rpc.CredentialsServicer, method))


def test_links_of_a_user(accounts: Stub, link_id: str) -> None:
    reply = accounts.call("GetLinkedAccounts", GetLinkedAccountsRequest(user_id=ADA), GetLinkedAccountsReply)
    (link,) = reply.items
    assert (link.link_id, link.user_id, link.state, link.version) == (link_id, ADA, "PENDING", 1)
    assert (link.account_identifier, link.nickname, link.last_success_at) == ("****5678", "", "")
    assert not accounts.call("GetLinkedAccounts", GetLinkedAccountsRequest(), GetLinkedAccountsReply).items
    one = accounts.call("GetLinkedAccount", GetLinkedAccountRequest(link_id=link_id), LinkedAccount)
    assert one == link
    with pytest.raises(NotFound):
        accounts.call("GetLinkedAccount", GetLinkedAccountRequest(link_id=link_id, user_id="usr_bob"), LinkedAccount)


def test_an_outcome_is_recorded_once(accounts: Stub, world: World, link_id: str) -> None:
    request = RecordOutcomeRequest(
        user_id=ADA,
        link_id=link_id,
        kind=accounts_pb2.OUTCOME_KIND_SUCCESS,
        attempted_at=rfc3339(world.clock.now()).replace("Z", "789Z"),
        bill_count=4,
    )
    link = accounts.call("RecordOutcome", request, LinkedAccount)
    assert (link.state, link.bill_count, link.version) == ("ACTIVE", 4, 2)
    assert link.last_success_at == rfc3339(world.clock.now())
    assert accounts.call("RecordOutcome", request, LinkedAccount) == link


def test_a_refusal_with_an_odd_code(accounts: Stub, world: World, link_id: str) -> None:
    request = RecordOutcomeRequest(
        user_id=ADA,
        link_id=link_id,
        kind=accounts_pb2.OUTCOME_KIND_ACTION_REQUIRED,
        code="Wrong password for ada!",
        attempted_at=rfc3339(world.clock.now()),
    )
    link = accounts.call("RecordOutcome", request, LinkedAccount)
    assert (link.state, link.status_detail, link.customer_action_required) == ("ACTION_REQUIRED", "other", True)


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (RecordOutcomeRequest(attempted_at="2026-03-15T12:00:00Z"), "kind"),
        (RecordOutcomeRequest(kind=accounts_pb2.OUTCOME_KIND_SUCCESS), "attempted_at"),
        (
            RecordOutcomeRequest(kind=accounts_pb2.OUTCOME_KIND_SUCCESS, attempted_at="2026-03-15T12:00:00"),
            "attempted_at",
        ),
    ],
)
def test_an_outcome_that_says_nothing(accounts: Stub, request_: RecordOutcomeRequest, field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        accounts.call("RecordOutcome", request_, LinkedAccount)
    assert [error.field for error in refused.value.errors] == [field]


def of_kind(
    world: World, link_id: str, kind: "accounts_pb2.OutcomeKind.ValueType", **more: Any
) -> RecordOutcomeRequest:
    world.clock.advance(timedelta(seconds=1))
    return RecordOutcomeRequest(
        user_id=ADA, link_id=link_id, kind=kind, attempted_at=rfc3339(world.clock.now()), **more
    )


def test_a_first_attempt_a_challenge_its_code_and_the_end(
    accounts: Stub, credentials: Stub, world: World, link_id: str
) -> None:
    started = of_kind(world, link_id, accounts_pb2.OUTCOME_KIND_STARTED)
    assert accounts.call("RecordOutcome", started, LinkedAccount).state == "CONNECTING"
    mfa = MfaChallenge(methods=["email", "pigeon", "sms"], expires_at="2026-03-15T12:05:00Z", reference="ref-1")
    request = of_kind(world, link_id, accounts_pb2.OUTCOME_KIND_MFA_REQUIRED, code="mfa_required", mfa=mfa)

    waiting = accounts.call("RecordOutcome", request, LinkedAccount)

    assert (waiting.state, waiting.status_detail, waiting.customer_action_required) == (
        "MFA_REQUIRED",
        "mfa_required",
        True,
    )
    assert waiting.mfa == MfaChallenge(methods=["sms", "email"], expires_at="2026-03-15T12:05:00.000Z")
    submit = SubmitMfaRequest(user_id=ADA, link_id=link_id, code=" 246 810")
    assert accounts.call("SubmitMfa", submit, LinkedAccount).state == "CONNECTING"
    (opened,) = credentials.call("Open", OpenRequest(user_id=ADA, link_ids=[link_id]), OpenReply).items
    assert (opened.mfa_code, opened.mfa_reference) == ("246810", "ref-1")
    done = of_kind(world, link_id, accounts_pb2.OUTCOME_KIND_SUCCESS)
    assert not accounts.call("RecordOutcome", done, LinkedAccount).HasField("mfa")
    (after,) = credentials.call("Open", OpenRequest(user_id=ADA, link_ids=[link_id]), OpenReply).items
    assert (after.mfa_code, after.mfa_reference) == ("", "")


@pytest.mark.parametrize(
    "said", [MfaChallenge(expires_at="soon"), MfaChallenge(reference="x" * 3000), MfaChallenge(methods=["?"]), None]
)
def test_a_challenge_stands_whatever_is_wrong_with_it(
    accounts: Stub, world: World, link_id: str, said: MfaChallenge | None
) -> None:
    request = of_kind(world, link_id, accounts_pb2.OUTCOME_KIND_MFA_REQUIRED, mfa=said)
    waiting = accounts.call("RecordOutcome", request, LinkedAccount)
    assert (waiting.state, waiting.mfa) == ("MFA_REQUIRED", MfaChallenge())
    submit = SubmitMfaRequest(user_id=ADA, link_id=link_id, code="246810")
    assert accounts.call("SubmitMfa", submit, LinkedAccount).state == "CONNECTING"


def test_a_code_that_is_none_or_that_nobody_waits_for(accounts: Stub, link_id: str) -> None:
    with pytest.raises(Conflict):
        accounts.call("SubmitMfa", SubmitMfaRequest(user_id=ADA, link_id=link_id, code="246810"), LinkedAccount)
    with pytest.raises(InvalidInput):
        accounts.call("SubmitMfa", SubmitMfaRequest(user_id=ADA, link_id=link_id), LinkedAccount)
    with pytest.raises(NotFound):
        accounts.call("SubmitMfa", SubmitMfaRequest(user_id="usr_bob", link_id=link_id, code="246810"), LinkedAccount)


def test_a_utility_s_wish_is_heeded(accounts: Stub, world: World, link_id: str) -> None:
    kind = accounts_pb2.OUTCOME_KIND_TRANSIENT_FAILURE
    request = of_kind(world, link_id, kind, code="provider_throttled", retry_after_seconds=1200)
    link = accounts.call("RecordOutcome", request, LinkedAccount)
    assert link.next_refresh_at == rfc3339(world.clock.now() + timedelta(seconds=1200))


def test_links_of_an_account(accounts: Stub, link_id: str) -> None:
    request = FindLinksRequest(provider_id="prv_northwind_power", account_number="NW 1234 5678")
    (found,) = accounts.call("FindLinks", request, FindLinksReply).items
    assert (found.link_id, found.user_id, found.kind) == (link_id, ADA, "api")
    assert not accounts.call("FindLinks", FindLinksRequest(), FindLinksReply).items


def test_a_link_for_files(accounts: Stub) -> None:
    request = EnsureManualLinkRequest(user_id=ADA, provider_id="prv_green_button")
    link = accounts.call("EnsureManualLink", request, LinkedAccount)
    assert (link.kind, link.state, link.next_refresh_at, link.account_identifier) == ("manual", "ACTIVE", "", "****")
    assert accounts.call("EnsureManualLink", request, LinkedAccount) == link
    with pytest.raises(InvalidInput):
        accounts.call("EnsureManualLink", EnsureManualLinkRequest(provider_id="prv_green_button"), LinkedAccount)


def test_an_unlinked_account_takes_no_outcome(accounts: Stub, world: World, link_id: str) -> None:
    world.linking.unlink_account(UserId(ADA), link_id)
    request = RecordOutcomeRequest(
        user_id=ADA,
        link_id=link_id,
        kind=accounts_pb2.OUTCOME_KIND_SUCCESS,
        attempted_at=rfc3339(world.clock.now()),
    )
    with pytest.raises(NotFound):
        accounts.call("RecordOutcome", request, LinkedAccount)


def test_due_links_are_leased(accounts: Stub, world: World, link_id: str) -> None:
    world.clock.advance(timedelta(hours=1))
    reply = accounts.call("ListDue", ListDueRequest(limit=5, lease_seconds=60), ListDueReply)
    assert [link.link_id for link in reply.items] == [link_id]
    assert reply.items[0].next_refresh_at == rfc3339(world.clock.now() + timedelta(seconds=60))
    assert not accounts.call("ListDue", ListDueRequest(limit=5, lease_seconds=60), ListDueReply).items


def test_the_outbox_is_flushed(accounts: Stub, world: World) -> None:
    world.publisher.down = True
    wanted = world.providers.wanted["prv_northwind_power"]
    secrets = Secrets({"account_number": "NW12345678"}, "ada", "correct horse")
    world.linking.link_account(UserId(ADA), ProviderId("prv_northwind_power"), wanted, secrets, None)
    world.publisher.down = False
    world.clock.advance(timedelta(minutes=1))
    reply = accounts.call("FlushOutbox", FlushOutboxRequest(limit=10), FlushOutboxReply)
    assert (reply.published, reply.more) == (1, False)
    assert world.publisher.types == ["account.linked.v1"]


def test_credentials_open_for_their_owner_alone(credentials: Stub, link_id: str) -> None:
    reply = credentials.call("Open", OpenRequest(user_id=ADA, link_ids=[link_id, new_id("lnk")]), OpenReply)
    (opened,) = reply.items
    assert (opened.link_id, opened.provider_id) == (link_id, "prv_northwind_power")
    assert (dict(opened.params), opened.username, opened.password) == (
        {"account_number": "NW12345678"},
        "ada",
        "correct horse",
    )
    assert not credentials.call("Open", OpenRequest(user_id="usr_bob", link_ids=[link_id]), OpenReply).items
    assert not credentials.call("Open", OpenRequest(link_ids=[link_id]), OpenReply).items
    assert not credentials.call("Open", OpenRequest(user_id=ADA), OpenReply).items


class FakeRegistry:
    def GetProvider(self, request: GetProviderRequest, _context: RpcContext) -> Provider:
        if request.provider_id != "prv_northwind_power":
            raise NotFound("nobody knows it")
        param = CustomerParam(name="account_number", regex="[0-9]+", min_length=1, max_length=9, secret=True)
        return Provider(provider_id=request.provider_id, customer_params=[param])


def test_what_the_registry_says_of_a_provider() -> None:
    service = providers_pb2.DESCRIPTOR.services_by_name["Providers"]
    channel = LoopbackChannel(LambdaRpcHandler(service, FakeRegistry))
    providers = RegisteredProviders(Stub(service, channel))
    (param,) = providers.customer_params(ProviderId("prv_northwind_power"))
    assert (param.name, param.regex, param.min_length, param.max_length) == ("account_number", "[0-9]+", 1, 9)
    assert (param.secret, param.optional) == (True, False)
    with pytest.raises(NotFound) as refused:
        providers.customer_params(ProviderId("prv_other"))
    assert refused.value.code == "provider_not_found"
    channel.down = True
    with pytest.raises(Unavailable):
        providers.customer_params(ProviderId("prv_northwind_power"))
