import pytest

from functions.common.errors import AppError, FieldError, InvalidInput, RateLimited, Unavailable


def tree(cls: type[AppError]) -> list[type[AppError]]:
    return [cls, *(below for direct in cls.__subclasses__() for below in tree(direct))]


@pytest.mark.parametrize("cls", tree(AppError), ids=lambda cls: cls.__name__)
def test_each_error_has_a_status_a_title_and_a_code_of_its_own(cls: type[AppError]) -> None:
    error = cls("what happened")

    assert 400 <= error.status < 600
    assert error.title
    assert error.code == cls.default_code
    assert str(error) == error.detail == "what happened"


def test_no_two_errors_share_a_code() -> None:
    codes = [cls.default_code for cls in tree(AppError)]

    assert len(codes) == len(set(codes))


def test_the_drawing_in_the_docstring_is_the_tree() -> None:
    from functions.common import errors

    drawing = errors.__doc__ or ""
    drawn = [line.split("── ")[1].split() for line in drawing.splitlines() if "──" in line]
    assert {(name, int(status)) for name, status, *_ in drawn} == {
        (cls.__name__, cls.status) for cls in AppError.__subclasses__() if cls.__module__ == errors.__name__
    }


def test_a_more_exact_code_may_be_given() -> None:
    assert Unavailable("down", code="provider_down").code == "provider_down"
    assert Unavailable("down").retry_after == 5
    assert RateLimited("slow", retry_after=3, headers={"RateLimit": "x"}).headers == {"RateLimit": "x"}


def test_invalid_input_names_its_fields() -> None:
    error = InvalidInput.of(FieldError("a", "missing", "m"), FieldError("b.c", "invalid", "i"))

    assert error.detail == "These fields do not validate: a, b.c."
    assert [e.field for e in error.errors] == ["a", "b.c"]
