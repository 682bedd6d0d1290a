"""Mails: what they say, how SES sends them, and how the routes hand them over to the function that sends them."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from functions.common.errors import AppError, Unavailable
from functions.common.logs import fields
from functions.common.rpc.client import Stub
from functions.contracts.rpc import users_pb2
from functions.user_service.model import Mail

if TYPE_CHECKING:
    from mypy_boto3_ses import SESClient

log = logging.getLogger(__name__)

KINDS: Mapping[Mail, "users_pb2.MailKind.ValueType"] = {
    Mail.VERIFY_EMAIL: users_pb2.MAIL_KIND_VERIFY_EMAIL,
    Mail.RESET_PASSWORD: users_pb2.MAIL_KIND_RESET_PASSWORD,
    Mail.PASSWORD_CHANGED: users_pb2.MAIL_KIND_PASSWORD_CHANGED,
}
# Nothing that a user chose stands in a mail, their name neither: whoever registers somebody else's address would have
# us send what they like.
SUBJECTS: Mapping[Mail, str] = {
    Mail.VERIFY_EMAIL: "Confirm your e-mail address",
    Mail.RESET_PASSWORD: "Choose another password",
    Mail.PASSWORD_CHANGED: "Your password was changed",
}
TEXTS: Mapping[Mail, str] = {
    Mail.VERIFY_EMAIL: "Somebody registered with this e-mail address. This code confirms that it was you:\n\n"
    "{code}\n\nIf it was not you, there is nothing to do.\n",
    Mail.RESET_PASSWORD: "Somebody wants to choose another password for the account with this e-mail address. "
    "This code lets you do so, once:\n\n{code}\n\n"
    "If it was not you, there is nothing to do: the password stays as it is. Never pass the code on.\n",
    Mail.PASSWORD_CHANGED: "The password of the account with this e-mail address was changed, and its other sessions "
    "have ended. If it was not you, ask for a password reset at once.\n",
}


class SesMailer:
    """`sender` empty: mails are not sent, which is logged once."""

    def __init__(self, ses: Callable[[], "SESClient"], sender: str) -> None:
        self._ses = ses
        self._sender = sender
        self._silence_told = False

    def send(self, email: str, mail: Mail, code: str) -> bool:
        """False when mails are not sent here. Raises Unavailable when SES does not take it."""
        if not self._sender:
            self._tell_silence()
            return False
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            self._ses().send_email(
                Source=self._sender,
                Destination={"ToAddresses": [_as_ascii(email)]},
                Message={
                    "Subject": {"Data": SUBJECTS[mail], "Charset": "UTF-8"},
                    "Body": {"Text": {"Data": TEXTS[mail].format(code=code), "Charset": "UTF-8"}},
                },
            )
        except (BotoCoreError, ClientError) as error:
            log.warning("ses_refused", extra=fields(error=type(error).__name__))
            raise Unavailable("The mail service did not take the mail.", code="mail_refused") from error
        return True

    def _tell_silence(self) -> None:
        if not self._silence_told:
            log.warning("mails_are_not_sent", extra=fields(reason="MAIL_SENDER is empty"))
            self._silence_told = True


@dataclass(frozen=True, slots=True)
class PostedMail:
    """Hands mails over to the RPC `Users.SendMail`, which looks up whether somebody has the address."""

    users: Stub

    def post(self, email: str, mail: Mail) -> None:
        """Takes as long whether or not somebody has the address; never fails."""
        try:
            self.users.post("SendMail", users_pb2.SendMailRequest(email=email, kind=KINDS[mail]))
        except AppError as error:
            log.warning("mail_not_posted", extra=fields(mail=mail.value, code=error.code))


def _as_ascii(email: str) -> str:
    """SES takes the domain in Punycode. A local part beyond ASCII it does not take at all: that mail is not sent."""
    local, _, domain = email.rpartition("@")
    try:
        return f"{local}@{domain.encode('idna').decode()}"
    except UnicodeError:
        return email
