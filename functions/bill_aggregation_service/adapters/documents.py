"""References to documents: which of them the platform follows, and what it takes for a document.

A reference is followed only below the provider's own base URL: it comes from outside, and what it leads to is fetched
with the user's login.
"""

import logging
import re
from collections.abc import Sequence
from dataclasses import replace

from functions.bill_aggregation_service.adapters.base import DocumentUnusable, NoDocument
from functions.bill_aggregation_service.model import FetchedBill, Provider
from functions.common import logs

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/pdf"
MAX_BYTES = 4_000_000
"""A function's answer holds 6 MB, this one in base64; a gRPC message 4 MiB."""
MAX_REFERENCE_CHARS = 1_000
BELOW = re.compile(r"/(?!/)(?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*", re.ASCII)
"""A path and a query as of RFC 3986: no host, no fragment, nothing that a header could break on."""
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


def with_paths(bills: Sequence[FetchedBill], provider: Provider) -> Sequence[FetchedBill]:
    """The bills with their references as paths below the base URL, without those that are none."""
    told = [bill for bill in bills if bill.content.document_url]
    checked = [_with_path(bill, provider.base_url) for bill in bills]
    dropped = len(told) - sum(bill.content.document_url is not None for bill in checked)
    if dropped:
        log.warning("documents_dropped", extra=logs.fields(provider_id=provider.provider_id, count=dropped))
    return checked


def checked_path(reference: str, provider: Provider) -> str:
    """Raises NoDocument for a reference that is not followed."""
    path = path_below(reference, provider.base_url)
    if path is None:
        raise NoDocument("the reference leads elsewhere")
    return path


def checked_pdf(document: bytes) -> bytes:
    """Raises DocumentUnusable for what is none. ISO 32000-1 section 7.5.2: it begins with its version."""
    if not document.startswith(b"%PDF-"):
        raise DocumentUnusable("this is no PDF")
    return document


def _with_path(bill: FetchedBill, base_url: str) -> FetchedBill:
    reference = bill.content.document_url
    if reference is None:
        return bill
    return replace(bill, content=replace(bill.content, document_url=path_below(reference, base_url)))
