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
_LOCAL_PART = re.compile(r"[\w!#$%&'*+/=?^`{|}~-]+(\.[\w!#$%&'*+/=?^`{|}~-]+)*")
_LABEL = re.compile(r"[^\W_]([\w-]{0,61}[^\W_])?")


class Role(StrEnum):
    """Roles beside "user", which everybody has."""

    ADMIN = "admin"


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    user_id: UserId
    email: Email
    name: str
    password_hash: str = field(repr=False)
    roles: frozenset[Role] = frozenset()
    created_at: datetime
    updated_at: datetime
    version: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One login and all refresh tokens that came of it: their family (RFC 9700 section 4.14.2). Hashes only."""

    user_id: UserId
    session_id: SessionId
    family_hash: str = field(repr=False)
    """Of the part that all tokens of the family share: it tells a used token from one that never was."""
    token_hash: str = field(repr=False)
    """Of the part that is the newest token's own."""
    created_at: datetime
    refreshed_at: datetime
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
    """`text` in NFC and trimmed; None when nothing is left or it holds control characters."""
    name = unicodedata.normalize("NFC", text).strip()
    if not name or any(unicodedata.category(character) == "Cc" for character in name):
        return None
    return name
