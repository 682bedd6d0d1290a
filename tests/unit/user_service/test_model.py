"""What may be an e-mail and a name."""

import pytest

from functions.user_service.model import cleaned_name, normalised_email


@pytest.mark.parametrize(
    ("text", "normalised"),
    [
        ("  Ada.Lovelace@Example.COM ", "ada.lovelace@example.com"),
        ("a+tag@sub.example.org", "a+tag@sub.example.org"),
        ("Zoe\u0308@example.com", "zo\u00eb@example.com"),
        ("\u00c5sa@b\u00fccher.example", "\u00e5sa@b\u00fccher.example"),
        (f"{'a' * 64}@example.com", f"{'a' * 64}@example.com"),
    ],
)
def test_an_email_is_normalised(text: str, normalised: str) -> None:
    assert normalised_email(text) == normalised


@pytest.mark.parametrize(
    "text",
    [
        "", "@", "ada", "ada@", "@example.com", "ada@example", "ada@.com", "ada@example..com", ".ada@example.com",
        "ada.@example.com", "a..b@example.com", "ada@@example.com", "a b@example.com", "ada@exa mple.com",
        "ada\n@example.com", "ada@-example.com", "ada@example-.com", '"ada"@example.com', "ada@[127.0.0.1]",
        f"{'a' * 65}@example.com", f"a@{'b' * 64}.com", f"a@{'b.' * 125}example", "ada@example.com\x00",
        "a\x7f@b.example",
    ],
)  # fmt: skip
def test_what_is_no_email_is_refused(text: str) -> None:
    assert normalised_email(text) is None


def test_normalising_again_changes_nothing() -> None:
    once = normalised_email(" ÉLODIE@Example.com")
    assert once is not None
    assert normalised_email(once) == once


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [("  Ada  ", "Ada"), ("李小龍", "李小龍"), ("Zoe\u0308", "Zo\u00eb"), ("Anne 👩‍🚀", "Anne 👩‍🚀")],
)
def test_a_name_is_trimmed(text: str, cleaned: str) -> None:
    assert cleaned_name(text) == cleaned


@pytest.mark.parametrize("text", ["", "   ", "A\x00B", "A\nB", "\x7f"])
def test_a_name_needs_characters_that_show(text: str) -> None:
    assert cleaned_name(text) is None
