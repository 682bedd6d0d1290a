"""The tables in moto: what is written together, what is leased, what is found."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from pynamodb.exceptions import CancellationReason, TransactWriteError, VerboseClientError
from pynamodb.transactions import TransactWrite

from functions.account_linking_service.credentials import Sealed
from functions.account_linking_service.items_table import LinkItem, LinkKeyItem, MarkItem
from functions.account_linking_service.model import (
    AccountHash,
    AlreadyLinked,
    Link,
    LinkChanged,
    LinkId,
    Outcome,
    ProviderId,
    Schedule,
    UserId,
)
from functions.account_linking_service.secrets_table import SealedLinkTable
from functions.account_linking_service.states import LinkEvent
from functions.account_linking_service.table import LinkTable
from functions.common.errors import Unavailable
from functions.common.ids import new_id
from functions.common.outbox import Pending
from tests.unit.account_linking_service.conftest import KEYS, LINKS, World

ADA, BOB = UserId("usr_ada"), UserId("usr_bob")
SEALED = Sealed(b"wrapped", b"\x01cipher")
SCHEDULE = Schedule(timedelta(hours=6), lambda: 0.5)


def a_link(world: World, number: str = "1", user_id: UserId = ADA, due_in: timedelta = timedelta()) -> Link:
    now = world.clock.now()
    return Link(
        link_id=LinkId(new_id("lnk")),
        user_id=user_id,
        provider_id=ProviderId("prv_northwind_power"),
        account_identifier="****5678",
        account_hash=AccountHash(number),
        nickname="home",
        next_refresh_at=now + due_in,
        created_at=now,
        updated_at=now,
    )


def added(world: World, number: str = "1", user_id: UserId = ADA, due_in: timedelta = timedelta()) -> Link:
    link = a_link(world, number, user_id, due_in)
    world.table.add(link, SEALED, ["an event"])
    return link


def raw(link: Link) -> LinkItem:
    return LinkItem.get(link.user_id, link.link_id)


def test_what_is_added_is_found_by_its_owner_alone(world: World) -> None:
    link = added(world)
    assert world.table.get(ADA, link.link_id) == link
    assert world.table.get(BOB, link.link_id) is None
    assert world.table.owner_of(link.link_id) == ADA
    assert world.table.owner_of(LinkId(new_id("lnk"))) is None


def test_link_mark_and_key_stand_or_fall_together(world: World) -> None:
    first = added(world)
    with pytest.raises(AlreadyLinked) as refused:
        added(world)
    assert refused.value.link_id == first.link_id
    assert world.table.count(ADA) == 1
    assert LinkKeyItem.count() == 1


def test_the_same_account_of_another_user_is_another_account(world: World) -> None:
    added(world, user_id=ADA)
    added(world, user_id=BOB)
    assert world.table.count(ADA) == world.table.count(BOB) == 1


def test_an_account_let_go_of_in_the_same_moment_may_be_tried_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    added(world)

    def vanished(*_: object, **__: object) -> MarkItem:
        raise MarkItem.DoesNotExist

    monkeypatch.setattr(MarkItem, "get", vanished)
    with pytest.raises(Unavailable):
        added(world)


def test_pages_follow_one_another_without_marks_and_tombstones(world: World) -> None:
    links = [added(world, str(i)) for i in range(5)]
    world.table.remove(links[1], links[1].revoked(world.clock.now()), [])
    first = world.table.page(ADA, "", 2)
    rest = world.table.page(ADA, first[-1].link_id, 200)
    assert {link.link_id for link in [*first, *rest]} == {link.link_id for i, link in enumerate(links) if i != 1}
    assert [link.link_id for link in [*first, *rest]] == sorted(link.link_id for link in [*first, *rest])
    assert world.table.count(ADA) == 4


def test_update_is_conditional_on_the_version(world: World) -> None:
    link = added(world)
    changed = link.after(Outcome(LinkEvent.SUCCEEDED, world.clock.now(), bill_count=2), SCHEDULE, world.clock.now())
    pending = world.table.update(link, changed, ["another"])
    assert pending == Pending((ADA, link.link_id), 2, ("an event", "another"))
    assert world.table.get(ADA, link.link_id) == changed
    with pytest.raises(LinkChanged):
        world.table.update(link, changed, [])


def test_remove_shreds_the_key_and_leaves_a_tombstone(world: World) -> None:
    link = added(world)
    revoked = link.revoked(world.clock.now())
    pending = world.table.remove(link, revoked, ["gone"])
    assert pending.events == ("an event", "gone")
    assert LinkKeyItem.count() == 0
    tombstone = raw(link)
    assert (tombstone.state, tombstone.version) == ("REVOKED", 2)
    left = tombstone.attribute_values
    assert not {"ciphertext", "account_hash", "account_identifier", "nickname", "due_shard", "next_refresh_at"} & {
        name for name, value in left.items() if value is not None
    }
    assert tombstone.expires_at == world.clock.now() + timedelta(days=90)
    assert world.table.get(ADA, link.link_id) is None
    added(world)  # the account is free again


def test_remove_of_a_changed_link_changes_nothing(world: World) -> None:
    link = added(world)
    old = replace(link, version=7)
    with pytest.raises(LinkChanged):
        world.table.remove(old, old.revoked(world.clock.now()), [])
    assert LinkKeyItem.count() == 1


def test_two_callers_lease_different_links(world: World) -> None:
    links = [added(world, str(i), due_in=-timedelta(minutes=1)) for i in range(12)]
    later = added(world, "later", due_in=timedelta(minutes=1))
    now = world.clock.now()
    first, more = world.table.lease_due(now, now + timedelta(minutes=5), 7)
    second, no_more = LinkTable(LINKS, KEYS, world.clock).lease_due(now, now + timedelta(minutes=5), 7)
    one, other = ({link.link_id for link in leased} for leased in (first, second))
    assert (len(one), len(other)) == (7, 5)
    assert one | other == {link.link_id for link in links}
    assert (more, no_more) == (True, False)
    assert world.table.lease_due(now, now + timedelta(minutes=5), 7) == ([], False)
    after = now + timedelta(minutes=6)
    assert len(world.table.lease_due(after, after, 100)[0]) == 13
    assert later.link_id not in one | other


def test_a_link_that_somebody_else_leased_meanwhile_is_skipped(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    link = added(world)
    stale = LinkItem(ADA, link.link_id, next_refresh_at="2020-01-01T00:00:00.000Z")
    monkeypatch.setattr(LinkItem.due, "query", lambda *_, **__: [stale])
    now = world.clock.now()
    assert world.table.lease_due(now, now, 1) == ([], False)


def test_tombstones_are_never_due(world: World) -> None:
    link = added(world)
    world.table.remove(link, link.revoked(world.clock.now()), [])
    assert world.table.lease_due(world.clock.now(), world.clock.now(), 100) == ([], False)


def test_unsent_events_are_found_after_a_while_and_cleared_once(world: World) -> None:
    link = added(world)
    added(world, "2")
    assert world.table.pending_events(10) == []
    world.clock.advance(timedelta(seconds=20))
    assert len(world.table.pending_events(1)) == 1
    pending = next(p for p in world.table.pending_events(10) if p.key == (ADA, link.link_id))
    world.table.clear_outbox(Pending(pending.key, 99, pending.events))
    assert len(world.table.pending_events(10)) == 2
    world.table.clear_outbox(pending)
    assert len(world.table.pending_events(10)) == 1
    assert raw(link).outbox is None


def test_sealed_links_of_the_owner_alone(world: World) -> None:
    mine, other, gone = added(world, "1"), added(world, "2", BOB), added(world, "3")
    world.table.remove(gone, gone.revoked(world.clock.now()), [])
    shredded = added(world, "4")
    LinkKeyItem(shredded.link_id).delete()
    table = SealedLinkTable(LINKS, KEYS, world.clock)
    asked = [mine.link_id, other.link_id, gone.link_id, shredded.link_id, LinkId(new_id("lnk"))]
    found = table.sealed(ADA, asked)
    assert [(link.link_id, link.sealed) for link in found] == [(mine.link_id, SEALED)]
    assert table.sealed(BOB, [mine.link_id]) == []


def test_a_table_that_is_down_is_told_as_such(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise TransactWriteError("down")

    monkeypatch.setattr("pynamodb.transactions.TransactWrite._commit", fails)
    with pytest.raises(Unavailable):
        added(world)


def cancelled(*codes: str) -> TransactWriteError:
    """As DynamoDB says it: one reason per item."""
    reasons = [None if code == "None" else CancellationReason(code) for code in codes]
    response: Any = {"Error": {"Code": "TransactionCanceledException"}}
    return TransactWriteError(
        "cancelled", VerboseClientError(response, "TransactWriteItems", {}, cancellation_reasons=reasons)
    )


@pytest.mark.parametrize(
    ("codes", "times", "expected"),
    [
        (("TransactionConflict", "None", "None"), 2, None),
        (("TransactionConflict", "None", "None"), 9, Unavailable),
        (("ThrottlingError", "None", "None"), 1, Unavailable),
    ],
)
def test_transactions_that_meet_are_tried_again(
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    codes: tuple[str, ...],
    times: int,
    expected: type[Exception] | None,
) -> None:
    original, failures = TransactWrite._commit, [cancelled(*codes)] * times

    def meets_others(transaction: TransactWrite) -> object:
        if failures:
            raise failures.pop()
        return original(transaction)

    monkeypatch.setattr("functions.common.table.CONFLICT_PAUSES", (0.0, 0.0, 0.0))
    monkeypatch.setattr(TransactWrite, "_commit", meets_others)
    if expected:
        with pytest.raises(expected):
            added(world)
    else:
        assert world.table.get(ADA, added(world).link_id)
