"""Utilities that give Green Button data: an Atom feed of NAESB ESPI resources, in which each UsageSummary is a bill.

    GET {base}/greenbutton/{account}   HTTP Basic; a 401 with X-MFA-Token, X-MFA-Methods and X-MFA-Expires-In is a
                                       challenge, answered by the same request with X-MFA-Token and X-MFA-Code

The file itself is read as an imported one is (`espi/reader.py`).
"""

from collections.abc import Sequence
from urllib.parse import quote

from functions.bill_aggregation_service.adapters.base import (
    Access,
    BadCredentials,
    HttpClient,
    MfaRequired,
    Refusal,
    parsing,
    whole_number,
)
from functions.bill_aggregation_service.adapters.http_client import basic, mfa_headers
from functions.bill_aggregation_service.espi.reader import Defaults, read_file
from functions.bill_aggregation_service.model import FetchedBill
from functions.bill_aggregation_service.rules import zone_of

HARMLESS = frozenset({"duplicate", "superseded", "no_bill"})
"""What may be left out of a utility's feed. With a bill that cannot be read, the whole answer counts as malformed."""


class GreenButtonAdapter:
    def __init__(self, http: HttpClient) -> None:
        self._http = http

    def fetch(self, access: Access) -> Sequence[FetchedBill]:
        headers = {"Accept": "application/atom+xml", **basic(access.username, access.password), **mfa_headers(access)}
        try:
            answer = self._http.get(f"/greenbutton/{quote(access.account_number, safe='')}", headers=headers)
        except BadCredentials as refused:
            if refused.refusal and refused.refusal.header("X-MFA-Token"):
                raise _challenge(refused.refusal) from None
            raise
        defaults = Defaults(access.provider.currency, zone_of(access.provider.time_zone), access.service_type)
        with parsing("feed"):
            found = read_file([answer], defaults)
            if unread := [skipped.reason for skipped in found.skipped if skipped.reason not in HARMLESS]:
                raise ValueError(unread[0])
        return found.bills


def _challenge(refusal: Refusal) -> MfaRequired:
    return MfaRequired(
        refusal.header("X-MFA-Methods").split(","),
        refusal.header("X-MFA-Token"),
        expires_in=whole_number(refusal.header("X-MFA-Expires-In")),
        code_refused=refusal.header("X-MFA-Error") == "invalid_code",
    )
