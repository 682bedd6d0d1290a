"""How a unary call travels in a Lambda Invoke payload (ADR 0002): JSON, so that it can be written by hand for `sam
local invoke`, with the protobuf message in base64."""

import base64
from dataclasses import dataclass
from typing import Any

from functions.common.rpc.status import StatusCode
from functions.contracts.rpc.common_pb2 import ErrorInfo


@dataclass(frozen=True, slots=True)
class Call:
    method: str
    """Full name, e.g. `billing.users.v1.Users/GetUser`."""
    message: bytes
    timeout_ms: int
    correlation_id: str
    traceparent: str = ""
    """Of the caller's step (W3C Trace Context)."""

    def to_payload(self) -> dict[str, Any]:  # Any: JSON
        return {
            "method": self.method,
            "message": base64.b64encode(self.message).decode(),
            "timeout_ms": self.timeout_ms,
            "correlation_id": self.correlation_id,
            "traceparent": self.traceparent,
        }

    @classmethod
    def from_payload(cls, payload: dict[str, Any]) -> "Call":
        """Raises KeyError or ValueError when the payload is no call."""
        return cls(
            str(payload["method"]),
            base64.b64decode(payload["message"], validate=True),
            int(payload["timeout_ms"]),
            str(payload["correlation_id"]),
            str(payload.get("traceparent", "")),
        )


@dataclass(frozen=True, slots=True)
class Reply:
    status: StatusCode
    message: bytes = b""
    detail: str = ""
    info: ErrorInfo | None = None

    def to_payload(self) -> dict[str, Any]:
        payload: dict[str, Any] = {"status": int(self.status), "message": base64.b64encode(self.message).decode()}
        if self.status is not StatusCode.OK:
            payload["detail"] = self.detail
            payload["info"] = base64.b64encode((self.info or ErrorInfo()).SerializeToString()).decode()
        return payload

    @classmethod
    def from_payload(cls, payload: dict[str, Any]) -> "Reply":
        return cls(
            StatusCode(payload["status"]),
            base64.b64decode(payload["message"]),
            payload.get("detail", ""),
            ErrorInfo.FromString(base64.b64decode(payload.get("info", ""))),
        )
