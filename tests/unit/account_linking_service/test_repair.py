"""A user brings a link back: another login, or the code that the utility waits for."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from functions.account_linking_service.credentials import Login, MfaCode, Sealed, Secrets
from functions.account_linking_service.items_table import CODE, LinkItem, LinkKeyItem
from functions.account_linking_service.linking_table import LinkingTable
from functions.account_linking_service.model import Link, LinkChanged, LinkId, MfaChallenge, Outcome, ProviderId, UserId
from functions.account_linking_service.repair import LinkRepair
from functions.account_linking_service.states import LinkEvent, LinkState
from functions.common.errors import Conflict, NotFound, PreconditionFailed, Unavailable
from functions.common.ids import new_id
from functions.common.outbox import Outbox, Pending
from functions.contracts.events.accounts import AccountStateChangedV1
from functions.contracts.events.bills import BillsRefreshRequestedV1
from functions.contracts.events.envelope import unwrap
from tests.unit.account_linking_service.conftest import KEYS, LINKS, World

ADA, BOB = UserId("usr_ada"), UserId("usr_bob")
NEW = Login("ada.new", "a better horse")


def linked(world: World, number: str = "NW12345678") -> Link:
    wanted = world.providers.wanted["prv_northwind_power"]
    secrets = Secrets({"account_number": number}, "ada", "correct horse")
    return world.linking.link_account(ADA, ProviderId("prv_northwind_power"), wanted, secrets, None)


def recorded(world: World, link: Link, event: LinkEvent, code: str = "", mfa: MfaChallenge | None = None) -> Link:
    world.clock.advance(timedelta(seconds=1))
    return world.register.record_outcome(ADA, link.link_id, Outcome(event, world.clock.now(), code, 2, mfa))


def challenged(world: World, link: Link, lives: timedelta | None = timedelta(minutes=5)) -> Link:
    expires_at = world.clock.now() + timedelta(seconds=1) + lives if lives is not None else None
    mfa = MfaChallenge(("sms", "email"), expires_at, "ref-1")
    return recorded(world, link, LinkEvent.MFA_REQUESTED, "mfa_required", mfa)


def opened(world: World, link: Link) -> tuple[str, str, MfaCode | None]:
    (found,) = world.door.open(ADA, [link.link_id])
    return found.secrets.username, found.secrets.password, found.mfa


# another login


def test_a_new_login_brings_a_refused_link_back(world: World) -> None:
    link = recorded(world, linked(world), LinkEvent.REFUSED, "invalid_credentials")
    world.publisher.events.clear()
    world.clock.advance(timedelta(hours=1))

    after = world.repair.replace_credentials(ADA, link.link_id, NEW)

    assert (after.state, after.status_detail, after.consecutive_failures) == (LinkState.CONNECTING, "", 0)
    assert after.next_refresh_at == world.clock.now() + timedelta(minutes=2)
    assert after == world.linking.get_account(ADA, link.link_id)
    assert opened(world, link) == ("ada.new", "a better horse", None)
    assert recorded(world, after, LinkEvent.SUCCEEDED).state is LinkState.ACTIVE


def test_it_is_announced_and_read_at_once(world: World) -> None:
    link = recorded(world, linked(world), LinkEvent.REFUSED, "invalid_credentials")
    world.publisher.events.clear()

    world.repair.replace_credentials(ADA, link.link_id, NEW)

    changed, wanted = world.publisher.events
    said = unwrap(changed, AccountStateChangedV1)
    assert (said.previous_state, said.state, said.version) == ("ACTION_REQUIRED", "CONNECTING", link.version + 1)
    asked = unwrap(wanted, BillsRefreshRequestedV1)
    assert (asked.user_id, asked.link_id, asked.reason, asked.job_id) == (ADA, link.link_id, "user", "")
    assert LinkItem.get(ADA, link.link_id).outbox is None


def test_the_wish_to_be_read_waits_for_the_broker(world: World) -> None:
    link = linked(world)
    world.publisher.down = True
    world.repair.replace_credentials(ADA, link.link_id, NEW)
    world.publisher.down = False
    world.clock.advance(timedelta(minutes=1))

    assert world.register.flush_outbox(10) == (1, False)

    assert world.publisher.types[1:] == ["account.state_changed.v1", "bills.refresh_requested.v1"]


def test_the_last_of_several_logins_counts(world: World) -> None:
    link = linked(world)
    for number in range(3):
        world.repair.replace_credentials(ADA, link.link_id, Login(f"ada{number}", f"password {number}"))

    assert opened(world, link) == ("ada2", "password 2", None)


def test_what_an_older_attempt_says_of_the_old_login_is_not_believed(world: World) -> None:
    link = linked(world)
    began = world.clock.now()
    world.clock.advance(timedelta(seconds=5))
    repaired = world.repair.replace_credentials(ADA, link.link_id, NEW)
    world.clock.advance(timedelta(seconds=5))

    late = world.register.record_outcome(ADA, link.link_id, Outcome(LinkEvent.REFUSED, began, "invalid_credentials"))

    assert late == repaired


@pytest.mark.parametrize("link_id", ["lnk_short", "", new_id("lnk")], ids=["short", "empty", "of nobody"])
def test_an_unknown_link_cannot_be_repaired(world: World, link_id: str) -> None:
    with pytest.raises(NotFound):
        world.repair.replace_credentials(ADA, link_id, NEW)
    with pytest.raises(NotFound):
        world.repair.submit_mfa(ADA, link_id, "246810")


def test_another_users_link_cannot_be_repaired(world: World) -> None:
    link = challenged(world, linked(world))
    with pytest.raises(NotFound):
        world.repair.replace_credentials(BOB, link.link_id, NEW)
    with pytest.raises(NotFound):
        world.repair.submit_mfa(BOB, link.link_id, "246810")
    assert opened(world, link) == ("ada", "correct horse", None)


def test_whoever_forbids_it_sees_the_link_as_it_is(world: World) -> None:
    link = linked(world)

    def check(seen: Link) -> None:
        assert seen == link
        raise PreconditionFailed("no")

    with pytest.raises(PreconditionFailed):
        world.repair.replace_credentials(ADA, link.link_id, NEW, check)
    assert opened(world, link) == ("ada", "correct horse", None)


def test_a_link_fed_by_files_has_no_login(world: World) -> None:
    manual = world.register.ensure_manual_link(ADA, "prv_green_button")
    with pytest.raises(Conflict) as refused:
        world.repair.replace_credentials(ADA, manual.link_id, NEW)
    assert refused.value.code == "link_is_manual"


class Overtaken(LinkingTable):
    """Somebody else is always faster."""

    def replace_login(self, seen: Link, changed: Link, login: Sealed, events: Sequence[str]) -> Pending:
        raise LinkChanged


def test_who_is_always_overtaken_may_try_again(world: World) -> None:
    link = linked(world)
    table = Overtaken(LINKS, KEYS, world.clock)
    repair = LinkRepair(table, world.vault, Outbox(table, world.publisher), world.clock)
    with pytest.raises(Unavailable):
        repair.replace_credentials(ADA, link.link_id, NEW)


def test_a_login_given_while_the_account_is_unlinked_leaves_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = linked(world)
    seal = world.vault.seal

    def overtaken(link_id: LinkId, clear: Login) -> Sealed:
        monkeypatch.setattr(world.vault, "seal", seal)
        world.linking.unlink_account(ADA, link.link_id)
        return seal(link_id, clear)

    monkeypatch.setattr(world.vault, "seal", overtaken)
    with pytest.raises(NotFound):
        world.repair.replace_credentials(ADA, link.link_id, NEW)
    assert LinkKeyItem.count() == 0
    assert LinkItem.get(ADA, link.link_id).login_ciphertext is None


def test_a_login_or_code_given_while_the_keys_are_purged_leaves_nothing(world: World) -> None:
    link = challenged(world, linked(world))
    LinkKeyItem(link.link_id).delete()
    with pytest.raises(Unavailable):
        world.repair.replace_credentials(ADA, link.link_id, NEW)
    with pytest.raises(Unavailable):
        world.repair.submit_mfa(ADA, link.link_id, "246810")
    assert LinkKeyItem.count() == 0


# the code


def test_a_code_is_handed_out_with_what_the_utility_wants_back(world: World) -> None:
    link = challenged(world, linked(world))
    assert (link.state, link.customer_action_required) == (LinkState.MFA_REQUIRED, True)
    world.publisher.events.clear()

    after = world.repair.submit_mfa(ADA, link.link_id, "246810")

    assert (after.state, after.mfa, after.customer_action_required) == (LinkState.CONNECTING, None, False)
    assert opened(world, link) == ("ada", "correct horse", MfaCode("246810", "ref-1"))
    assert world.publisher.types == ["account.state_changed.v1", "bills.refresh_requested.v1"]


@pytest.mark.parametrize(
    ("event", "code", "state"),
    [
        (LinkEvent.SUCCEEDED, "", LinkState.ACTIVE),
        (LinkEvent.MFA_REQUESTED, "mfa_code_invalid", LinkState.MFA_REQUIRED),
        (LinkEvent.REFUSED, "locked", LinkState.ACTION_REQUIRED),
        (LinkEvent.FAILED, "provider_unavailable", LinkState.CONNECTING),
    ],
)
def test_the_next_outcome_ends_the_code(world: World, event: LinkEvent, code: str, state: LinkState) -> None:
    link = challenged(world, linked(world))
    world.repair.submit_mfa(ADA, link.link_id, "246810")

    after = recorded(world, link, event, code, MfaChallenge(("app",)) if event is LinkEvent.MFA_REQUESTED else None)

    assert (after.state, after.status_detail) == (state, code)
    assert [item.link_id for item in LinkKeyItem.scan()] == [link.link_id]
    assert opened(world, link) == ("ada", "correct horse", None)
    assert LinkItem.get(ADA, link.link_id).mfa_reference is None


def test_an_attempt_from_before_the_code_does_not_end_it(world: World) -> None:
    link = challenged(world, linked(world))
    began = world.clock.now() + timedelta(seconds=1)
    world.clock.advance(timedelta(seconds=2))
    world.repair.submit_mfa(ADA, link.link_id, "246810")

    late = world.register.record_outcome(
        ADA, link.link_id, Outcome(LinkEvent.MFA_REQUESTED, began, mfa=MfaChallenge(("sms",), None, "ref-0"))
    )

    assert late.state is LinkState.CONNECTING
    assert opened(world, link)[2] == MfaCode("246810", "ref-1")


def test_the_beginning_of_an_attempt_does_not_end_it_either(world: World) -> None:
    link = challenged(world, linked(world))
    world.repair.submit_mfa(ADA, link.link_id, "246810")
    recorded(world, link, LinkEvent.STARTED)
    assert opened(world, link)[2] == MfaCode("246810", "ref-1")


@pytest.mark.parametrize("event", [None, LinkEvent.SUCCEEDED, LinkEvent.REFUSED, LinkEvent.FAILED])
def test_a_code_that_nobody_waits_for_is_refused(world: World, event: LinkEvent | None) -> None:
    link = linked(world)
    if event:
        recorded(world, link, event, "some_reason")
    with pytest.raises(Conflict) as refused:
        world.repair.submit_mfa(ADA, link.link_id, "246810")
    assert refused.value.code == "mfa_not_required"
    assert LinkKeyItem.count() == 1


def test_a_code_twice_is_refused(world: World) -> None:
    link = challenged(world, linked(world))
    world.repair.submit_mfa(ADA, link.link_id, "246810")
    with pytest.raises(Conflict) as refused:
        world.repair.submit_mfa(ADA, link.link_id, "246810")
    assert refused.value.code == "mfa_not_required"


def test_a_code_that_comes_too_late_is_refused_and_a_new_challenge_helps(world: World) -> None:
    link = challenged(world, linked(world), lives=timedelta(minutes=5))
    world.clock.advance(timedelta(minutes=5))
    with pytest.raises(Conflict) as refused:
        world.repair.submit_mfa(ADA, link.link_id, "246810")
    assert refused.value.code == "mfa_expired"

    challenged(world, link)
    assert world.repair.submit_mfa(ADA, link.link_id, "135791").state is LinkState.CONNECTING


def test_a_code_is_not_handed_out_past_its_time(world: World) -> None:
    link = challenged(world, linked(world), lives=timedelta(minutes=5))
    world.repair.submit_mfa(ADA, link.link_id, "246810")
    world.clock.advance(timedelta(minutes=5))
    assert opened(world, link) == ("ada", "correct horse", None)


def test_a_code_without_an_end_lives_for_ten_minutes(world: World) -> None:
    link = challenged(world, linked(world), lives=None)
    world.repair.submit_mfa(ADA, link.link_id, "246810")
    assert LinkKeyItem.get(link.link_id + CODE).expires_at == world.clock.now() + timedelta(minutes=10)


def test_a_new_login_ends_challenge_and_code(world: World) -> None:
    waiting = challenged(world, linked(world))
    after = world.repair.replace_credentials(ADA, waiting.link_id, NEW)
    assert (after.state, after.mfa) == (LinkState.CONNECTING, None)

    challenged(world, waiting)
    world.repair.submit_mfa(ADA, waiting.link_id, "246810")
    world.repair.replace_credentials(ADA, waiting.link_id, NEW)
    assert [item.link_id for item in LinkKeyItem.scan()] == [waiting.link_id]
    assert opened(world, waiting) == ("ada.new", "a better horse", None)


def test_unlinking_ends_the_code(world: World) -> None:
    link = challenged(world, linked(world))
    world.repair.submit_mfa(ADA, link.link_id, "246810")
    world.linking.unlink_account(ADA, link.link_id)
    assert LinkKeyItem.count() == 0
    assert world.door.open(ADA, [link.link_id]) == []


def test_an_outage_while_the_utility_waits_keeps_the_challenge(world: World) -> None:
    link = challenged(world, linked(world))
    after = recorded(world, link, LinkEvent.FAILED, "provider_unavailable")
    assert (after.state, after.mfa, after.status_detail) == (LinkState.MFA_REQUIRED, link.mfa, "mfa_required")
    assert world.repair.submit_mfa(ADA, link.link_id, "246810").state is LinkState.CONNECTING


def test_the_link_changed_between_look_and_code(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The version is the condition: the second look decides."""
    link = challenged(world, linked(world))
    original, seen = world.table.get, [replace(link, version=link.version + 7)]
    monkeypatch.setattr(world.table, "get", lambda user, link_id: seen.pop() if seen else original(user, link_id))
    assert world.repair.submit_mfa(ADA, link.link_id, "246810").version == link.version + 1


def test_what_is_answered_is_what_is_kept(world: World) -> None:
    link = challenged(world, linked(world))
    after = world.repair.submit_mfa(ADA, link.link_id, "246810")
    assert world.linking.get_account(ADA, link.link_id) == after
