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
    known = ses.get_identity_verification_attributes(Identities=[address])["VerificationAttributes"]
    # an address that was never asked for may be missing there, or stand there as not started
    if address not in known or known[address]["VerificationStatus"] not in {"Success", "Pending"}:
        ses.verify_email_identity(EmailAddress=address)
        if not settings.emulated:
            say(f"SES has written to {address}: mails go out once the link in that mail was followed")
    return address
