"""What the aggregator asks of other services, and how it reads their answers."""

import re
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from functions.bill_aggregation_service.clients import AccountsClient, CredentialsClient, ProvidersClient
from functions.bill_aggregation_service.model import Link, LinkId, Outcome, ProviderId
from functions.bill_aggregation_service.upsert import Attempt, MfaChallenge
from functions.common.clock import rfc3339
from functions.common.errors import NotFound
from functions.common.rpc.client import Stub
from functions.common.rpc.server import LambdaRpcHandler
from functions.contracts.rpc import accounts_pb2, providers_pb2
from tests.support.fakes import LoopbackChannel
from tests.unit.bill_aggregation_service.fakes import LINK, OTHER_LINK, PROVIDER, USER

NOON = datetime(2026, 3, 5, 12, tzinfo=UTC)


class Servicer:
    """Accounts, Credentials and Providers at once."""

    def __init__(self) -> None:
        self.asked = 0
        self.recorded: list[accounts_pb2.RecordOutcomeRequest] = []
        self.health = "up"
        self.reported_at = ""

    def Open(self, request: accounts_pb2.OpenRequest, context: object) -> accounts_pb2.OpenReply:
        opened = accounts_pb2.OpenedAccount(
            link_id=request.link_ids[0],
            provider_id="prv_x",
            params={"a": "1"},
            username="jane",
            password="s3cret",
            mfa_code="246810",
            mfa_reference="ref-1",
        )
        return accounts_pb2.OpenReply(items=[opened])

    def GetProvider(self, request: providers_pb2.GetProviderRequest, context: object) -> providers_pb2.Provider:
        self.asked += 1
        if request.provider_id != "prv_x":
            raise NotFound("There is no such provider.")
        return providers_pb2.Provider(
            provider_id="prv_x", name="X", service_types=["gas"], currency="EUR", time_zone="UTC", adapter="bbps",
            base_url="https://x.example", health=providers_pb2.ProviderHealth(state=self.health),
        )  # fmt: skip

    def ReportHealth(
        self, request: providers_pb2.ReportHealthRequest, context: object
    ) -> providers_pb2.ReportHealthReply:
        self.health, self.reported_at = request.state, request.at
        return providers_pb2.ReportHealthReply(changed=True)

    def GetLinkedAccounts(self, request: object, context: object) -> accounts_pb2.GetLinkedAccountsReply:
        items = [
            accounts_pb2.LinkedAccount(link_id=LINK, provider_id="prv_x", state="ACTIVE"),
            accounts_pb2.LinkedAccount(link_id=OTHER_LINK, provider_id="prv_x", state="REVOKED"),
            accounts_pb2.LinkedAccount(link_id="lnk_files", provider_id="prv_y", state="ACTIVE", kind="manual"),
        ]
        return accounts_pb2.GetLinkedAccountsReply(items=items)

    def RecordOutcome(self, request: accounts_pb2.RecordOutcomeRequest, context: object) -> accounts_pb2.LinkedAccount:
        self.recorded.append(request)
        return accounts_pb2.LinkedAccount()


@pytest.fixture
def servicer() -> Servicer:
    return Servicer()


def stub(servicer: Servicer, name: str) -> Stub:
    descriptor = (providers_pb2 if name == "Providers" else accounts_pb2).DESCRIPTOR.services_by_name[name]
    return Stub(descriptor, LoopbackChannel(LambdaRpcHandler(descriptor, lambda: servicer)))


def test_credentials(servicer: Servicer) -> None:
    opened = CredentialsClient(stub(servicer, "Credentials")).open(USER, [LINK])

    assert list(opened) == [LINK]
    assert (opened[LINK].username, opened[LINK].password, opened[LINK].params) == ("jane", "s3cret", {"a": "1"})
    assert (opened[LINK].mfa_code, opened[LINK].mfa_reference) == ("246810", "ref-1")
    assert not {"s3cret", "246810", "ref-1"} & set(re.findall(r"[\w-]+", repr(opened)))


def test_after_a_report_of_health_the_registry_is_asked_anew(servicer: Servicer) -> None:
    providers = ProvidersClient(stub(servicer, "Providers"))
    assert providers.get(ProviderId("prv_x")).health == "up"

    providers.report_health(ProviderId("prv_x"), "down", NOON)

    assert servicer.reported_at == rfc3339(NOON)
    assert providers.get(ProviderId("prv_x")).health == "down"


