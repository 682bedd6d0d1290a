from dataclasses import FrozenInstanceError, dataclass, field

import pytest

from functions.common.settings import HttpSettings, SettingsError, load


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    table: str
    count: int = 3
    ratio: float = 0.5
    sandbox: bool = False
    origins: tuple[str, ...] = field(default_factory=tuple)


def test_each_field_is_read_from_the_variable_of_its_name_in_upper_case() -> None:
    environ = {
        "TABLE": "t",
        "COUNT": "7",
        "RATIO": "1.5",
        "SANDBOX": "true",
        "ORIGINS": "https://a, ,https://b",
        "X": "y",
    }

    assert load(Sample, environ) == Sample(
        table="t", count=7, ratio=1.5, sandbox=True, origins=("https://a", "https://b")
    )


def test_what_is_not_set_has_its_default() -> None:
    assert load(Sample, {"TABLE": "t"}) == Sample(table="t")


def test_all_mistakes_are_told_at_once_by_name_and_without_the_value() -> None:
    wrong = {"COUNT": "hunter2", "RATIO": "hunter2", "SANDBOX": "hunter2"}

    with pytest.raises(SettingsError) as refused:
        load(Sample, wrong)

    assert str(refused.value) == (
        "TABLE: not set; COUNT: not a whole number; RATIO: not a number; SANDBOX: neither true nor false"
    )


@pytest.mark.parametrize("value", ["True", "1", "yes", ""])
def test_a_flag_is_true_or_false_and_nothing_else(value: str) -> None:
    with pytest.raises(SettingsError, match="SANDBOX"):
        load(Sample, {"TABLE": "t", "SANDBOX": value})


def test_settings_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        load(Sample, {"TABLE": "t"}).table = "u"  # type: ignore[misc]


def test_an_http_function_needs_no_environment() -> None:
    settings = load(HttpSettings, {})

    assert settings.cache_url == ""
    assert settings.max_body_bytes == 262_144


def test_a_service_adds_its_own_fields() -> None:
    @dataclass(frozen=True, slots=True, kw_only=True)
    class Own(HttpSettings):
        users_table: str

    assert load(Own, {"USERS_TABLE": "u", "USER_RATE_PER_MINUTE": "5"}).user_rate_per_minute == 5
    with pytest.raises(SettingsError, match=r"^USERS_TABLE: not set$"):
        load(Own, {})
