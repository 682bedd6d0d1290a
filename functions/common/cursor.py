"""Opaque cursors: a table's last key in URL-safe base64. What is not one of ours is refused by name."""

import base64
import binascii
import hmac
import json

from functions.common.errors import FieldError, InvalidInput

SIGNATURE_BYTES = 16
"""RFC 2104 section 5: half of SHA-256's output is as good as all of it."""


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


class SignedCursors:
    """Cursors that only this service can make, each good for one owner: what was tampered with, or given to somebody
    else, is refused like any other text. The signature says nothing of the position itself, so it stays good while
    rows come and go."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def encode(self, owner: str, key: dict[str, str]) -> str:
        payload = json.dumps(key, separators=(",", ":")).encode()
        return base64.urlsafe_b64encode(self._signature(owner, payload) + payload).decode().rstrip("=")

    def decode(self, owner: str, cursor: str) -> dict[str, str]:
        """Raises InvalidInput naming `cursor`."""
        try:
            signed = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError) as error:
            raise _refused() from error
        signature, payload = signed[:SIGNATURE_BYTES], signed[SIGNATURE_BYTES:]
        if not hmac.compare_digest(signature, self._signature(owner, payload)):
            raise _refused()
        key: dict[str, str] = json.loads(payload)
        if self.encode(owner, key) != cursor:
            raise _refused()
        return key

    def _signature(self, owner: str, payload: bytes) -> bytes:
        message = owner.encode() + b"\0" + payload
        return hmac.digest(self._secret, message, "sha256")[:SIGNATURE_BYTES]
