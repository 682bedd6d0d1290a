"""Checks what a user gave against what the provider asks for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from functions.common.errors import FieldError
from functions.common.patterns import MAX_VALUE_CHARS, compiled

MAX_UNKNOWN_NAMED = 20
IDENTIFIER_PARAM = "account_number"


@dataclass(frozen=True, slots=True)
class CustomerParam:
    """One field that a provider asks for. No `regex`: any text; `max_length` 0: no limit but the platform's own."""

    name: str
    regex: str = ""
    min_length: int = 0
    max_length: int = 0
    optional: bool = False
    secret: bool = False

    @property
    def longest(self) -> int:
        return min(self.max_length or MAX_VALUE_CHARS, MAX_VALUE_CHARS)


def check(wanted: Sequence[CustomerParam], given: Mapping[str, object]) -> list[FieldError]:
    """Everything that is wrong with `given`; never repeats a value. The patterns of `wanted` must be usable."""
    known = {param.name: param for param in wanted}
    unknown = [name for name in given if name not in known][:MAX_UNKNOWN_NAMED]
    errors = [_error(name, "unknown", "The provider asks for no such field.") for name in unknown]
    for param in wanted:
        if param.name in given:
            errors += _check_value(param, given[param.name])
        elif not param.optional:
            errors.append(_error(param.name, "missing", "The provider requires this field."))
    return errors


def identifier(wanted: Sequence[CustomerParam], given: Mapping[str, str], username: str) -> str:
    """What tells accounts apart there: the account number, else the first required open field, else the login."""
    names = [IDENTIFIER_PARAM, *(param.name for param in wanted if not param.optional and not param.secret)]
    return next((given[name] for name in names if name in given), username)


def _check_value(param: CustomerParam, value: object) -> list[FieldError]:
    if not isinstance(value, str):
        return [_error(param.name, "invalid", "This field must be text.")]
    shortest = max(param.min_length, 1)
    if len(value) < shortest:
        return [_error(param.name, "too_short", f"At least {shortest} characters are needed.")]
    if len(value) > param.longest:
        return [_error(param.name, "too_long", f"At most {param.longest} characters are allowed.")]
    if param.regex and not compiled(param.regex, param.longest).fullmatch(value):
        return [_error(param.name, "pattern", f"This field must match {param.regex}.")]
    return []


def _error(name: str, code: str, message: str) -> FieldError:
    return FieldError(f"params.{name[:64]}", code, message)
