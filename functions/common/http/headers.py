"""Headers that every answer carries, and the rule that no value may break out of its header."""

import re
from collections.abc import Mapping, Sequence

SECURITY_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Strict-Transport-Security": "max-age=63072000; includeSubDomains",
    "X-Content-Type-Options": "nosniff",
}
EXPOSED = "ETag, Idempotency-Replayed, Link, Location, RateLimit, RateLimit-Policy, Retry-After, X-Correlation-Id"
"""What a page of another origin may read of an answer (Fetch standard, CORS protocol)."""
_BREAKS_OUT = re.compile(r"[^\t\x20-\x7e\x80-\xff]")


def cors_headers(origin: str | None, allowed: Sequence[str]) -> Mapping[str, str]:
    """What lets a page of `origin` read the answer; nothing for an origin that is not allowed, exactly as spelt."""
    if not allowed:
        return {}
    if origin is None or origin not in allowed:
        return {"Vary": "Origin"}
    return {"Access-Control-Allow-Origin": origin, "Access-Control-Expose-Headers": EXPOSED, "Vary": "Origin"}


def with_cors(headers: Mapping[str, str], cors: Mapping[str, str]) -> Mapping[str, str]:
    """Both together; an answer that varies by more than its origin says both in one header."""
    if not cors:
        return headers
    varies = ", ".join(dict.fromkeys(each["Vary"] for each in (headers, cors) if "Vary" in each))
    return {**cors, **headers, **({"Vary": varies} if varies else {})}


def checked(headers: Mapping[str, str]) -> Mapping[str, str]:
    """`headers` as they are. Raises ValueError for a value with a line end or another control character, by which a
    caller's text would become a header of ours (RFC 9110 section 5.5)."""
    for name, value in headers.items():
        if _BREAKS_OUT.search(value):
            raise ValueError(f"the header {name} cannot hold its value")
    return headers
