"""A page of bills in the form that the caller asked for (RFC 9110 section 12.5.1): JSON, or CSV where it is preferred.

CSV is made of the JSON answer, so both have the same rows and share one place in the cache. Who asks for neither gets
JSON: section 12.5.1 lets a server disregard the header.
"""

import re
from dataclasses import dataclass
from urllib.parse import urlencode

import msgspec

from functions.bill_aggregation_service.schemas import BillsQuery, BillsReply
from functions.common.http.app import Answer

JSON_TYPE, CSV_TYPE = "application/json", "text/csv"
QUALITY = re.compile(r";\s*q=([01](?:\.\d{0,3})?)\s*$", re.IGNORECASE | re.ASCII)
MAX_RANGES = 20


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer in JSON and its entity tag."""

    body: bytes
    tag: str


def in_asked_form(page: Kept, query: BillsQuery, accept: str | None) -> Answer:
    """CSV says in a Link header (RFC 8288) where the next page is, JSON in its `next_cursor`."""
    headers = {"Vary": "Accept"}
    if not prefers_csv(accept):
        return Answer(page.body.decode(), headers=headers, etag=page.tag)
    from functions.bill_aggregation_service.bill_csv import CONTENT_TYPE, lines

    reply = msgspec.json.decode(page.body, type=BillsReply)
    if reply.next_cursor:
        following = _parameters(query) | {"cursor": reply.next_cursor}
        headers["Link"] = f'<?{urlencode(following)}>; rel="next"'
    return Answer("".join(lines(reply.items)), headers={**headers, "Content-Type": CONTENT_TYPE})


def prefers_csv(accept: str | None) -> bool:
    """Whether CSV is named, and JSON is not wanted more; `*/*` is no wish for CSV."""
    if accept is None or CSV_TYPE not in accept.lower():
        return False
    wishes = dict(map(_wish, accept.split(",")[:MAX_RANGES]))
    wanted = wishes.get(CSV_TYPE, 0.0)
    return wanted > 0 and wanted >= wishes.get(JSON_TYPE, 0.0)


def _wish(media_range: str) -> tuple[str, float]:
    found = QUALITY.search(media_range)
    return media_range.partition(";")[0].strip().lower(), float(found[1]) if found else 1.0


def _parameters(query: BillsQuery) -> dict[str, str]:
    """As in a URL; a live read is not repeated for the next page."""
    given: dict[str, object] = msgspec.to_builtins(query)
    return {name: str(value) for name, value in given.items() if name != "refresh"}
