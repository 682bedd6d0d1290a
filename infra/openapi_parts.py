"""What the OpenAPI document says that is no route's own: forms of ids, headers, refusals, the problem's schema."""

from typing import Any  # Any: JSON

from functions.common.ids import CROCKFORD, RANDOM_CHARS, TIME_CHARS

Json = dict[str, Any]

INFO = {
    "title": "Billing Aggregator",
    "version": "1",
    "summary": "A household's utility bills: fetched, unified and kept fresh.",
    "description": (
        "Amounts are integers in minor units with an ISO 4217 code. Dates are those of the provider's time zone, "
        "instants are RFC 3339 in UTC. Lists take `limit` and the `next_cursor` of the page before as `cursor`. "
        "What answers GET answers HEAD too. Every refusal is a problem as of RFC 9457, "
        "whose `code` is stable and whose `errors` name the fields that do not validate."
    ),
}
ULID = f"[{CROCKFORD}]{{{TIME_CHARS + RANDOM_CHARS}}}"
PATH_PARAMETERS = {
    "bill_id": f"^bil_{ULID}$",
    "delivery_id": f"^evt_{ULID}$",
    "import_id": f"^imp_{ULID}$",
    "job_id": f"^job_{ULID}$",
    "link_id": f"^lnk_{ULID}$",
    "provider_id": "^prv_[a-z0-9_]{1,60}$",
    "session_id": f"^ses_{ULID}$",
    "webhook_id": f"^whk_{ULID}$",
    # of the sandbox's controls
    "account_number": "^[A-Za-z0-9-]{1,40}$",
    "bill_number": "^[A-Za-z0-9-]{1,40}$",
    "utility": "^(electricity|gas|water|internet)$",
}
"""Form of each; what has another form does not exist (404)."""
HEADERS: dict[str, Json] = {
    "X-Correlation-Id": {
        "description": "Names this request in the logs. A request may bring its own.",
        "schema": {"type": "string"},
    },
    "RateLimit-Policy": {
        "description": "The limit that counts here: requests (q) in a window of seconds (w).",
        "schema": {"type": "string", "examples": ['"user";q=600;w=60']},
    },
    "RateLimit": {
        "description": "Requests that are left (r), and seconds until all are there again (t).",
        "schema": {"type": "string", "examples": ['"user";r=599;t=1']},
    },
    "Retry-After": {"description": "Seconds until it may work.", "schema": {"type": "integer", "minimum": 0}},
    "WWW-Authenticate": {
        "description": "RFC 6750. Behind API Gateway it arrives as x-amzn-Remapped-WWW-Authenticate.",
        "schema": {"type": "string"},
    },
    "Location": {
        "description": "Where what was made is to be found, relative to this path.",
        "schema": {"type": "string", "format": "uri-reference"},
    },
    "Content-Disposition": {"description": "The name to keep the file under.", "schema": {"type": "string"}},
    "Idempotency-Replayed": {
        "description": "Whether this is the answer to an earlier request with the same key.",
        "schema": {"const": "true"},
    },
    "Link": {
        "description": "Where the next page is (RFC 8288, rel=next), relative to this path.",
        "schema": {"type": "string"},
    },
    "Vary": {"description": "What of the request the answer depends on.", "schema": {"type": "string"}},
    "ETag": {"description": "Changes whenever the answer does.", "schema": {"type": "string"}},
}
ON_EVERY_ANSWER = ("X-Correlation-Id",)
ON_COUNTED_ANSWERS = ("RateLimit-Policy", "RateLimit")
BEFORE_THE_LIMIT = (401, 413, 415)
OWN_HEADERS = {401: ("WWW-Authenticate",), 429: ("Retry-After",), 503: ("Retry-After",)}
WORDS = {
    400: "The body is not what its content type says, or a header is ill-formed.",
    401: "No token or signature, or one that does not verify; wrong credentials.",
    403: "The token lacks the role.",
    404: "Unknown, ill-formed or somebody else's.",
    409: "A duplicate, or the wrong state.",
    412: "What `If-Match` names is no longer the newest.",
    413: "The body is too large.",
    415: "The body's content type is not taken here.",
    422: "Fields or query parameters that do not validate; `errors` names each.",
    429: "Too many requests.",
    500: "A mistake on our side.",
    503: "A dependency is down.",
    504: "A dependency took too long.",
}
PROBLEM_SCHEMA: Json = {
    "type": "object",
    "description": "RFC 9457",
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string"},
        "instance": {"type": "string"},
        "code": {"type": "string", "description": "For programs; does not change."},
        "correlation_id": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "field": {"type": "string", "description": "A dotted path, e.g. params.account_number."},
                    "code": {"type": "string"},
                    "message": {"type": "string"},
                },
                "required": ["field", "code", "message"],
            },
        },
    },
    "required": ["type", "title", "status", "detail", "instance", "code", "correlation_id"],
}
IDEMPOTENCY_KEY: Json = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "The same key with the same request replays the first answer, for 24 hours; with another it is 422.",
    "schema": {"type": "string", "pattern": r"^[\x21-\x7e]{1,255}$"},
}
SIGNATURE: list[Json] = [
    {"name": name, "in": "header", "required": True, "description": description, "schema": {"type": "string", **form}}
    for name, description, form in (
        ("webhook-id", "The same each time that this webhook is sent.", {"pattern": r"^[\x21-\x7e]{1,200}$"}),
        ("webhook-timestamp", "Seconds since 1970, at most five minutes away.", {"pattern": "^[0-9]{1,11}$"}),
        (
            "webhook-signature",
            "`v1,` and the HMAC-SHA256 of `id.timestamp.body` in base64; of several, by spaces, one must be right.",
            {"pattern": r"^[\x20-\x7e]{1,2000}$"},
        ),
    )
]
"""Headers of Standard Webhooks (https://www.standardwebhooks.com)."""
IF_NONE_MATCH: Json = {
    "name": "If-None-Match",
    "in": "header",
    "required": False,
    "description": "Entity tags of copies that the caller has: 304 when one of them is the newest.",
    "schema": {"type": "string"},
}
IF_MATCH: Json = {
    "name": "If-Match",
    "in": "header",
    "required": False,
    "description": "The entity tag that was read: 412 when it is no longer the newest.",
    "schema": {"type": "string"},
}