def test_a_provider_is_asked_for_once_a_minute(servicer: Servicer) -> None:
    now = [0.0]
    providers = ProvidersClient(stub(servicer, "Providers"), lambda: now[0])

    assert providers.get(ProviderId("prv_x")).service_types == ("gas",)
    now[0] = 59.0
    assert providers.get(ProviderId("prv_x")).base_url == "https://x.example"
    assert servicer.asked == 1
    now[0] = 60.0
    providers.get(ProviderId("prv_x"))
    assert servicer.asked == 2
    with pytest.raises(NotFound):
        providers.get(ProviderId("prv_y"))


def test_links_that_are_read_at_once_ask_for_their_provider_once(servicer: Servicer) -> None:
    providers = ProvidersClient(stub(servicer, "Providers"))
    together = threading.Barrier(8)

    def get(_: int) -> str:
        together.wait(10)
        return providers.get(ProviderId("prv_x")).name

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(get, range(8))) == ["X"] * 8
    assert servicer.asked == 1


def test_linked_leaves_out_what_is_unlinked_and_what_files_feed(servicer: Servicer) -> None:
    assert AccountsClient(stub(servicer, "Accounts")).linked(USER) == {LinkId(LINK): ProviderId("prv_x")}


@pytest.mark.parametrize(
    ("outcome", "kind", "count"),
    [
        (Outcome.SUCCESS, accounts_pb2.OUTCOME_KIND_SUCCESS, 7),
        (Outcome.FAILED, accounts_pb2.OUTCOME_KIND_TRANSIENT_FAILURE, 0),
        (Outcome.ACTION_REQUIRED, accounts_pb2.OUTCOME_KIND_ACTION_REQUIRED, 0),
    ],
)
def test_record_outcome(servicer: Servicer, outcome: Outcome, kind: int, count: int) -> None:
    attempt = Attempt(datetime(2026, 3, 15, tzinfo=UTC), outcome, PROVIDER, (), "why")

    AccountsClient(stub(servicer, "Accounts")).record_outcome(Link(user_id=USER, link_id=LINK, bill_count=7), attempt)

    (sent,) = servicer.recorded
    assert (sent.user_id, sent.link_id, sent.kind, sent.code) == (USER, LINK, kind, "why")
    assert (sent.attempted_at, sent.bill_count) == ("2026-03-15T00:00:00.000Z", count)


def test_the_first_attempt_and_what_a_utility_wants(servicer: Servicer) -> None:
    accounts = AccountsClient(stub(servicer, "Accounts"))
    began = datetime(2026, 3, 15, tzinfo=UTC)
    link = Link(user_id=USER, link_id=LINK)
    plain = MfaChallenge(("email", "sms"), "ref-1", datetime(2026, 3, 15, 0, 5, tzinfo=UTC))
    wrong = MfaChallenge(("sms",), "ref-2", None, code_refused=True)

    accounts.record_started(USER, LINK, began)
    for mfa in (plain, wrong):
        accounts.record_outcome(link, Attempt(began, Outcome.ACTION_REQUIRED, PROVIDER, (), "mfa_required", mfa=mfa))
    accounts.record_outcome(link, Attempt(began, Outcome.FAILED, PROVIDER, (), "provider_throttled", retry_after=120))

    started, first, second, throttled = servicer.recorded
    assert (started.kind, started.link_id) == (accounts_pb2.OUTCOME_KIND_STARTED, LINK)
    assert started.attempted_at == "2026-03-15T00:00:00.000Z"
    assert (first.kind, first.code) == (accounts_pb2.OUTCOME_KIND_MFA_REQUIRED, "mfa_required")
    assert (list(first.mfa.methods), first.mfa.reference) == (["email", "sms"], "ref-1")
    assert first.mfa.expires_at == "2026-03-15T00:05:00.000Z"
    assert (second.code, second.mfa.expires_at) == ("mfa_code_invalid", "")
    assert (throttled.retry_after_seconds, throttled.HasField("mfa")) == (120, False)
