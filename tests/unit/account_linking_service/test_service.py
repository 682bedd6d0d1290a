"""Use cases over tables in moto, with a fake broker, registry and clock."""

from dataclasses import replace
from datetime import timedelta

import pytest

from functions.account_linking_service.credentials import Sealed, Secrets
from functions.account_linking_service.customer_params import CustomerParam
from functions.account_linking_service.items_table import LinkItem, LinkKeyItem
from functions.account_linking_service.lookup import account_hash
from functions.account_linking_service.model import (
    Link,
    LinkId,
    Outcome,
    ProviderId,
    UserId,
)
from functions.account_linking_service.states import LinkEvent, LinkState
from functions.common.errors import Conflict, InvalidInput, NotFound, Unavailable
from functions.common.ids import new_id
from functions.contracts.events.accounts import AccountLinkedV1, AccountUnlinkedV1
from functions.contracts.events.envelope import unwrap
from tests.unit.account_linking_service.conftest import LOOKUP_KEY, World

ADA, BOB = UserId("usr_ada"), UserId("usr_bob")
NORTHWIND = ProviderId("prv_northwind_power")


def linked(world: World, number: str = "NW12345678", user_id: UserId = ADA, provider: ProviderId = NORTHWIND) -> Link:
    wanted = world.providers.wanted["prv_northwind_power"]
    secrets = Secrets({"account_number": number}, "ada", "correct horse")
    return world.linking.link_account(user_id, provider, wanted, secrets, "home")


def outcome(world: World, event: LinkEvent = LinkEvent.SUCCEEDED, code: str = "") -> Outcome:
    world.clock.advance(timedelta(seconds=1))
    return Outcome(event, world.clock.now(), code, 2)


def test_linking_announces_the_link_without_its_number(world: World) -> None:
    link = linked(world)
    assert (link.state, link.account_identifier, link.nickname) == (LinkState.PENDING, "****5678", "home")
    assert link.next_refresh_at == world.clock.now() + timedelta(minutes=2)
    (event,) = world.publisher.events
    said = unwrap(event, AccountLinkedV1)
    assert (said.user_id, said.link_id, said.state, said.version) == (ADA, link.link_id, "PENDING", 1)
    assert "5678" not in event.to_json()
    assert LinkItem.get(ADA, link.link_id).outbox is None


def test_the_same_account_twice_names_the_link_that_is_there(world: World) -> None:
    link = linked(world)
    with pytest.raises(Conflict, match=link.link_id) as refused:
        linked(world, " nw12345678")
    assert refused.value.code == "already_linked"
    linked(world, user_id=BOB)
    linked(world, provider=ProviderId("prv_other"))


def test_the_same_account_at_the_same_time_is_linked_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other request comes between this one's checks and its write."""
    original, others = world.vault.seal, []

    def overtaken(link_id: LinkId, clear: Secrets) -> Sealed:
        monkeypatch.setattr(world.vault, "seal", original)
        others.append(linked(world))
        return original(link_id, clear)

    monkeypatch.setattr(world.vault, "seal", overtaken)
    with pytest.raises(Conflict, match="lnk_") as refused:
        linked(world)
    assert others[0].link_id in refused.value.detail
    assert world.linking.list_accounts(ADA, 10, "") == (others, None)
    assert LinkKeyItem.count() == 1
    assert world.publisher.types == ["account.linked.v1"]


def test_a_user_has_so_many_links_and_no_more(world: World) -> None:
    links = [linked(world, f"NW0000000{i}") for i in range(3)]
    with pytest.raises(Conflict) as refused:
        linked(world)
    assert refused.value.code == "too_many_links"
    world.linking.unlink_account(ADA, links[0].link_id)
    linked(world)


def test_an_account_can_be_linked_again_after_it_was_unlinked(world: World) -> None:
    first = linked(world)
    world.linking.unlink_account(ADA, first.link_id)
    second = linked(world)
    assert second.link_id != first.link_id
    assert world.publisher.types == ["account.linked.v1", "account.unlinked.v1", "account.linked.v1"]


def test_unlinking_shreds_and_hides(world: World) -> None:
    link = linked(world)
    world.linking.unlink_account(ADA, link.link_id)
    assert unwrap(world.publisher.events[-1], AccountUnlinkedV1).state == "REVOKED"
    assert LinkKeyItem.count() == 0
    assert world.linking.list_accounts(ADA, 10, "") == ([], None)
    assert world.door.open(ADA, [link.link_id]) == []
    for gone in (world.linking.get_account, world.linking.unlink_account):
        with pytest.raises(NotFound):
            gone(ADA, link.link_id)
    with pytest.raises(NotFound):
        world.register.record_outcome(ADA, link.link_id, outcome(world))


