"""How long to wait for what comes by itself: by the target under test, or as PATIENCE=… says."""

import functools
import os
from collections.abc import Callable
from typing import TypeVar

from infra import client, settings
from infra.settings import Target

T = TypeVar("T")
FACTOR = {Target.EMBEDDED: 1.0, Target.LOCALSTACK: 4.0, Target.AWS: 1.0}
"""LocalStack takes about 25 ms for each call of a service and of a function: a refresh, with a dozen of them, takes it
several times as long."""


@functools.cache
def patience() -> float:
    return float(os.environ.get("PATIENCE") or FACTOR[settings.load().target])


def await_value(look: Callable[[], T | None], seconds: float, what: str) -> T:
    """As infra.client's. `seconds`: what is generous on the embedded engine; on another, so much longer as that may
    be."""
    return client.await_value(look, seconds * patience(), what)
