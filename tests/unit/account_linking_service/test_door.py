"""Opening what users gave: to whom, what is joined and renewed on the way, and what happens when others write too."""

from collections.abc import Sequence
from datetime import timedelta

import pytest
from pynamodb.models import Model

from functions.account_linking_service.credentials import Login, MfaCode, Sealed, SealedLink, Secrets
from functions.account_linking_service.door import CredentialsDoor
from functions.account_linking_service.items_table import LinkItem, LinkKeyItem
from functions.account_linking_service.model import Link, LinkId, MfaChallenge, Outcome, ProviderId, UserId
from functions.account_linking_service.secrets_table import SealedLinkTable
from functions.account_linking_service.states import LinkEvent
from functions.account_linking_service.vault import KmsVault
from functions.common.errors import InvalidInput, Unavailable
from functions.common.ids import new_id
from tests.unit.account_linking_service.conftest import KEYS, LINKS, MAX_KEY_AGE, World

ADA = UserId("usr_ada")
NORTHWIND = ProviderId("prv_northwind_power")
NEW = Login("ada.new", "a better horse")


def linked(world: World, number: str = "NW12345678") -> Link:
    wanted = world.providers.wanted["prv_northwind_power"]
    secrets = Secrets({"account_number": number}, "ada", "correct horse")
    return world.linking.link_account(ADA, NORTHWIND, wanted, secrets, "home")


def login_of(world: World, link: Link) -> tuple[str, str]:
    (opened,) = world.door.open(ADA, [link.link_id])
    assert opened.secrets.params == {"account_number": "NW12345678"}
    return opened.secrets.username, opened.secrets.password


def boxes(link: Link) -> tuple[LinkItem, LinkKeyItem]:
    return LinkItem.get(link.user_id, link.link_id), LinkKeyItem.get(link.link_id)


def cipher(link: Link) -> tuple[bytes, bytes]:
    item, key = boxes(link)
    assert item.ciphertext
    return item.ciphertext, key.wrapped_key


def now_with(world: World, key_id: str, *previous: str) -> CredentialsDoor:
    vault = KmsVault(lambda: world.kms, key_id, world.clock, previous)
    return CredentialsDoor(SealedLinkTable(LINKS, KEYS, world.clock), vault, world.clock, MAX_KEY_AGE)


def test_open_gives_back_what_the_user_gave(world: World) -> None:
    one, two = linked(world), linked(world, "NW00000002")
    opened = world.door.open(ADA, [one.link_id, two.link_id, one.link_id, "nonsense", new_id("lnk")])
    assert {o.link_id: o.secrets.params["account_number"] for o in opened} == {
        one.link_id: "NW12345678",
        two.link_id: "NW00000002",
    }
    assert {(o.provider_id, o.secrets.username, o.secrets.password) for o in opened} == {
        (NORTHWIND, "ada", "correct horse")
    }
    with pytest.raises(InvalidInput):
        world.door.open(ADA, [new_id("lnk") for _ in range(201)])


def test_a_damaged_link_costs_only_itself(world: World, caplog: pytest.LogCaptureFixture) -> None:
    good, bad = linked(world), linked(world, "NW00000002")
    key = LinkKeyItem.get(good.link_id)
    LinkKeyItem(bad.link_id, wrapped_key=key.wrapped_key).save()
    assert [o.link_id for o in world.door.open(ADA, [good.link_id, bad.link_id])] == [good.link_id]
    assert "credentials_unreadable" in caplog.text


# renewed on the way


def test_a_replaced_login_is_joined_into_one_box_under_a_fresh_key(world: World) -> None:
    link = linked(world)
    before = cipher(link)
    world.repair.replace_credentials(ADA, link.link_id, NEW)
    assert cipher(link) == before, "whoever replaces a login cannot open what is there"

    assert login_of(world, link) == ("ada.new", "a better horse")

    item, key = boxes(link)
    assert not {item.ciphertext, key.wrapped_key} & set(before)
    assert not [name for name in {**item.attribute_values, **key.attribute_values} if name.startswith("login_")]
    assert login_of(world, link) == ("ada.new", "a better horse")
    assert item.version == world.linking.get_account(ADA, link.link_id).version


def test_what_is_young_and_whole_is_not_written(world: World) -> None:
    link = linked(world)
    world.clock.advance(MAX_KEY_AGE)
    before = cipher(link)
    login_of(world, link)
    assert cipher(link) == before


