"""Settings of the registry, and the one place where its dependencies are built, on the first call."""

import os
from dataclasses import dataclass
from functools import cache

from functions.common.clock import SystemClock
from functions.common.settings import load
from functions.utility_provider_service.service import Registry


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    providers_table: str
    sandbox_origin: str = ""
    """Scheme, host and port of the sandbox utilities as the functions see them. Empty: there is no sandbox."""


@cache
def registry() -> Registry:
    from functions.utility_provider_service.table import DynamoProviders

    settings = load(Settings, os.environ)
    return Registry(DynamoProviders(settings.providers_table), SystemClock(), settings.sandbox_origin)
