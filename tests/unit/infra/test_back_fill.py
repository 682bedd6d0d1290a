"""Back-fills: page by page, resumable, and never over what the service wrote meanwhile."""

from collections.abc import Iterator

import pytest

from functions.common.migration import Change, Item
from infra.console import Failure
from tests.support.migrations import Database, database


@pytest.fixture
def base() -> Iterator[Database]:
    with database() as base:
        base.create("things", "owner", "id")
        yield base


def thing(number: int, **attributes: object) -> Item:
    return {"owner": f"o{number % 3}", "id": f"i{number}", **attributes}


def upper(item: Item) -> Change | None:
    return Change(put={"name": item["name"].upper()}) if item["name"] != item["name"].upper() else None


def test_every_item_is_judged_and_only_what_asks_for_it_is_changed(base: Database) -> None:
    base.put("things", *(thing(n, name="Ab" if n % 2 else "AB", kept=[n, None, {"deep": n}]) for n in range(10)))

    changed = base.tables(page=4).back_fill("things", upper)

    assert changed == 5
    assert {item["name"] for item in base.items("things")} == {"AB"}
    assert {item["kept"][0] for item in base.items("things")} == set(range(10))
    assert [progress for _, progress in base.saved][-1] == "10 items read, 5 changed"
    assert base.logged[0].startswith("4 of about 10 items read")


@pytest.mark.parametrize("cut", range(1, 4))
def test_from_any_page_on_it_is_taken_up(base: Database, cut: int) -> None:
    base.put("things", *(thing(n, name="a") for n in range(10)))
    first = base.tables(page=4)
    read: list[str] = []

    def record(item: Item) -> Change | None:
        read.append(item["id"])
        return upper(item)

    first.back_fill("things", record)
    checkpoint = base.saved[cut - 1][0]
    done = set(read[: cut * 4])
    read.clear()

    assert base.tables(checkpoint, page=4).back_fill("things", record) >= 0
    assert set(read) == {f"i{n}" for n in range(10)} - done


def test_each_back_fill_of_a_migration_has_its_own_place(base: Database) -> None:
    base.create("others", "id")
    base.put("things", *(thing(n, name="a") for n in range(5)))
    base.put("others", *({"id": f"i{n}", "name": "b"} for n in range(5)))
    tables = base.tables(page=2)
    tables.back_fill("things", upper)
    half_through_others = len(base.saved) + 1
    tables.back_fill("others", upper)
    read: list[Item] = []

    again = base.tables(base.saved[half_through_others - 1][0], page=2)
    assert again.back_fill("things", read.append) == 5
    assert read == []
    again.back_fill("others", read.append)
    assert len(read) == 3


def test_a_checkpoint_of_another_table_is_none(base: Database) -> None:
    base.create("others", "id")
    base.put("things", thing(1, name="a"))
    base.tables().back_fill("others", upper)

    assert base.tables(base.saved[-1][0]).back_fill("things", upper) == 1


def test_what_was_written_meanwhile_is_judged_anew(base: Database) -> None:
    base.put("things", thing(1, name="old", count=1))
    seen: list[str] = []

    def judge(item: Item) -> Change | None:
        seen.append(item["name"])
        if len(seen) == 1:  # the service writes between the reading and the change
            base.put("things", thing(1, name="new", count=2))
        return upper(item)

    assert base.tables().back_fill("things", judge) == 1
    assert seen == ["old", "new"]
    assert base.items("things") == [thing(1, name="NEW", count=2)]


@pytest.mark.parametrize("meanwhile", [{"count": 2}, {}])
def test_what_it_was_judged_by_must_stand(base: Database, meanwhile: dict[str, int]) -> None:
    base.put("things", thing(1, name="a", **({} if meanwhile else {"count": 1})))
    counts: list[object] = []

    def judge(item: Item) -> Change:
        counts.append(item.get("count"))
        if len(counts) == 1:
            base.put("things", thing(1, name="a", **meanwhile))
        return Change(put={"name": "b"}, given=("count",))

    base.tables().back_fill("things", judge)
    assert counts == ([None, 2] if meanwhile else [1, None])


def test_items_are_deleted_if_they_still_are_what_they_were_judged_by(base: Database) -> None:
    base.put("things", thing(1, ends=5), thing(2, ends=5), thing(3, ends=9))

    def judge(item: Item) -> Change | None:
        if item["id"] == "i2" and item["ends"] == 5:
            base.put("things", thing(2, ends=9))
        return Change(delete=True, given=("ends",)) if item["ends"] == 5 else None

    assert base.tables().back_fill("things", judge) == 1
    assert sorted(item["id"] for item in base.items("things")) == ["i2", "i3"]


def test_what_was_deleted_meanwhile_stays_deleted(base: Database) -> None:
    base.put("things", thing(1, name="a"))

    def judge(item: Item) -> Change | None:
        base.dynamodb.delete_item(TableName="things", Key={"owner": {"S": "o1"}, "id": {"S": "i1"}})
        return upper(item)

    assert base.tables().back_fill("things", judge) == 0
    assert base.items("things") == []


def test_attributes_are_removed(base: Database) -> None:
    base.put("things", thing(1, name="a", old="x"))

    base.tables().back_fill(
        "things", lambda item: Change(put={"name": "b"}, remove=("old",)) if "old" in item else None
    )

    assert base.items("things") == [thing(1, name="b")]


def test_a_change_of_nothing_is_none(base: Database) -> None:
    base.put("things", thing(1))

    assert base.tables().back_fill("things", lambda item: Change(given=tuple(item))) == 0


def test_an_item_that_never_rests_ends_the_run(base: Database) -> None:
    base.put("things", thing(1, name="a", count=0))

    def judge(item: Item) -> Change:
        base.put("things", thing(1, name="a", count=item["count"] + 1))
        return Change(put={"name": "b"}, given=("count",))

    with pytest.raises(Failure, match="keeps being changed"):
        base.tables().back_fill("things", judge)


def test_a_key_is_not_changed(base: Database) -> None:
    base.put("things", thing(1))

    with pytest.raises(Failure, match="key"):
        base.tables().back_fill("things", lambda item: Change(put={"id": item["id"] + "x"}))


def test_other_errors_of_the_table_are_told(base: Database) -> None:
    base.put("things", thing(1))

    with pytest.raises(base.dynamodb.exceptions.ClientError, match="ValidationException"):
        base.tables().back_fill("things", lambda item: Change(put={"name": item["id"] * 300_000}))


def test_one_item_is_read_as_it_stands(base: Database) -> None:
    base.put("things", thing(1, count=3))

    assert base.tables().get("things", {"owner": "o1", "id": "i1"}) == thing(1, count=3)
    assert base.tables().get("things", {"owner": "o1", "id": "i2"}) is None


def test_a_deletion_says_what_it_was_judged_by() -> None:
    with pytest.raises(ValueError, match="judged by"):
        Change(delete=True)
