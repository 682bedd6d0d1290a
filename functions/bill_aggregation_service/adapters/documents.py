"""References to documents: which of them the platform follows, and what it takes for a document.

A reference is followed only below the provider's own base URL: it comes from outside, and what it leads to is fetched
with the user's login.
"""

import logging
import re
from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import quote

from functions.bill_aggregation_service.adapters.base import Access, DocumentUnusable, NoDocument
from functions.bill_aggregation_service.model import FetchedBill
from functions.common import logs

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/pdf"
MAX_BYTES = 4_000_000
"""A function's answer holds 6 MB, this one in base64; a gRPC message 4 MiB."""
MAX_REFERENCE_CHARS = 1_000
BELOW = re.compile(r"/(?!/)(?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*", re.ASCII)
"""A path and a query as of RFC 3986: no host, no fragment, nothing that a header could break on."""
MIN_GIVEN_CHARS = 4
PLACE = re.compile(r"\{([^{}]*)\}")
"""Of something that the user gave; no path has braces of its own."""
DISGUISED = re.compile(r"%(?:2e|2f|5c|00)", re.IGNORECASE)
"""A dot, a slash, a backslash or a NUL that some servers make out of these."""


def path_below(reference: str, base_url: str) -> str | None:
    """`reference`, a path or the whole URL, as a path below the base URL; None for what leads anywhere else."""
    path = reference.removeprefix(base_url.rstrip("/")) if reference.startswith("http") else reference
    if len(path) > MAX_REFERENCE_CHARS or not BELOW.fullmatch(path):
        return None
    segments = path.partition("?")[0].split("/")
    if DISGUISED.search(path.partition("?")[0]) or not {".", ".."}.isdisjoint(segments):
        return None
    return path


def with_kept(bills: Sequence[FetchedBill], access: Access) -> Sequence[FetchedBill]:
    """The bills with their references as they are kept, without those that are not followed."""
    told = sum(bill.content.document_url is not None for bill in bills)
    checked = [_with_kept(bill, access) for bill in bills]
    dropped = told - sum(bill.content.document_url is not None for bill in checked)
    if dropped:
        provider_id = access.provider.provider_id
        log.warning("documents_dropped", extra=logs.fields(provider_id=provider_id, count=dropped))
    return checked


def kept(reference: str, access: Access) -> str | None:
    """`/accounts/NP-10024817/1.pdf` as `/accounts/{account_number}/1.pdf`: what the user gave is not kept in clear
    text. None for what is not followed."""
    path = path_below(reference, access.provider.base_url)
    names = {spelt: name for name, value in _given(access).items() for spelt in (value, quote(value, safe=""))}
    if path is None or not names:
        return path
    anything_given = "|".join(re.escape(spelt) for spelt in sorted(names, key=len, reverse=True))
    return re.sub(anything_given, lambda found: f"{{{names[found[0]]}}}", path)


def followed(reference: str, access: Access) -> str:
    """The path of a reference as it is kept. Raises NoDocument for one that is not followed."""
    given = _given(access)
    whole = PLACE.sub(lambda found: quote(given.get(found[1], ""), safe=""), reference)
    path = path_below(whole, access.provider.base_url)
    if path is None:
        raise NoDocument("the reference leads elsewhere")
    return path


def checked_pdf(document: bytes) -> bytes:
    """Raises DocumentUnusable for what is none. ISO 32000-1 section 7.5.2: it begins with its version."""
    if not document.startswith(b"%PDF-"):
        raise DocumentUnusable("this is no PDF")
    return document


def _with_kept(bill: FetchedBill, access: Access) -> FetchedBill:
    reference = bill.content.document_url
    if reference is None:
        return bill
    return replace(bill, content=replace(bill.content, document_url=kept(reference, access)))


def _given(access: Access) -> dict[str, str]:
    """What is long enough to tell of somebody."""
    given = {**access.params, "username": access.username, "password": access.password}
    return {name: value for name, value in given.items() if len(value) >= MIN_GIVEN_CHARS}
