"""What other services ask of links and tell of them."""

from collections.abc import Sequence
from datetime import timedelta

import pytest

from functions.account_linking_service.credentials import Secrets
from functions.account_linking_service.items_table import LinkItem
from functions.account_linking_service.linking_table import LinkingTable
from functions.account_linking_service.model import (
    AlreadyLinked,
    Link,
    LinkChanged,
    LinkKind,
    MfaChallenge,
    Outcome,
    ProviderId,
    UserId,
)
from functions.account_linking_service.register import LinkRegister
from functions.account_linking_service.states import LinkEvent, LinkState
from functions.common.errors import InvalidInput, NotFound, Unauthenticated, Unavailable
from functions.common.outbox import Outbox, Pending
from functions.contracts.events.accounts import AccountLinkedV1, AccountStateChangedV1
from functions.contracts.events.envelope import unwrap
from tests.unit.account_linking_service.conftest import KEYS, LINKS, LOOKUP_KEY, World

ADA, BOB = UserId("usr_ada"), UserId("usr_bob")
NORTHWIND = ProviderId("prv_northwind_power")
FILES = "prv_green_button"


def linked(world: World, number: str = "NW12345678", user_id: UserId = ADA) -> Link:
    wanted = world.providers.wanted["prv_northwind_power"]
    secrets = Secrets({"account_number": number}, "ada", "correct horse")
    return world.linking.link_account(user_id, NORTHWIND, wanted, secrets, "home")


def outcome(world: World, event: LinkEvent = LinkEvent.SUCCEEDED, code: str = "") -> Outcome:
    world.clock.advance(timedelta(seconds=1))
    return Outcome(event, world.clock.now(), code, 2)


