"""The address that mails to users come from: SES sends only in the name of one that has been verified."""

import os
from typing import TYPE_CHECKING

from infra.aws import client
from infra.console import say
from infra.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_ses import SESClient

SANDBOX_SENDER = "no-reply@billing.example"
"""Emulators deliver nothing and show what was sent."""


def sender(settings: Settings) -> str:
    """MAIL_SENDER; without it the emulators' own, and on AWS none: then no mail is sent."""
    return os.environ.get("MAIL_SENDER") or (SANDBOX_SENDER if settings.emulated else "")


def ensure_sender(settings: Settings) -> str:
    """The sender, known to SES. SES v1, which all targets speak. On AWS its owner follows a link that SES mails."""
    address = sender(settings)
    if not address:
        return ""
    ses: SESClient = client(settings, "ses")
    # the list, not the status alone: an engine answers a status for addresses that it has never heard of
    if address not in _identities(ses) or _status(ses, address) not in {"Success", "Pending"}:
        ses.verify_email_identity(EmailAddress=address)
        if not settings.emulated:
            say(f"SES has written to {address}: mails go out once the link in that mail was followed")
    return address


def _identities(ses: "SESClient") -> set[str]:
    pages = ses.get_paginator("list_identities").paginate(IdentityType="EmailAddress")
    return {identity for page in pages for identity in page["Identities"]}


def _status(ses: "SESClient", address: str) -> str:
    attributes = ses.get_identity_verification_attributes(Identities=[address])["VerificationAttributes"]
    return attributes[address]["VerificationStatus"] if address in attributes else ""
