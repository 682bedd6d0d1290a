"""Migrations of account linking, on items as they were written."""

import pytest

from tests.support.migrations import database, migration

ENV = {"LINKS_TABLE": "links"}
nicknames = migration("account_linking_service", "0001_compose_nicknames")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("Caf\u0065\u0301 upstairs", "Caf\u00e9 upstairs"),
        ("  home\t", "home"),
        ("first\nline", "first line"),
        ("\x00\x07", None),
        ("Ferienhaus – Küche", "Ferienhaus – Küche"),
        (None, None),
    ],
)
def test_nicknames_are_spelt_as_new_ones(before: str | None, after: str | None) -> None:
    link = {"user_id": "usr_a", "link_id": "lnk_a", "state": "ACTIVE", "version": 3}
    named = {"nickname": before} if before is not None else {}
    with database() as base:
        base.create("links", "user_id", "link_id")
        base.put("links", link | named, {"user_id": "usr_a", "link_id": "acct#1", "held_by": "lnk_a"})

        for _ in range(2):
            nicknames.up(base.context("account_linking_service", ENV))
        nicknames.down(base.context("account_linking_service", ENV))

        links = {item["link_id"]: item for item in base.items("links")}
        changed = int(before != after)
        assert base.saved[0][1] == f"2 items read, {changed} changed"
    assert links["lnk_a"] == link | ({"nickname": after} if after is not None else {})
    assert links["acct#1"]["held_by"] == "lnk_a"