def test_an_old_data_key_is_replaced(world: World) -> None:
    link = linked(world)
    world.clock.advance(MAX_KEY_AGE + timedelta(seconds=1))
    before = cipher(link)

    assert login_of(world, link) == ("ada", "correct horse")

    after = cipher(link)
    assert not set(after) & set(before)
    login_of(world, link)
    assert cipher(link) == after, "once is enough"


def test_a_box_from_before_ages_were_kept_is_renewed(world: World) -> None:
    link = linked(world)
    key = LinkKeyItem.get(link.link_id)
    key.update([LinkKeyItem.master_key.remove(), LinkKeyItem.sealed_at.remove()])

    assert login_of(world, link) == ("ada", "correct horse")

    assert LinkKeyItem.get(link.link_id).master_key == world.key_id
    assert LinkKeyItem.get(link.link_id).wrapped_key != key.wrapped_key


def test_what_a_former_master_key_wrapped_is_renewed_under_the_present_one(world: World) -> None:
    link = linked(world)
    world.repair.replace_credentials(ADA, link.link_id, NEW)
    present = world.kms.create_key()["KeyMetadata"]["KeyId"]

    (opened,) = now_with(world, present, world.key_id).open(ADA, [link.link_id])

    assert (opened.secrets.username, opened.secrets.password) == ("ada.new", "a better horse")
    assert LinkKeyItem.get(link.link_id).master_key == present
    world.kms.schedule_key_deletion(KeyId=world.key_id)
    (again,) = now_with(world, present).open(ADA, [link.link_id])
    assert again.secrets == opened.secrets


