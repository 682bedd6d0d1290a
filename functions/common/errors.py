"""The platform's one exception tree.

    AppError
    ├── MalformedBody         400   the body is not what its content type says
    ├── InvalidHeader         400   names the header that does not validate
    ├── Unauthenticated       401   no token, or one that does not verify
    ├── PermissionDenied      403   the token is good, the role is missing
    ├── NotFound              404   unknown, ill-formed or somebody else's
    ├── MethodNotAllowed      405
    ├── Conflict              409   a duplicate, or the wrong state
    ├── PreconditionFailed    412   stale If-Match
    ├── PayloadTooLarge       413
    ├── UnsupportedMediaType  415
    ├── InvalidInput          422   names every field that does not validate
    ├── RateLimited           429
    ├── NotImplementedYet     501
    ├── Unavailable           503   a dependency is down
    └── DeadlineExceeded      504

HTTP status codes stand here, on the class, because they are how the design names these errors; `common.rpc.status`
holds the one table to gRPC codes. Nothing else in the code base speaks of either.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class FieldError:
    """One field of the input that does not validate. `field` is a dotted path, e.g. "params.account_number"."""

    field: str
    code: str
    message: str


class AppError(Exception):
    """Base of every error that a caller may see. `detail` is for people, `code` for programs; neither holds a
    secret."""

    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal error"
    default_code: ClassVar[str] = "internal"

    def __init__(
        self,
        detail: str,
        *,
        code: str = "",
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
        retry_after: int = 0,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code or self.default_code
        self.errors = tuple(errors)
        self.headers = dict(headers or {})
        self.retry_after = retry_after
        """Seconds after which a retry may succeed; 0 when there is nothing to say."""


class MalformedBody(AppError):
    status, title, default_code = 400, "Malformed body", "malformed_body"


class InvalidHeader(AppError):
    status, title, default_code = 400, "Invalid header", "invalid_header"


class Unauthenticated(AppError):
    status, title, default_code = 401, "Not authenticated", "unauthenticated"


class PermissionDenied(AppError):
    status, title, default_code = 403, "Not allowed", "permission_denied"


class NotFound(AppError):
    status, title, default_code = 404, "Not found", "not_found"


class MethodNotAllowed(AppError):
    status, title, default_code = 405, "Method not allowed", "method_not_allowed"


class Conflict(AppError):
    status, title, default_code = 409, "Conflict", "conflict"


class PreconditionFailed(AppError):
    status, title, default_code = 412, "Precondition failed", "precondition_failed"


class PayloadTooLarge(AppError):
    status, title, default_code = 413, "Payload too large", "payload_too_large"


class UnsupportedMediaType(AppError):
    status, title, default_code = 415, "Unsupported media type", "unsupported_media_type"


class InvalidInput(AppError):
    status, title, default_code = 422, "Invalid input", "invalid_input"

    @classmethod
    def of(cls, *errors: FieldError) -> "InvalidInput":
        names = ", ".join(error.field for error in errors)
        return cls(f"These fields do not validate: {names}.", errors=errors)


class RateLimited(AppError):
    status, title, default_code = 429, "Too many requests", "rate_limited"


class NotImplementedYet(AppError):
    status, title, default_code = 501, "Not implemented", "not_implemented"


class Unavailable(AppError):
    status, title, default_code = 503, "Temporarily unavailable", "unavailable"

    def __init__(self, detail: str, *, code: str = "", retry_after: int = 5) -> None:
        super().__init__(detail, code=code, retry_after=retry_after)


class DeadlineExceeded(AppError):
    status, title, default_code = 504, "Deadline exceeded", "deadline_exceeded"
