"""argon2id, with parameters that cost little."""

from functions.user_service.passwords import Argon2id

CHEAP = Argon2id(time_cost=1, memory_kib=64, parallelism=1)


def test_a_password_verifies_against_its_hash_only() -> None:
    password_hash = CHEAP.hash("correct horse")
    assert password_hash.startswith("$argon2id$v=19$m=64,t=1,p=1$")
    assert CHEAP.verify(password_hash, "correct horse")
    assert not CHEAP.verify(password_hash, "incorrect horse")


def test_the_same_password_has_another_hash_each_time() -> None:
    assert CHEAP.hash("correct horse") != CHEAP.hash("correct horse")


def test_nobody_has_no_password() -> None:
    assert not CHEAP.verify(None, "")
    assert not CHEAP.verify(None, "correct horse")


def test_nobodys_hash_is_one_that_argon2_computes_in_full() -> None:
    from argon2 import extract_parameters

    mine = extract_parameters(CHEAP._nobodys)
    assert mine == extract_parameters(CHEAP.hash("correct horse"))


def test_a_hash_of_other_parameters_verifies_but_is_outdated() -> None:
    dearer = Argon2id(time_cost=2, memory_kib=64, parallelism=1)
    old = CHEAP.hash("correct horse")
    assert dearer.verify(old, "correct horse")
    assert dearer.outdated(old)
    assert not CHEAP.outdated(old)


def test_composition_of_characters_does_not_count() -> None:
    assert CHEAP.verify(CHEAP.hash("cafe\u0301 au lait"), "caf\u00e9 au lait")
