from functions.common import ids


def test_an_id_says_what_it_names_and_is_safe_in_a_path() -> None:
    made = ids.new_id("usr")

    assert ids.is_id("usr", made)
    assert made.isascii()
    assert made.replace("_", "").isalnum()


def test_ids_sort_by_their_time() -> None:
    earlier, later = ids.time_part(1_767_225_600_000), ids.time_part(1_767_225_600_001)

    assert earlier < later
    assert len(earlier) == ids.TIME_CHARS


def test_the_layout_is_that_of_the_ulid_specification() -> None:
    # the example of https://github.com/ulid/spec: 01ARZ3NDEKTSV4RRFFQ69G5FAV was made at 1469922850259
    assert ids.time_part(1_469_922_850_259) == "01ARZ3NDEK"
    assert ids.random_part(bytes(10)) == "0" * 16
    assert ids.random_part(b"\xff" * 10) == "Z" * 16


def test_the_random_part_takes_ten_bytes_of_a_longer_hash() -> None:
    assert ids.random_part(b"\x01" * 32) == ids.random_part(b"\x01" * 10)


def test_ids_are_unique() -> None:
    assert len({ids.new_id("evt") for _ in range(1000)}) == 1000


def test_what_cannot_be_an_id_is_told_apart() -> None:
    good = ids.new_id("lnk")

    for wrong in ("", "lnk", "lnk_", good[:-1], good + "0", good.lower(), "usr" + good[3:], good[:-1] + "U", good[4:]):
        assert not ids.is_id("lnk", wrong), wrong