class Writes:
    """Counts what goes to the table."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.updates = 0
        original = LinkItem.update

        def counting(item: LinkItem, *args: object, **kwargs: object) -> object:
            self.updates += 1
            return original(item, *args, **kwargs)  # type: ignore[arg-type]  # handed through

        monkeypatch.setattr(LinkItem, "update", counting)


def test_a_changed_state_is_announced(world: World) -> None:
    link = linked(world)
    after = world.register.record_outcome(ADA, link.link_id, outcome(world))
    assert (after.state, after.bill_count) == (LinkState.ACTIVE, 2)
    said = unwrap(world.publisher.events[-1], AccountStateChangedV1)
    assert (said.previous_state, said.state, said.version) == ("PENDING", "ACTIVE", 2)
    world.register.record_outcome(ADA, link.link_id, outcome(world, LinkEvent.REFUSED, "invalid_credentials"))
    said = unwrap(world.publisher.events[-1], AccountStateChangedV1)
    assert (said.previous_state, said.state, said.status_detail) == ("ACTIVE", "ACTION_REQUIRED", "invalid_credentials")


def test_an_unchanged_state_costs_one_update_and_no_event(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    link = linked(world)
    world.register.record_outcome(ADA, link.link_id, outcome(world))
    world.publisher.events.clear()
    writes = Writes(monkeypatch)
    after = world.register.record_outcome(ADA, link.link_id, outcome(world))
    assert (writes.updates, world.publisher.events) == (1, [])
    assert after == world.linking.get_account(ADA, link.link_id)


def test_a_repeated_or_late_outcome_changes_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    link = linked(world)
    late = outcome(world, LinkEvent.REFUSED, "locked")
    latest = outcome(world)
    after = world.register.record_outcome(ADA, link.link_id, latest)
    writes = Writes(monkeypatch)
    assert world.register.record_outcome(ADA, link.link_id, latest) == after
    assert world.register.record_outcome(ADA, link.link_id, late) == after
    assert writes.updates == 0


def test_an_outcome_from_the_future_is_refused(world: World) -> None:
    link = linked(world)
    with pytest.raises(InvalidInput):
        world.register.record_outcome(
            ADA, link.link_id, Outcome(LinkEvent.SUCCEEDED, world.clock.now() + timedelta(hours=1))
        )


def test_due_links_are_leased_within_bounds(world: World) -> None:
    links = [linked(world, f"NW0000000{i}") for i in range(3)]
    assert world.register.list_due(10, timedelta(minutes=5)) == ([], False)
    world.clock.advance(timedelta(minutes=3))
    leased, more = world.register.list_due(10, timedelta(days=9))
    assert {link.link_id for link in leased} == {link.link_id for link in links}
    assert not more
    assert all(link.next_refresh_at == world.clock.now() + timedelta(hours=1) for link in leased)
    after = world.register.record_outcome(ADA, leased[0].link_id, outcome(world))
    assert after.next_refresh_at == world.clock.now() + timedelta(hours=6)


class Contended(LinkingTable):
    """Somebody else is faster, `times` times."""

    times = 0

    def update(self, seen: Link, changed: Link, events: Sequence[str]) -> Pending:
        if self.times > 0:
            self.times -= 1
            raise LinkChanged
        return super().update(seen, changed, events)


@pytest.mark.parametrize(("times", "succeeds"), [(1, True), (4, True), (5, False)])
def test_a_conflict_is_tried_again(world: World, times: int, succeeds: bool) -> None:
    link = linked(world)
    table = Contended(LINKS, KEYS, world.clock)
    table.times = times
    outbox = Outbox(table, world.publisher)
    register = LinkRegister(table, outbox, world.clock, world.register._schedule, lookup_key=LOOKUP_KEY)
    if succeeds:
        assert register.record_outcome(ADA, link.link_id, outcome(world)).state is LinkState.ACTIVE
    else:
        with pytest.raises(Unavailable):
            register.record_outcome(ADA, link.link_id, outcome(world))


# the first attempt


def test_the_first_attempt_shows(world: World) -> None:
    link = linked(world)
    after = world.register.record_outcome(ADA, link.link_id, outcome(world, LinkEvent.STARTED))
    assert (after.state, after.last_attempt_at, after.version) == (LinkState.CONNECTING, None, 2)
    assert after.next_refresh_at == link.next_refresh_at
    said = unwrap(world.publisher.events[-1], AccountStateChangedV1)
    assert (said.previous_state, said.state) == ("PENDING", "CONNECTING")


def test_an_attempt_that_began_ends(world: World) -> None:
    """The same instant stands for both: when the fetch began."""
    link, began = linked(world), outcome(world, LinkEvent.STARTED)
    world.register.record_outcome(ADA, link.link_id, began)
    ended = Outcome(LinkEvent.SUCCEEDED, began.attempted_at, bill_count=3)
    assert world.register.record_outcome(ADA, link.link_id, ended).state is LinkState.ACTIVE


@pytest.mark.parametrize(
    ("event", "state"),
    [
        (LinkEvent.SUCCEEDED, LinkState.ACTIVE),
        (LinkEvent.REFUSED, LinkState.ACTION_REQUIRED),
        (LinkEvent.STARTED, LinkState.CONNECTING),
    ],
)
def test_a_later_beginning_costs_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch, event: LinkEvent, state: LinkState
) -> None:
    link = linked(world)
    before = world.register.record_outcome(ADA, link.link_id, outcome(world, event, "locked"))
    writes = Writes(monkeypatch)
    assert world.register.record_outcome(ADA, link.link_id, outcome(world, LinkEvent.STARTED)) == before
    assert before.state is state
    assert writes.updates == 0


def test_what_was_never_read_stays_so_when_the_utility_fails(world: World) -> None:
    link = linked(world)
    world.register.record_outcome(ADA, link.link_id, outcome(world, LinkEvent.STARTED))
    after = world.register.record_outcome(ADA, link.link_id, outcome(world, LinkEvent.FAILED, "provider_malformed"))
    assert (after.state, after.status_detail) == (LinkState.CONNECTING, "provider_malformed")


# history


def test_every_move_stands_in_the_history_newest_first(world: World) -> None:
    link = linked(world)
    for event, code in (
        (LinkEvent.STARTED, ""),
        (LinkEvent.FAILED, "provider_malformed"),
        (LinkEvent.SUCCEEDED, ""),
        (LinkEvent.SUCCEEDED, ""),
        (LinkEvent.REFUSED, "locked"),
    ):
        world.register.record_outcome(ADA, link.link_id, outcome(world, event, code))
    history = world.linking.get_account(ADA, link.link_id).history
    told = [(h.event.value, h.previous_state.value, h.state.value, h.status_detail) for h in history]
    assert told == [
        ("refused", "ACTIVE", "ACTION_REQUIRED", "locked"),
        ("succeeded", "CONNECTING", "ACTIVE", ""),
        ("failed", "CONNECTING", "CONNECTING", "provider_malformed"),
        ("started", "PENDING", "CONNECTING", ""),
    ]
    assert [h.at for h in history] == sorted((h.at for h in history), reverse=True)


def test_the_last_20_are_kept(world: World) -> None:
    link = linked(world)
    for _ in range(13):
        world.register.record_outcome(ADA, link.link_id, outcome(world))
        last = world.register.record_outcome(ADA, link.link_id, outcome(world, LinkEvent.FAILED, "provider_down"))
    assert len(last.history) == 20
    assert last.history[0].at == world.clock.now()
    assert world.linking.get_account(ADA, link.link_id).history == last.history


# a wish to be left alone


@pytest.mark.parametrize(
    ("wish", "least"),
    [(timedelta(minutes=20), timedelta(minutes=20)), (timedelta(days=900), timedelta(days=1))],
)
def test_a_utility_is_not_asked_before_it_wants_but_within_a_day(
    world: World, wish: timedelta, least: timedelta
) -> None:
    link = linked(world)
    failed = Outcome(LinkEvent.FAILED, world.clock.now(), "provider_throttled", retry_after=wish)
    after = world.register.record_outcome(ADA, link.link_id, failed)
    assert after.next_refresh_at == world.clock.now() + least


def test_a_lease_stands_when_the_link_changes_in_between(world: World) -> None:
    link = linked(world)
    world.clock.advance(timedelta(minutes=3))
    seen = world.linking.get_account(ADA, link.link_id)
    (leased,), _ = world.register.list_due(1, timedelta(minutes=15))
    changed = seen.renamed("cottage", world.clock.now())
    world.table.update(seen, changed, [])
    assert world.linking.get_account(ADA, link.link_id).next_refresh_at == leased.next_refresh_at


# found by the account


def test_links_of_an_account_are_found_whoever_has_them(world: World) -> None:
    mine, other = linked(world), linked(world, user_id=BOB)
    linked(world, "NW87654321")
    found = world.register.find_links(NORTHWIND, " nw1234 5678 ")
    assert {link.link_id for link in found} == {mine.link_id, other.link_id}
    world.linking.unlink_account(ADA, mine.link_id)
    assert [link.link_id for link in world.register.find_links(NORTHWIND, "NW12345678")] == [other.link_id]


@pytest.mark.parametrize(
    ("provider", "number"),
    [(NORTHWIND, "NW00000000"), (NORTHWIND, ""), (NORTHWIND, " "), ("prv_other", "NW12345678"), ("?", "NW12345678")],
)
def test_nothing_else_is_found(world: World, provider: str, number: str) -> None:
    linked(world)
    world.register.ensure_manual_link(ADA, NORTHWIND)
    assert list(world.register.find_links(provider, number)) == []


# fed by files


def test_a_user_has_one_link_for_files(world: World) -> None:
    made = world.register.ensure_manual_link(ADA, FILES)
    assert (made.kind, made.state, made.next_refresh_at) == (LinkKind.MANUAL, LinkState.ACTIVE, None)
    assert unwrap(world.publisher.events[-1], AccountLinkedV1).state == "ACTIVE"
    assert world.register.ensure_manual_link(ADA, FILES) == made
    assert world.register.ensure_manual_link(BOB, FILES).link_id != made.link_id
    assert world.linking.get_account(ADA, made.link_id) == made
    assert world.publisher.types == ["account.linked.v1"] * 2


def test_it_is_never_due_and_has_nothing_to_open(world: World) -> None:
    made = world.register.ensure_manual_link(ADA, FILES)
    imported = world.register.record_outcome(ADA, made.link_id, outcome(world))
    assert (imported.bill_count, imported.next_refresh_at) == (2, None)
    world.clock.advance(timedelta(days=900))
    assert world.register.list_due(10, timedelta(minutes=1)) == ([], False)
    assert world.door.open(ADA, [made.link_id]) == []


def test_it_can_be_unlinked_and_made_again(world: World) -> None:
    made = world.register.ensure_manual_link(ADA, FILES)
    world.linking.unlink_account(ADA, made.link_id)
    assert world.register.ensure_manual_link(ADA, FILES).link_id != made.link_id


def test_two_requests_at_once_make_one(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world.table, "holder", lambda *_: None)
    made = world.register.ensure_manual_link(ADA, FILES)

    def late(link: Link, sealed: None, events: Sequence[str]) -> Pending:
        raise AlreadyLinked(made.link_id)

    monkeypatch.setattr(world.table, "add", late)
    assert world.register.ensure_manual_link(ADA, FILES) == made


def test_none_for_a_user_who_was_deleted_or_a_provider_that_cannot_be(world: World) -> None:
    world.personal.purge_user(ADA)
    with pytest.raises(Unauthenticated):
        world.register.ensure_manual_link(ADA, FILES)
    with pytest.raises(NotFound):
        world.register.ensure_manual_link(BOB, "nonsense")


def test_a_challenge_is_told_and_forgotten(world: World) -> None:
    link = linked(world)
    mfa = MfaChallenge(("sms",), world.clock.now() + timedelta(minutes=5), "ref-1")
    waiting = world.register.record_outcome(
        ADA, link.link_id, Outcome(LinkEvent.MFA_REQUESTED, world.clock.now(), "mfa_required", mfa=mfa)
    )
    assert waiting.mfa == mfa
    assert waiting.next_refresh_at
    assert waiting.next_refresh_at - world.clock.now() >= timedelta(days=1)
    after = world.register.record_outcome(ADA, link.link_id, outcome(world))
    assert after.mfa is None
    assert not [name for name in LinkItem.get(ADA, link.link_id).attribute_values if name.startswith("mfa_")]
