"""A bill on paper: who gets it, what the utility is asked, and what becomes of a refusal."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from functions.bill_aggregation_service.adapters.base import (
    Access,
    BadCredentials,
    ConsentExpired,
    DocumentUnusable,
    Locked,
    MfaRequired,
    NoDocument,
    ProviderDown,
    ProviderError,
    ProviderMisconfigured,
    ProviderThrottled,
    ProviderTimeout,
)
from functions.bill_aggregation_service.documents import Present
from functions.bill_aggregation_service.model import LinkId, Outcome, Provider, UserId
from functions.bill_aggregation_service.refresh import T
from functions.common.context import invocation
from functions.common.errors import Conflict, InvalidInput, NotFound, Unavailable
from functions.contracts.rpc.bills_pb2 import FetchDocumentReply, FetchDocumentRequest
from tests.unit.bill_aggregation_service.fakes import LINK, PROVIDER, USER, World, fetched

SOMEBODY = UserId("usr_01JD3N8Z6W3V9K4T7Q2M5XBRPZ")
PDF = b"%PDF-1.4\n\xe2\xe3"


@pytest.fixture
def world() -> World:
    """A household whose utility gives one of two bills on paper."""
    built = World()
    built.answers = [[fetched("paper", document_url="/paper.pdf?token=1"), fetched("none")]]
    built.papers = [PDF]
    built.refresher.refresh_link(USER, LINK)
    return built


def bill_id(world: World, number: str = "paper") -> str:
    return next(bill.bill_id for bill in world.store.kept.values() if bill.content.external_bill_id == number)


def fetch(world: World, number: str = "paper", user_id: UserId = USER) -> bytes:
    return world.documents.fetch_document(user_id, bill_id(world, number))


def test_the_utility_is_asked_with_the_users_login(world: World) -> None:
    assert fetch(world) == PDF

    ((access, reference),) = world.asked_for
    assert reference == "/paper.pdf?token=1"
    assert (access.provider, access.username, access.password) == (PROVIDER, "good", "s3cret")
    assert len(world.services.outcomes) == 1, "a document says nothing of how reading bills goes"


def test_a_bill_without_one(world: World) -> None:
    with pytest.raises(NotFound) as refused:
        fetch(world, "none")

    assert refused.value.code == "no_document"
    assert world.asked_for == []


@pytest.mark.parametrize("asked", ["", "bil_1", "bil_01JD3N8Z6W3V9K4T7Q2M5XBRPC", LINK])
def test_a_bill_that_is_none(world: World, asked: str) -> None:
    with pytest.raises(NotFound) as refused:
        world.documents.fetch_document(USER, asked)

    assert refused.value.code == "bill_not_found"


def test_a_bill_of_somebody_else_or_of_an_account_that_is_gone(world: World) -> None:
    asked = bill_id(world)
    with pytest.raises(NotFound) as of_somebody:
        world.documents.fetch_document(SOMEBODY, asked)
    world.store.rows[USER, LINK] = replace(world.store.rows[USER, LINK], gone=True)
    with pytest.raises(NotFound) as of_nobody:
        world.documents.fetch_document(USER, asked)

    assert (of_somebody.value.code, of_nobody.value.code) == ("bill_not_found", "bill_not_found")
    assert world.asked_for == []


def test_an_account_that_was_unlinked_a_moment_ago(world: World) -> None:
    world.services.vanished.add(LINK)

    with pytest.raises(NotFound) as refused:
        fetch(world)

    assert refused.value.code == "link_not_found"


@pytest.mark.parametrize("state", ["ACTION_REQUIRED", "MFA_REQUIRED"])
def test_a_utility_that_waits_for_the_user_is_not_asked(world: World, state: str) -> None:
    world.store.rows[USER, LINK] = replace(world.store.rows[USER, LINK], state=state)

    with pytest.raises(Conflict) as refused:
        fetch(world)

    assert refused.value.code == "action_required"
    assert world.asked_for == []


@pytest.mark.parametrize(
    "error", [BadCredentials(), Locked(), ConsentExpired(), MfaRequired(["sms"], "ref-1", expires_in=300)]
)
def test_what_the_utility_wants_of_the_user_is_written_down(world: World, error: ProviderError) -> None:
    """So that the account says it, and a code can be answered."""
    world.papers = [error]

    with pytest.raises(Conflict) as refused:
        fetch(world)

    assert refused.value.code == "action_required"
    link, attempt = world.services.outcomes[-1]
    assert (link.link_id, attempt.outcome, attempt.error_code) == (LINK, Outcome.ACTION_REQUIRED, error.code)
    assert world.store.rows[USER, LINK].outcome is Outcome.ACTION_REQUIRED
    assert (attempt.mfa is not None and attempt.mfa.reference) == (isinstance(error, MfaRequired) and "ref-1")


def test_a_code_that_waits_for_the_refresh_is_left_to_it(world: World) -> None:
    world.services.mfa = ("246810", "ref-1")

    with pytest.raises(Unavailable) as refused:
        fetch(world)

    assert (refused.value.code, refused.value.retry_after) == ("link_connecting", 5)
    assert world.asked_for == []


@pytest.mark.parametrize(
    ("error", "code", "retry_after"),
    [
        (ProviderDown(), "provider_unavailable", 5),
        (ProviderDown(retry_after=30), "provider_unavailable", 30),
        (ProviderTimeout(), "provider_timeout", 5),
        (ProviderThrottled(retry_after=120), "provider_throttled", 120),
        (ProviderMisconfigured(), "provider_misconfigured", 3600),
        (DocumentUnusable(), "document_unusable", 3600),
    ],
)
def test_a_utility_that_cannot_give_it_now(world: World, error: ProviderError, code: str, retry_after: int) -> None:
    world.papers = [error]

    with pytest.raises(Unavailable) as refused:
        fetch(world)

    assert (refused.value.code, refused.value.retry_after) == (code, retry_after)
    assert len(world.services.outcomes) == 1


def test_a_utility_that_gives_it_no_more(world: World) -> None:
    world.papers = [NoDocument()]

    with pytest.raises(NotFound) as refused:
        fetch(world)

    assert refused.value.code == "no_document"


def test_a_provider_out_of_service_is_not_asked(world: World) -> None:
    world.services.providers[PROVIDER.provider_id] = replace(PROVIDER, deactivated=True)

    with pytest.raises(Unavailable) as refused:
        fetch(world)

    assert refused.value.code == "provider_deactivated"
    assert world.asked_for == []


def test_a_reference_that_has_had_its_time_is_found_by_the_bill(world: World) -> None:
    shown = [fetched("other", document_url="/other.pdf"), fetched("paper ", document_url="/paper.pdf?token=2")]
    found: list[str | None] = []

    def moved(_access: Access, _reference: str, present: Present) -> bytes:
        found.extend([present(shown), present(shown[:1])])
        return PDF

    world.papers = [moved]

    assert fetch(world) == PDF
    assert found == ["/paper.pdf?token=2", None]


def test_it_passes_what_stands_before_a_utility(world: World) -> None:
    guarded: list[tuple[str, LinkId, float]] = []

    def guard(provider: Provider, link_id: LinkId, seconds: float, fetch: Callable[[float], T]) -> T:
        guarded.append((provider.provider_id, link_id, seconds))
        return fetch(seconds)

    world.refresher = replace(world.refresher, guard=guard)
    with invocation("c", 13.0):
        fetch(world)

    ((provider_id, link_id, seconds),) = guarded
    assert (provider_id, link_id) == (PROVIDER.provider_id, LINK)
    assert 9.0 < seconds <= 10.0


def test_without_time_the_utility_is_not_asked(world: World) -> None:
    with invocation("c", 2.0), pytest.raises(Unavailable) as refused:
        fetch(world)

    assert refused.value.code == "provider_timeout"
    assert world.asked_for == []


def test_by_rpc(world: World) -> None:
    asked = FetchDocumentRequest(user_id=USER, bill_id=bill_id(world))

    reply = world.rpc.call("FetchDocument", asked, FetchDocumentReply)

    assert (reply.content, reply.content_type) == (PDF, "application/pdf")
    with pytest.raises(InvalidInput) as refused:
        world.rpc.call("FetchDocument", FetchDocumentRequest(), FetchDocumentReply)
    assert [error.field for error in refused.value.errors] == ["user_id", "bill_id"]
    world.papers = [Locked()]
    with pytest.raises(Conflict) as conflict:
        world.rpc.call("FetchDocument", asked, FetchDocumentReply)
    assert conflict.value.code == "action_required"
