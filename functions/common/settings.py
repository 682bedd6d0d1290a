"""Settings: one frozen dataclass per function, read once from the environment.

A field's name in upper case is its variable. A field without a default must be set. All mistakes are told at once,
by name and without the value, because the value may be a secret.
"""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any, TypeVar, get_type_hints


class SettingsError(Exception):
    """The environment does not hold what the function needs; the message names every variable."""


T = TypeVar("T")


def load(cls: type[T], environ: Mapping[str, str]) -> T:
    """Builds `cls` (a frozen dataclass) from `environ`. Raises SettingsError naming each variable that is missing or
    wrong."""
    hints = get_type_hints(cls)
    values: dict[str, object] = {}
    mistakes: list[str] = []
    for entry in fields(cls):  # type: ignore[arg-type]  # a dataclass type; typeshed has no bound to say so
        name = entry.name.upper()
        if name in environ:
            try:
                values[entry.name] = _PARSERS[hints[entry.name]](environ[name])
            except ValueError as error:
                mistakes.append(f"{name}: {error}")
        elif _required(entry):
            mistakes.append(f"{name}: not set")
    if mistakes:
        raise SettingsError("; ".join(mistakes))
    return cls(**values)


def _required(field: "Field[Any]") -> bool:  # Any: a dataclass field of any type
    return field.default is MISSING and field.default_factory is MISSING


def _text(value: str) -> str:
    return value


def _integer(value: str) -> int:
    try:
        return int(value)
    except ValueError:
        raise ValueError("not a whole number") from None


def _number(value: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise ValueError("not a number") from None


def _flag(value: str) -> bool:
    if value not in ("true", "false"):
        raise ValueError("neither true nor false")
    return value == "true"


def _names(value: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in value.split(",") if part.strip())


_PARSERS: dict[object, Callable[[str], object]] = {
    str: _text,
    int: _integer,
    float: _number,
    bool: _flag,
    tuple[str, ...]: _names,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpSettings:
    """What every HTTP function needs. Limits are requests per minute; the sandbox's defaults are loose."""

    stage: str = "dev"
    """Tells the metrics of deployments in one account apart; given where reads are cached."""
    jwks: str = '{"keys":[]}'
    token_issuer: str = "billing-aggregator"  # noqa: S105 - a name
    token_audience: str = "billing-api"  # noqa: S105 - a name
    cache_url: str = ""
    """Empty: run without a cache."""
    cache_timeout_ms: int = 50
    user_rate_per_minute: int = 600
    address_rate_per_minute: int = 1200
    auth_rate_per_minute: int = 300
    max_body_bytes: int = 262_144
    cors_origins: tuple[str, ...] = ()
    """Origins (scheme, host, port) whose pages may call the API, exactly as browsers spell them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IdempotencySettings:
    """What an HTTP function with idempotent routes needs."""

    idempotency_table: str
    idempotency_secret: str = field(repr=False)
    """Keys the hashes of callers, keys and requests; changing it makes kept answers unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionSettings:
    """What a function that tells of security or admin actions needs: an HTTP function with routes that need a role."""

    rpc_broker: str
