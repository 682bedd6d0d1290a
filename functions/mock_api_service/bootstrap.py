"""Settings of the sandbox, and the one place where its dependencies are built, on the first call."""

import os
import secrets
import time
from dataclasses import dataclass
from datetime import timedelta
from functools import cache

from functions.common.clock import SystemClock
from functions.common.settings import load
from functions.mock_api_service.controls import Operator
from functions.mock_api_service.memory import SandboxTable
from functions.mock_api_service.service import Sandbox


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    mock_table: str
    mock_slow_seconds: float = 4.0
    """How long the scenario `slow` takes; the function's time limit must be longer."""
    mock_token_seconds: int = 600


@cache
def sandbox() -> Sandbox:
    settings = load(Settings, os.environ)
    return Sandbox(
        table=_table(),
        clock=SystemClock(),
        sleep=time.sleep,
        new_secret=secrets.token_urlsafe,
        slow_seconds=settings.mock_slow_seconds,
        token_lifetime=timedelta(seconds=settings.mock_token_seconds),
    )


@cache
def operator() -> Operator:
    return Operator(_table(), SystemClock())


@cache
def _table() -> SandboxTable:
    from functions.mock_api_service.table import DynamoSandboxTable

    return DynamoSandboxTable(load(Settings, os.environ).mock_table)
