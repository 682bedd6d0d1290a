"""The type of the fixture `log_lines`."""

from collections.abc import Callable
from typing import Any

Lines = Callable[[], list[dict[str, Any]]]  # Any: JSON
