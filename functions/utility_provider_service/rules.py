"""What must hold of a utility before it stands in the registry. Each rule answers the errors that it found."""

import ipaddress
import re
import unicodedata
from collections.abc import Iterator
from urllib.parse import urlsplit

from functions.common.errors import FieldError
from functions.utility_provider_service.model import CustomerParam, ProviderFacts, is_provider_id

COUNTRY, CURRENCY = re.compile(r"[A-Z]{2}"), re.compile(r"[A-Z]{3}")
TIME_ZONE = re.compile(r"UTC|[A-Za-z_]+(/[A-Za-z0-9_+-]+){1,2}")
PARAM_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
# No user info, query, fragment, IPv6 literal or escaped character can stand in it.
BASE_URL = re.compile(r"https?://[a-z0-9.-]+(?P<port>:[0-9]{1,5})?(/[A-Za-z0-9._~-]+)*/?")
HIGHEST_PORT = 65_535
PRIVATE_DOMAINS = frozenset({"localhost", "local", "internal", "localdomain", "lan", "home", "arpa"})


def errors_in(facts: ProviderFacts, sandbox_origin: str) -> list[FieldError]:
    """Everything wrong with `facts`. `sandbox_origin`: the one that may be plain HTTP or private; empty: none."""
    return [
        *_form("provider_id", is_provider_id(facts.provider_id), "It must look like prv_northwind_power."),
        *_form("name", _printable(facts.name), "A name has a visible character, and no control characters."),
        *_service_types(facts),
        *_form("country", COUNTRY.fullmatch(facts.country), "It must be an ISO 3166-1 alpha-2 code, e.g. DE."),
        *_form("currency", CURRENCY.fullmatch(facts.currency), "It must be an ISO 4217 code, e.g. EUR."),
        *_form("time_zone", _is_time_zone(facts.time_zone), "It must be an IANA time zone, e.g. Europe/Berlin."),
        *_base_url(facts.base_url, sandbox_origin),
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


def _base_url(url: str, sandbox_origin: str) -> Iterator[FieldError]:
    matched = BASE_URL.fullmatch(url)
    if not matched or int((matched["port"] or ":443")[1:]) > HIGHEST_PORT:
        yield FieldError("base_url", "invalid", "It must be scheme, host and plain path: no user, query or fragment.")
        return
    parts = urlsplit(url)
    if sandbox_origin and f"{parts.scheme}://{parts.netloc}" == sandbox_origin:
        return
    if parts.scheme != "https":
        yield FieldError("base_url", "not_https", "It must be https.")
    if not _is_public(parts.hostname or ""):
        yield FieldError("base_url", "not_public", "It must name a host of the public internet.")


def _is_public(host: str) -> bool:
    """Judged by the name alone; where it leads is judged when it is called."""
    try:
        return ipaddress.ip_address(host).is_global
    except ValueError:
        last_label = host.rstrip(".").rpartition(".")[2]
        # A last label with a digit first is an address in disguise (0x7f.1, 127.1): no top-level domain begins so.
        return "." in host.rstrip(".") and last_label.isidentifier() and last_label not in PRIVATE_DOMAINS


def _customer_params(params: tuple[CustomerParam, ...]) -> Iterator[FieldError]:
    seen: set[str] = set()
    for index, param in enumerate(params):
        path = f"customer_params.{index}"
        yield from _form(f"{path}.name", PARAM_NAME.fullmatch(param.name), "It must look like account_number.")
        if param.name in seen:
            yield FieldError(f"{path}.name", "duplicate", "Another parameter has this name.")
        seen.add(param.name)
        yield from _form(f"{path}.label", _printable(param.label), "A label has a visible character.")
        if param.min_length > param.max_length:
            yield FieldError(f"{path}.min_length", "invalid", "It may not be above max_length.")
        yield from _example(path, param)


def _example(path: str, param: CustomerParam) -> Iterator[FieldError]:
    try:
        pattern = re.compile(param.regex, re.ASCII)
    except (re.error, OverflowError, RecursionError) as error:
        yield FieldError(f"{path}.regex", "invalid", f"It is no regular expression: {error}.")
        return
    if not param.min_length <= len(param.example) <= param.max_length:
        yield FieldError(f"{path}.example", "length", "It must keep to min_length and max_length.")
    elif param.regex and not pattern.fullmatch(param.example):
        yield FieldError(f"{path}.example", "mismatch", "It must match the regular expression.")