def test_while_it_cannot_be_renewed_it_is_opened_all_the_same(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    link = linked(world)
    world.repair.replace_credentials(ADA, link.link_id, NEW)

    def down(link_id: LinkId, clear: Secrets) -> Sealed:
        raise Unavailable("KMS is down")

    monkeypatch.setattr(world.vault, "seal", down)
    assert login_of(world, link) == ("ada.new", "a better horse")
    assert "credentials_not_resealed" in caplog.text
    assert boxes(link)[0].login_ciphertext


# others write too


class Between(SealedLinkTable):
    """Does something in the middle of a read or before a write."""

    def __init__(self, world: World) -> None:
        super().__init__(LINKS, KEYS, world.clock)
        self.in_reads: list[object] = []
        self.before_writes: list[object] = []

    def sealed(self, user_id: UserId, link_ids: Sequence[LinkId]) -> Sequence[SealedLink]:
        if self.in_reads:
            self._interrupt(self.in_reads.pop(0))
        return super().sealed(user_id, link_ids)

    def reseal(self, seen: SealedLink, fresh: Sealed) -> bool:
        if self.before_writes:
            self._call(self.before_writes.pop(0))
        return super().reseal(seen, fresh)

    def _interrupt(self, action: object) -> None:
        """Between the read of the links and that of their keys."""
        original = LinkKeyItem.batch_get

        def interrupted(*args: object, **kwargs: object) -> object:
            LinkKeyItem.batch_get = original  # type: ignore[method-assign]
            self._call(action)
            return original(*args, **kwargs)  # type: ignore[arg-type]  # handed through

        LinkKeyItem.batch_get = interrupted  # type: ignore[method-assign, assignment]

    def _call(self, action: object) -> None:
        assert callable(action)
        action()


@pytest.fixture
def between(world: World) -> Between:
    return Between(world)


@pytest.fixture
def door(world: World, between: Between) -> CredentialsDoor:
    return CredentialsDoor(between, world.vault, world.clock, MAX_KEY_AGE)


def test_a_login_replaced_in_the_middle_of_a_read(world: World, between: Between, door: CredentialsDoor) -> None:
    link = linked(world)
    world.repair.replace_credentials(ADA, link.link_id, Login("first", "one"))
    between.in_reads = [lambda: world.repair.replace_credentials(ADA, link.link_id, NEW)]

    (opened,) = door.open(ADA, [link.link_id])

    assert (opened.secrets.username, opened.secrets.password) == ("ada.new", "a better horse")


def test_boxes_joined_by_another_in_the_middle_of_a_read(world: World, between: Between, door: CredentialsDoor) -> None:
    link = linked(world)
    world.repair.replace_credentials(ADA, link.link_id, NEW)
    between.in_reads = [lambda: world.door.open(ADA, [link.link_id])]

    (opened,) = door.open(ADA, [link.link_id])

    assert (opened.secrets.username, opened.secrets.password) == ("ada.new", "a better horse")


def test_an_account_unlinked_in_the_middle_of_a_read(world: World, between: Between, door: CredentialsDoor) -> None:
    link = linked(world)
    between.in_reads = [lambda: world.linking.unlink_account(ADA, link.link_id)]
    assert door.open(ADA, [link.link_id]) == []


def test_an_account_unlinked_between_two_reads(world: World, between: Between, door: CredentialsDoor) -> None:
    """The first read does not fit together, and at the second nothing is there."""
    link = linked(world)
    world.repair.replace_credentials(ADA, link.link_id, Login("first", "one"))
    between.in_reads = [
        lambda: world.repair.replace_credentials(ADA, link.link_id, NEW),
        lambda: world.linking.unlink_account(ADA, link.link_id),
    ]
    assert door.open(ADA, [link.link_id]) == []


def test_boxes_that_never_fit_are_given_up(
    world: World, between: Between, door: CredentialsDoor, caplog: pytest.LogCaptureFixture
) -> None:
    link = linked(world)
    world.repair.replace_credentials(ADA, link.link_id, Login("first", "one"))
    between.in_reads = [lambda: world.repair.replace_credentials(ADA, link.link_id, NEW)] * 4
    assert door.open(ADA, [link.link_id]) == []
    assert "credentials_keep_changing" in caplog.text


def test_a_newer_login_is_not_overwritten_by_an_older_one_joined_late(
    world: World, between: Between, door: CredentialsDoor
) -> None:
    link = linked(world)
    world.repair.replace_credentials(ADA, link.link_id, Login("first", "one"))
    between.before_writes = [lambda: world.repair.replace_credentials(ADA, link.link_id, NEW)]

    (opened,) = door.open(ADA, [link.link_id])

    assert opened.secrets.username == "first", "what it was when it was read"
    assert login_of(world, link) == ("ada.new", "a better horse")


def test_two_that_join_at_once_leave_one_whole_box(world: World, between: Between, door: CredentialsDoor) -> None:
    link = linked(world)
    world.repair.replace_credentials(ADA, link.link_id, NEW)
    between.before_writes = [lambda: world.door.open(ADA, [link.link_id])]
    door.open(ADA, [link.link_id])
    assert login_of(world, link) == ("ada.new", "a better horse")


def test_what_was_unlinked_does_not_come_back_sealed_anew(
    world: World, between: Between, door: CredentialsDoor
) -> None:
    link = linked(world)
    world.repair.replace_credentials(ADA, link.link_id, NEW)
    between.before_writes = [lambda: world.linking.unlink_account(ADA, link.link_id)]

    assert len(door.open(ADA, [link.link_id])) == 1

    assert LinkKeyItem.count() == 0
    assert LinkItem.get(ADA, link.link_id).ciphertext is None


def test_a_user_purged_meanwhile_leaves_nothing(world: World, between: Between, door: CredentialsDoor) -> None:
    link = linked(world)
    world.register.record_outcome(
        ADA, link.link_id, Outcome(LinkEvent.MFA_REQUESTED, world.clock.now(), mfa=MfaChallenge())
    )
    world.repair.submit_mfa(ADA, link.link_id, "246810")
    world.clock.advance(MAX_KEY_AGE * 2)
    between.before_writes = [lambda: world.personal.purge_user(ADA)]

    assert len(door.open(ADA, [link.link_id])) == 1

    left: list[Model] = [*LinkKeyItem.scan()]
    assert left == []


def test_a_replaced_login_whose_key_is_gone_is_damage(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Never the old login in its place: it would lock the household out."""
    link = linked(world)
    world.repair.replace_credentials(ADA, link.link_id, NEW)
    LinkKeyItem(link.link_id).update([LinkKeyItem.login_wrapped_key.remove()])
    assert world.door.open(ADA, [link.link_id]) == []
    assert "credentials_unreadable" in caplog.text


def test_clear_text_does_not_show(world: World) -> None:
    link = linked(world)
    (opened,) = world.door.open(ADA, [link.link_id])
    shown = repr(opened) + repr(NEW) + repr(MfaCode("246810", "ref-1"))
    assert not [secret for secret in ("correct horse", "better", "246810", "ref-1", "NW123") if secret in shown]
