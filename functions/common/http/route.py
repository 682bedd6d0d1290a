"""What a route says of itself: to the base app, and to the OpenAPI document."""

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from functions.common.cache import Entry

JSON = "application/json"


@dataclass(frozen=True, slots=True)
class RouteSpec:
    """What the base app must know of a route beside path and methods."""

    public: bool = False
    role: str | None = None
    policy: str = "user"
    """Which limit of the settings counts: "user" (per user), "address" or the stricter "auth" (per address)."""
    content_types: tuple[str, ...] = (JSON,)
    cached: Callable[[], Entry | None] | None = None
    """Names the cached answer to read together with the rate limit; called once the principal is known."""
    body: type[msgspec.Struct] | None = None
    query: type[msgspec.Struct] | None = None
    returns: type[msgspec.Struct] | None = None
    """What the route takes and answers, for the OpenAPI document."""
    body_optional: bool = False
    produces: str = JSON
    """Media type of the answer when all goes well; without `returns` it is an object, or text where this is no JSON."""
    also_produces: tuple[str, ...] = ()
    """Media types that the answer has instead when that is asked for; text."""
    headers: tuple[str, ...] = ()
    """Those that this route's answer has beside what every answer has, e.g. Location."""
    status: int = 200
    """Of the answer when all goes well."""
    errors: tuple[int, ...] = ()
    """What the route may answer beyond what the rest implies: 400, 413, 415 and 422 with a body, 422 with a query, 401
    unless public, 403 with a role, 404 with path parameters; 429, 500 and 503 always."""
    idempotent: bool = False
    """Whether an `Idempotency-Key` is heeded. Never where the answer holds a secret: answers are kept."""
    etag: bool = False
    """Whether GET answers have an entity tag and heed If-None-Match: the handler's own, else the hash of the body."""
    summary: str = ""
