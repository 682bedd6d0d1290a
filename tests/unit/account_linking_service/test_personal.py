"""A user's links as the user may see them, and their end."""

import json
from datetime import timedelta

import pytest

from functions.account_linking_service import bootstrap, rpc
from functions.account_linking_service.credentials import Login, Secrets
from functions.account_linking_service.items_table import CODE, LinkItem, LinkKeyItem
from functions.account_linking_service.model import Link, MfaChallenge, Outcome, ProviderId, UserId
from functions.account_linking_service.personal_table import UserLinkTable
from functions.account_linking_service.states import LinkEvent
from functions.account_linking_service.table import LinkTable
from functions.common import personal
from functions.common.errors import InvalidInput, NotFound, Unauthenticated
from functions.common.outbox import Pending
from functions.common.personal import GONE
from functions.common.rpc.client import Stub
from functions.common.rpc.server import LambdaRpcHandler
from functions.contracts.rpc import accounts_pb2
from functions.contracts.rpc.common_pb2 import ExportUserReply, ExportUserRequest, PurgeUserReply, PurgeUserRequest
from tests.support.fakes import LoopbackChannel
from tests.unit.account_linking_service.conftest import KEYS, LINKS, World

ADA, BOB = UserId("usr_ada"), UserId("usr_bob")
ACCOUNTS = accounts_pb2.DESCRIPTOR.services_by_name["Accounts"]


@pytest.fixture
def accounts(world: World, monkeypatch: pytest.MonkeyPatch) -> Stub:
    monkeypatch.setattr(bootstrap, "register", lambda: world.register)
    monkeypatch.setattr(bootstrap, "repair", lambda: world.repair)
    monkeypatch.setattr(bootstrap, "personal", lambda: world.personal)
    return Stub(ACCOUNTS, LoopbackChannel(LambdaRpcHandler(ACCOUNTS, rpc._build_accounts)))


def linked(world: World, number: str = "NW12345678", user_id: UserId = ADA) -> Link:
    wanted = world.providers.wanted["prv_northwind_power"]
    secrets = Secrets({"account_number": number, "pin": "9876"}, "ada@utility", "correct horse")
    return world.linking.link_account(user_id, ProviderId("prv_northwind_power"), wanted, secrets, "home")


def exported(accounts: Stub, user_id: UserId = ADA) -> str:
    reply = accounts.call("ExportUser", ExportUserRequest(user_id=user_id), ExportUserReply)
    assert not reply.next_cursor
    return reply.json.decode()


def purged(accounts: Stub, user_id: UserId = ADA) -> PurgeUserReply:
    return accounts.call("PurgeUser", PurgeUserRequest(user_id=user_id), PurgeUserReply)


def keys_of(user_id: UserId) -> list[str]:
    return [item.link_id for item in LinkItem.query(user_id, attributes_to_get=["user_id", "link_id"])]


def test_an_export_has_every_link_and_no_secret(world: World, accounts: Stub) -> None:
    kept, gone = linked(world), linked(world, "NW87654321")
    world.linking.unlink_account(ADA, gone.link_id)
    linked(world, "NW11112222", BOB)

    text = exported(accounts)

    first, second = json.loads(text)["links"]
    assert (first["link_id"], first["account_identifier"], first["nickname"]) == (kept.link_id, "****5678", "home")
    assert (second["link_id"], second["state"], second["account_identifier"]) == (gone.link_id, "REVOKED", None)
    for secret in ("12345678", "9876", "ada@utility", "correct horse", kept.account_hash, "cipher", "wrapped"):
        assert secret not in text
    assert exported(accounts, UserId("usr_nobody")) == '{"links":[]}'


def test_an_export_has_the_history_and_no_code(world: World, accounts: Stub) -> None:
    link = coded(world)

    text = exported(accounts)

    (shown,) = json.loads(text)["links"]
    assert [(entry["event"], entry["state"]) for entry in shown["history"]] == [
        ("mfa_submitted", "CONNECTING"),
        ("mfa_requested", "MFA_REQUIRED"),
    ]
    assert shown["history"][0]["at"] == "2026-03-15T12:00:00.000Z"
    assert (shown["kind"], shown["mfa_methods"]) == ("api", [])
    assert [secret for secret in ("86420975", "ref-secret", "correct horse") if secret in text] == []
    world.linking.unlink_account(ADA, link.link_id)
    (left,) = json.loads(exported(accounts))["links"]
    assert [entry["event"] for entry in left["history"]] == ["unlinked", "mfa_submitted", "mfa_requested"]
    assert (left["nickname"], left["next_refresh_at"]) == (None, None)


def test_an_export_tells_of_a_challenge_without_its_reference(world: World, accounts: Stub) -> None:
    challenged(world)
    text = exported(accounts)
    (shown,) = json.loads(text)["links"]
    assert (shown["mfa_methods"], shown["mfa_expires_at"]) == (["sms"], "2026-03-15T12:05:00.000Z")
    assert "ref-secret" not in text


