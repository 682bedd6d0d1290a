"""Who uses the platform: users, the sessions they log in to, and the rules for what they may call themselves."""

import re
import unicodedata
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NewType

UserId = NewType("UserId", str)
SessionId = NewType("SessionId", str)
Email = NewType("Email", str)
"""A normalised address: only `normalised_email` makes one."""

MAX_EMAIL, MAX_LOCAL_PART = 254, 64
MAX_NAME = 100
MAX_REMINDER_DAYS = 60
MAX_REPEAT_DAYS = 30
TIME_ZONE = re.compile(r"UTC|[A-Za-z_]+(/[A-Za-z0-9_+-]+){1,2}")
# ISO 4217, the currencies that people are billed in: without funds, metals, testing and "no currency"
_CURRENCIES = """
    AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CLP
    CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR
    ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT
    MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD
    SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VED VES
    VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG
    """
CURRENCIES = frozenset(_CURRENCIES.split())
_LOCAL_PART = re.compile(r"[\w!#$%&'*+/=?^`{|}~-]+(\.[\w!#$%&'*+/=?^`{|}~-]+)*")
_LABEL = re.compile(r"[^\W_]([\w-]{0,61}[^\W_])?")


class Role(StrEnum):
    """Roles beside "user", which everybody has."""

    ADMIN = "admin"


class Purpose(StrEnum):
    """What a code that was sent by mail is good for."""

    VERIFY_EMAIL = "verify_email"
    RESET_PASSWORD = "reset_password"  # noqa: S105  # a name


class Mail(StrEnum):
    """What is sent to a mailbox: the codes, and a notice without one."""

    VERIFY_EMAIL = "verify_email"
    RESET_PASSWORD = "reset_password"  # noqa: S105  # a name
    PASSWORD_CHANGED = "password_changed"  # noqa: S105  # a name


@dataclass(frozen=True, slots=True)
class RoleGrant:
    """That somebody was given a role, kept for audit."""

    role: Role
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Preferences:
    """What the user chose. `currency` ISO 4217, `time_zone` IANA; None: not chosen."""

    name: str
    currency: str | None = None
    time_zone: str | None = None
    reminder_days: int | None = None
    """How many days before a bill is due the user wants to hear of it."""
    reminder_repeat_days: int | None = None
    """After how many days again, until the bill is paid; None: once is enough."""


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    user_id: UserId
    email: Email
    preferences: Preferences
    password_hash: str = field(repr=False)
    email_verified: bool = False
    roles: frozenset[Role] = frozenset()
    role_grants: tuple[RoleGrant, ...] = ()
    session_epoch: int = 0
    """Sessions of an earlier epoch are over: adding one ends all of them in one write."""
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None = None
    """Since when the user is being deleted; until that is done everywhere the e-mail stays taken."""
    version: int = 1

    @property
    def name(self) -> str:
        return self.preferences.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One login and all refresh tokens that came of it: their family (RFC 9700 section 4.14.2). Hashes only."""

    user_id: UserId
    session_id: SessionId
    family_hash: str = field(repr=False)
    """Of the part that all tokens of the family share: it tells a used token from one that never was."""
    token_hash: str = field(repr=False)
    """Of the part that is the newest token's own."""
    previous_hash: str | None = field(default=None, repr=False)
    """Of the token that the newest one replaced at `refreshed_at`."""
    epoch: int = 0
    """The user's `session_epoch` when it began."""
    created_at: datetime
    refreshed_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """A code that was sent by mail and is good once. Only its hash is kept."""

    purpose: Purpose
    code_hash: str = field(repr=False)
    sent_at: datetime
    expires_at: datetime


def normalised_email(text: str) -> Email | None:
    """`text` in NFC, trimmed and in lower case; None unless it has the form of an address.

    RFC 5321 lengths and dot-atoms, no quoted local parts, no address literals; letters beyond ASCII as in RFC 6531.
    """
    email = unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).strip().lower())
    local, _, domain = email.rpartition("@")
    labels = domain.split(".")
    fits = len(email.encode()) <= MAX_EMAIL and len(local.encode()) <= MAX_LOCAL_PART and len(labels) > 1
    if fits and _LOCAL_PART.fullmatch(local) and all(_LABEL.fullmatch(label) for label in labels):
        return Email(email)
    return None


def cleaned_name(text: str) -> str | None:
    """`text` in NFC and trimmed; None when nothing or too much is left, or it holds control characters."""
    name = unicodedata.normalize("NFC", text).strip()
    if not 0 < len(name) <= MAX_NAME or any(unicodedata.category(character) == "Cc" for character in name):
        return None
    return name


def is_time_zone(name: str) -> bool:
    """Whether it is an IANA time zone."""
    if not TIME_ZONE.fullmatch(name):
        return False
    import zoneinfo

    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):  # OSError: the name of a folder of zones
        return False
    return True
