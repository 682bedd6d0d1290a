"""What must hold of a utility before it stands in the registry. Each rule answers the errors that it found."""

import re
import unicodedata
from collections.abc import Iterator

from functions.common.egress import Refused, Resolve, check_url
from functions.common.errors import FieldError
from functions.common.patterns import UnusablePattern, compiled
from functions.utility_provider_service.model import AuthType, CustomerParam, ProviderFacts, is_provider_id

COUNTRY, CURRENCY = re.compile(r"[A-Z]{2}"), re.compile(r"[A-Z]{3}")
TIME_ZONE = re.compile(r"UTC|[A-Za-z_]+(/[A-Za-z0-9_+-]+){1,2}")
PARAM_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
# The path of a base URL that was checked otherwise: requests append to it.
PLAIN_PATH = re.compile(r"[^/]+//[^/?]+(/(?!\.{1,2}(/|$))[A-Za-z0-9._~-]+)*/?")


def errors_in(facts: ProviderFacts, sandbox_origin: str, resolve: Resolve | None = None) -> list[FieldError]:
    """Everything wrong with `facts`. `sandbox_origin`: the one that may be plain HTTP or private; empty: none."""
    return [
        *_form("provider_id", is_provider_id(facts.provider_id), "It must look like prv_northwind_power."),
        *_form("name", _printable(facts.name), "A name has a visible character, and no control characters."),
        *_service_types(facts),
        *_form("country", COUNTRY.fullmatch(facts.country), "It must be an ISO 3166-1 alpha-2 code, e.g. DE."),
        *_form("currency", CURRENCY.fullmatch(facts.currency), "It must be an ISO 4217 code, e.g. EUR."),
        *_form("time_zone", _is_time_zone(facts.time_zone), "It must be an IANA time zone, e.g. Europe/Berlin."),
        *_how_reached(facts, sandbox_origin, resolve),
        *_customer_params(facts.customer_params),
    ]


def _form(field: str, fits: object, message: str) -> Iterator[FieldError]:
    if not fits:
        yield FieldError(field, "invalid", message)


def _printable(text: str) -> bool:
    return bool(text.strip()) and all(unicodedata.category(character) != "Cc" for character in text)


def _service_types(facts: ProviderFacts) -> Iterator[FieldError]:
    if not facts.service_types or len(set(facts.service_types)) < len(facts.service_types):
        yield FieldError("service_types", "invalid", "At least one is needed, each once.")


def _is_time_zone(name: str) -> bool:
    if not TIME_ZONE.fullmatch(name):
        return False
    import zoneinfo

    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):  # OSError: the name of a folder of zones
        return False
    return True


def _how_reached(facts: ProviderFacts, sandbox_origin: str, resolve: Resolve | None) -> Iterator[FieldError]:
    if facts.linkable:
        yield from _base_url(facts.base_url, sandbox_origin, resolve)
        return
    yield from _form("base_url", not facts.base_url, "A manual provider has none: leave it out.")
    yield from _form("auth_type", facts.auth_type is AuthType.NONE, "It must be none: nobody logs in there.")
    yield from _form("customer_params", not facts.customer_params, "It must be empty: nobody links there.")


def _base_url(url: str, sandbox_origin: str, resolve: Resolve | None) -> Iterator[FieldError]:
    if not url:
        yield FieldError("base_url", "missing", "This field is required, unless the adapter is manual.")
        return
    try:
        check_url(url, sandbox_origin, resolve)
    except Refused as refused:
        yield FieldError("base_url", refused.code, refused.message)
        return
    yield from _form("base_url", PLAIN_PATH.fullmatch(url), "Its path must be plain: no query, no . or .. in it.")


def _customer_params(params: tuple[CustomerParam, ...]) -> Iterator[FieldError]:
    seen: set[str] = set()
    for index, param in enumerate(params):
        path = f"customer_params[{index}]"
        yield from _form(f"{path}.name", PARAM_NAME.fullmatch(param.name), "It must look like account_number.")
        if param.name in seen:
            yield FieldError(f"{path}.name", "duplicate", "Another parameter has this name.")
        seen.add(param.name)
        yield from _form(f"{path}.label", _printable(param.label), "A label has a visible character.")
        if param.min_length > param.max_length:
            yield FieldError(f"{path}.min_length", "invalid", "It may not be above max_length.")
        yield from _regex_and_example(path, param)


def _regex_and_example(path: str, param: CustomerParam) -> Iterator[FieldError]:
    """By the checker that linking uses: what passes here is never refused there."""
    try:
        pattern = compiled(param.regex, param.max_length)
    except UnusablePattern as error:
        yield FieldError(f"{path}.regex", "unusable", f"This regular expression is not admitted: {error}.")
        return
    if not param.min_length <= len(param.example) <= param.max_length:
        yield FieldError(f"{path}.example", "length", "It must keep to min_length and max_length.")
    elif param.regex and not pattern.fullmatch(param.example):
        yield FieldError(f"{path}.example", "mismatch", "It must match the regular expression.")