def test_a_purge_takes_codes_logins_and_links_fed_by_files(world: World, accounts: Stub) -> None:
    link = coded(world)
    world.repair.replace_credentials(ADA, linked(world, "NW87654321").link_id, Login("new", "another"))
    world.register.ensure_manual_link(ADA, "prv_green_button")
    assert {key.link_id for key in LinkKeyItem.scan()} >= {link.link_id + CODE}

    purged(accounts)

    assert keys_of(ADA) == [GONE]
    assert LinkKeyItem.count() == 0


def challenged(world: World) -> Link:
    now = world.clock.now()
    mfa = MfaChallenge(("sms",), now + timedelta(minutes=5), "ref-secret")
    return world.register.record_outcome(
        ADA, linked(world).link_id, Outcome(LinkEvent.MFA_REQUESTED, now, "mfa_required", mfa=mfa)
    )


def coded(world: World) -> Link:
    return world.repair.submit_mfa(ADA, challenged(world).link_id, "86420975")


def test_what_is_left_of_an_unlinked_account_is_not_shown_past_its_time(world: World, accounts: Stub) -> None:
    world.linking.unlink_account(ADA, linked(world).link_id)
    world.clock.advance(timedelta(days=91))

    assert exported(accounts) == '{"links":[]}'


def test_an_export_in_pages(world: World, accounts: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(personal.export_page, "__defaults__", (1,))
    links = [linked(world, f"NW1234567{number}") for number in range(3)]
    found, cursor = [], ""
    for _ in links:
        reply = accounts.call("ExportUser", ExportUserRequest(user_id=ADA, cursor=cursor), ExportUserReply)
        found += [link["link_id"] for link in json.loads(reply.json)["links"]]
        cursor = reply.next_cursor

    assert found == [link.link_id for link in links]
    assert cursor == ""
    with pytest.raises(InvalidInput):
        accounts.call("ExportUser", ExportUserRequest(user_id=ADA, cursor="?"), ExportUserReply)


def test_a_purge_takes_links_marks_tombstones_and_keys(world: World, accounts: Stub) -> None:
    linked(world)
    world.linking.unlink_account(ADA, linked(world, "NW87654321").link_id)
    other = linked(world, "NW11112222", BOB)

    reply = purged(accounts)

    assert (reply.deleted, reply.more) == (3, False)
    assert keys_of(ADA) == [GONE]
    assert [key.link_id for key in LinkKeyItem.scan()] == [other.link_id]
    assert purged(accounts).deleted == 0
    assert keys_of(ADA) == [GONE]
    assert world.linking.get_account(BOB, other.link_id) == other


def test_a_purge_goes_on_where_it_was_cut_off(world: World) -> None:
    for number in range(3):
        linked(world, f"NW1234567{number}")
    table = UserLinkTable(LINKS, KEYS, world.clock)
    table.mark_gone(ADA)

    assert [table.delete(ADA, 4) for _ in range(3)] == [4, 2, 0]
    assert LinkKeyItem.count() == 0


def test_the_mark_says_nothing_but_when_it_ends(world: World, accounts: Stub) -> None:
    linked(world)
    purged(accounts)
    world.clock.advance(timedelta(days=1))
    purged(accounts)

    item = LinkItem.get(ADA, GONE)

    assert set(item.attribute_values) == {"user_id", "link_id", "expires_at"}
    assert item.expires_at == world.clock.now() + timedelta(days=29)


def test_nothing_comes_back(world: World, accounts: Stub) -> None:
    """What was under way when the user went: an outcome, a lease, an event, a link."""
    link = linked(world)
    world.publisher.down = True
    late = linked(world, "NW87654321")
    world.publisher.down = False
    purged(accounts)
    world.clock.advance(timedelta(hours=1))

    with pytest.raises(NotFound):
        world.register.record_outcome(ADA, link.link_id, Outcome(LinkEvent.SUCCEEDED, world.clock.now(), "", 2))
    with pytest.raises(NotFound):
        world.linking.unlink_account(ADA, late.link_id)
    assert world.register.list_due(10, timedelta(minutes=1)) == ([], False)
    assert world.register.flush_outbox(10) == (0, False)
    LinkTable(LINKS, KEYS, world.clock).clear_outbox(Pending((ADA, late.link_id), late.version, ()))
    with pytest.raises(Unauthenticated) as refused:
        linked(world)
    assert refused.value.code == "user_gone"
    assert keys_of(ADA) == [GONE]
    assert LinkKeyItem.count() == 0


@pytest.mark.parametrize("method", ["ExportUser", "PurgeUser"])
def test_nobody_is_exported_or_purged(accounts: Stub, method: str) -> None:
    request = ExportUserRequest() if method == "ExportUser" else PurgeUserRequest()
    with pytest.raises(InvalidInput):
        accounts.call(method, request, ExportUserReply)