@pytest.mark.parametrize(
    "link_id",
    [new_id("lnk"), new_id("usr"), "lnk_short", "acct#x", ""],
    ids=["of nobody", "of a user", "short", "of something else", "empty"],
)
def test_unknown_and_ill_formed_ids_are_not_found(world: World, link_id: str) -> None:
    linked(world)
    for ask in (world.linking.get_account, world.linking.unlink_account):
        with pytest.raises(NotFound):
            ask(ADA, link_id)
    with pytest.raises(NotFound):
        world.register.get_linked_account(link_id, "")


def test_another_users_link_is_not_found(world: World) -> None:
    link = linked(world)
    with pytest.raises(NotFound):
        world.linking.get_account(BOB, link.link_id)
    with pytest.raises(NotFound):
        world.linking.unlink_account(BOB, link.link_id)
    with pytest.raises(NotFound):
        world.register.get_linked_account(link.link_id, BOB)
    with pytest.raises(NotFound):
        world.register.record_outcome(BOB, link.link_id, outcome(world))
    assert world.door.open(BOB, [link.link_id]) == []
    assert world.register.get_linked_account(link.link_id, "") == link
    assert world.register.get_linked_accounts(ADA) == [link]
    assert world.register.get_linked_accounts(BOB) == []


def test_pages_and_cursors(world: World) -> None:
    links = [linked(world, f"NW0000000{i}") for i in range(3)]
    page, cursor = world.linking.list_accounts(ADA, 2, "")
    assert cursor is not None
    rest, end = world.linking.list_accounts(ADA, 2, cursor)
    assert {link.link_id for link in (*page, *rest)} == {link.link_id for link in links}
    assert end is None
    with pytest.raises(InvalidInput):
        world.linking.list_accounts(ADA, 2, "bm90aGluZw")
    with pytest.raises(InvalidInput):
        world.linking.list_accounts(ADA, 2, "eyJhIjoiYiJ9")


def test_a_failed_publish_leaves_the_event_and_a_flush_heals(world: World) -> None:
    world.publisher.down = True
    link = linked(world)
    world.linking.unlink_account(ADA, link.link_id)
    assert len(LinkItem.get(ADA, link.link_id).outbox) == 2
    world.clock.advance(timedelta(minutes=1))
    assert world.register.flush_outbox(10) == (0, False)
    world.publisher.down = False
    assert world.register.flush_outbox(10) == (1, False)
    assert world.publisher.types == ["account.linked.v1", "account.unlinked.v1"]
    assert world.register.flush_outbox(10) == (0, False)


def test_an_older_unsent_event_goes_out_before_the_new_one(world: World) -> None:
    world.publisher.down = True
    link = linked(world)
    world.publisher.down = False
    world.register.record_outcome(ADA, link.link_id, outcome(world))
    assert world.publisher.types == ["account.linked.v1", "account.state_changed.v1"]
    assert LinkItem.get(ADA, link.link_id).outbox is None


def test_unlinking_a_link_that_changes_meanwhile(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    link = linked(world)
    original, seen = world.table.get, [replace(link, version=9)]

    def outdated_once(user_id: UserId, link_id: object) -> Link | None:
        return seen.pop() if seen else original(user_id, link.link_id)

    monkeypatch.setattr(world.table, "get", outdated_once)
    world.linking.unlink_account(ADA, link.link_id)
    monkeypatch.setattr(world.table, "get", lambda *_: replace(link, version=9))
    with pytest.raises(Unavailable):
        world.linking.unlink_account(ADA, link.link_id)


def test_what_a_provider_asks_for(world: World) -> None:
    assert world.linking.customer_params("prv_northwind_power")[0].name == "account_number"
    for provider_id in ("prv_unknown", "", "prv_", "PRV_X", "prv_a/../b", "prv_a\n"):
        with pytest.raises(NotFound):
            world.linking.customer_params(provider_id)
    world.providers.wanted["prv_bad"] = (CustomerParam("account_number", "(a+)+", 1, 64),)
    with pytest.raises(Unavailable) as refused:
        world.linking.customer_params("prv_bad")
    assert refused.value.code == "provider_misconfigured"


def test_the_hash_needs_the_key(world: World) -> None:
    link = linked(world)
    assert account_hash(b"another lookup key", NORTHWIND, "NW12345678") != link.account_hash
    assert account_hash(LOOKUP_KEY, NORTHWIND, " nw1234 5678") == link.account_hash
