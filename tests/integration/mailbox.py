"""What the platform has mailed, as the emulators show it: each in a place and a shape of its own."""

import re

import requests

from infra.settings import Settings
from tests.integration.patience import await_value

CODE = re.compile(r"^[A-Za-z0-9_-]{43}$", re.MULTILINE)
MAIL_SECONDS = 30.0
Letter = tuple[str, str]
"""Subject and text."""


class Mailbox:
    """Mails to one address."""

    def __init__(self, settings: Settings, address: str) -> None:
        self._endpoint = settings.endpoint
        self._address = address

    def letters(self, subject: str = "") -> list[Letter]:
        """Those with this subject, the oldest first."""
        return [letter for letter in self._all() if subject in letter[0]]

    def await_code(self, subject: str, number: int = 1) -> str:
        """The code in the newest mail with this subject, once there are `number` of them."""
        letters = await_value(lambda: self._at_least(subject, number), MAIL_SECONDS, f"a mail: {subject}")
        (code,) = CODE.findall(letters[-1][1])
        return str(code)

    def await_letter(self, subject: str) -> Letter:
        return await_value(lambda: self._at_least(subject, 1), MAIL_SECONDS, f"a mail: {subject}")[-1]

    def _at_least(self, subject: str, number: int) -> list[Letter]:
        letters = self.letters(subject)
        return letters if len(letters) >= number else []

    def _all(self) -> list[Letter]:
        with requests.Session() as session:
            session.trust_env = False  # no proxy to this machine
            shown = session.get(f"{self._endpoint}/_ministack/ses/messages", timeout=10)
            if shown.ok and isinstance(shown.json().get("messages"), dict):
                found = [mail for mails in shown.json()["messages"].values() for mail in mails]
                return [(mail["Subject"], mail["BodyText"]) for mail in found if self._address in mail["To"]]
            shown = session.get(f"{self._endpoint}/_aws/ses", timeout=10)
            shown.raise_for_status()
            return [
                (mail["Subject"], mail["Body"]["text_part"])
                for mail in shown.json()["messages"]
                if self._address in mail["Destination"]["ToAddresses"]
            ]
