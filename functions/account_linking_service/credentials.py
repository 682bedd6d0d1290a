"""What users give to have their account read, in the clear and sealed."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from functions.account_linking_service.model import LinkId, ProviderId, UserId


class Unreadable(Exception):
    """The key or the cipher text is not what was once sealed for this link."""


@dataclass(frozen=True, slots=True)
class Login:
    """What replaces the login that an account was linked with. Never shown, not even in a traceback."""

    username: str = field(repr=False)
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Secrets:
    """All that the user gave to link an account. Never shown either."""

    params: Mapping[str, str] = field(repr=False)
    username: str = field(repr=False)
    password: str = field(repr=False)

    def with_login(self, login: Login) -> "Secrets":
        return replace(self, username=login.username, password=login.password)


@dataclass(frozen=True, slots=True)
class MfaCode:
    """The code that the user gave, and what the utility wants back with it."""

    code: str = field(repr=False)
    reference: str = field(repr=False)


Clear = Secrets | Login | MfaCode


@dataclass(frozen=True, slots=True)
class Sealed:
    """A box under envelope encryption: the data key, wrapped by a master key, and what it encrypts."""

    wrapped_key: bytes
    ciphertext: bytes
    master_key: str = ""
    """Id of the key that wrapped; empty for boxes from before this was kept."""
    sealed_at: datetime | None = None
    """None: unknown."""


@dataclass(frozen=True, slots=True)
class SealedLink:
    """A link's boxes: all that was given when linking, a login given since, a code that has not been tried."""

    user_id: UserId
    link_id: LinkId
    provider_id: ProviderId
    sealed: Sealed
    login: Sealed | None = None
    code: Sealed | None = None


@dataclass(frozen=True, slots=True)
class OpenedLink:
    link_id: LinkId
    provider_id: ProviderId
    secrets: Secrets
    mfa: MfaCode | None = None
