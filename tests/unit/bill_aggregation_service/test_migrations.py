"""Migrations of bill aggregation, on items as they were written."""

import json
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from functions.bill_aggregation_service.item_table import REMIND_SHARDS
from functions.common.clock import parse_rfc3339
from tests.support.migrations import Database, database, migration

ENV = {"BILLS_TABLE": "bills"}
orphaned_bills = migration("bill_aggregation_service", "0001_clear_orphaned_bills")
known_bills = migration("bill_aggregation_service", "0002_remind_of_known_bills")


@pytest.fixture
def base() -> Iterator[Database]:
    with database() as base:
        base.create("bills", "user_id", "sk")
        yield base


def item(user: str, sk: str, link: str, **attributes: object) -> dict[str, object]:
    return {"user_id": user, "sk": sk, "link_id": link, **attributes}


def test_bills_of_unlinked_accounts_go_with_their_versions(base: Database) -> None:
    base.put(
        "bills",
        item("usr_a", "link#lnk_on", "lnk_on", revision=4, gone=False),
        item("usr_a", "link#lnk_off", "lnk_off", revision=7, gone=True),
        item("usr_a", "bill#1", "lnk_on", version=2),
        item("usr_a", "ver#1#00001", "lnk_on", version=1),
        item("usr_a", "bill#2", "lnk_off", version=2),
        item("usr_a", "ver#2#00001", "lnk_off", version=1),
        item("usr_b", "bill#3", "lnk_on", version=1),  # another user's link of that name
        {"user_id": "usr_b", "sk": "user#gone", "expires_at": 2_000_000_000},
    )

    for _ in range(2):
        orphaned_bills.up(base.context("bill_aggregation_service", ENV, page=3))
    orphaned_bills.down(base.context("bill_aggregation_service", ENV))

    assert sorted((row["user_id"], row["sk"]) for row in base.items("bills")) == [
        ("usr_a", "bill#1"),
        ("usr_a", "link#lnk_off"),
        ("usr_a", "link#lnk_on"),
        ("usr_a", "ver#1#00001"),
        ("usr_b", "user#gone"),
    ]


def test_each_link_is_looked_up_once(base: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    base.put("bills", item("usr_a", "link#lnk_on", "lnk_on"))
    base.put("bills", *(item("usr_a", f"bill#{n}", "lnk_on", version=1) for n in range(9)))
    ctx = base.context("bill_aggregation_service", ENV, page=4)
    read, looked_up = ctx.tables.get, []

    def get(table: str, key: dict[str, str]) -> object:
        looked_up.append(key["sk"])
        return read(table, key)

    monkeypatch.setattr(ctx.tables, "get", get)
    orphaned_bills.up(ctx)

    assert looked_up == ["link#lnk_on"]
    assert len(base.items("bills")) == 10


def test_what_is_known_of_links_does_not_grow_without_end(base: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orphaned_bills, "PAGE_OF_LINKS", 2)
    base.put("bills", *(item("usr_a", f"bill#{n}", f"lnk_{n}", version=1) for n in range(5)))
    base.put("bills", *(item("usr_a", f"link#lnk_{n}", f"lnk_{n}") for n in range(3)))

    orphaned_bills.up(base.context("bill_aggregation_service", ENV))

    assert sorted(row["sk"] for row in base.items("bills") if row["sk"].startswith("bill#")) == [
        "bill#0",
        "bill#1",
        "bill#2",
    ]


def test_bills_that_something_may_be_said_of_get_their_first_look(base: Database) -> None:
    today = datetime.now(UTC).date()
    recent, old = (json.dumps({"due_date": f"{today - timedelta(days)}"}) for days in (50, 70))
    known = {"remind_at": "2026-01-01T00:00:00.000Z", "remind_shard": 3}
    base.put(
        "bills",
        item("usr_a", "link#lnk_on", "lnk_on", revision=4, gone=False),
        item("usr_a", "bill#1", "lnk_on", version=2, content=recent, edition=3),
        item("usr_a", "bill#2", "lnk_on", version=1, content=old),
        item("usr_a", "bill#3", "lnk_on", version=1, content="{}"),
        item("usr_a", "bill#4", "lnk_on", version=1, content=recent, **known),
        item("usr_a", "ver#1#00001", "lnk_on", version=1, content=recent),
        {"user_id": "usr_b", "sk": "user#gone", "expires_at": 2_000_000_000},
    )
    before = base.items("bills")

    for _ in range(2):
        known_bills.up(base.context("bill_aggregation_service", ENV, page=2))

    looked_at = {row["sk"]: row for row in base.items("bills") if "remind_at" in row}
    assert looked_at.keys() == {"bill#1", "bill#4"}
    assert looked_at["bill#4"].items() >= known.items()
    assert looked_at["bill#1"]["remind_shard"] == zlib.crc32(b"1") % REMIND_SHARDS
    assert parse_rfc3339(looked_at["bill#1"]["remind_at"]) <= datetime.now(UTC)

    for _ in range(2):
        known_bills.down(base.context("bill_aggregation_service", ENV))
    assert base.items("bills") == [{k: v for k, v in row.items() if k not in known} for row in before]
