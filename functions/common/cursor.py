"""Opaque cursors: a table's last key in URL-safe base64. What is not one of ours is refused by name."""

import base64
import binascii
import json

from functions.common.errors import FieldError, InvalidInput


def encode(key: dict[str, str]) -> str:
    return base64.urlsafe_b64encode(json.dumps(key, separators=(",", ":")).encode()).decode().rstrip("=")


def decode(cursor: str) -> dict[str, str]:
    """Raises InvalidInput naming `cursor` when it is not one that `encode` made."""
    try:
        key = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (binascii.Error, ValueError, RecursionError) as error:
        raise _refused() from error
    if not isinstance(key, dict) or not all(isinstance(v, str) for v in key.values()) or encode(key) != cursor:
        raise _refused()
    return key


def _refused() -> InvalidInput:
    return InvalidInput.of(FieldError("cursor", "invalid", "This is no cursor that this list gave out."))
