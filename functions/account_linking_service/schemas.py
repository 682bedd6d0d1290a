"""Bodies of HTTP requests and answers."""

import unicodedata
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Self

from msgspec import UNSET, Meta, Struct, UnsetType

from functions.account_linking_service import customer_params
from functions.account_linking_service.credentials import Login, Secrets
from functions.account_linking_service.customer_params import CustomerParam
from functions.account_linking_service.model import HistoryEntry, Link, LinkKind, MfaChallenge
from functions.account_linking_service.states import LinkEvent, LinkState
from functions.common.clock import rfc3339
from functions.common.errors import FieldError, InvalidInput
from functions.common.validation import parse

Secret = Annotated[str, Meta(min_length=1, max_length=256)]
Nickname = Annotated[str, Meta(max_length=60, pattern=r"\S")]


class LoginCredentials(Struct, kw_only=True, forbid_unknown_fields=True):
    """What the user logs in with at the utility."""

    username: Secret
    password: Secret

    def __repr__(self) -> str:
        return "LoginCredentials(***)"

    @property
    def login(self) -> Login:
        return Login(self.username, self.password)


class LinkAccount(Struct, kw_only=True, forbid_unknown_fields=True):
    provider_id: str
    params: dict[str, Annotated[object, Meta(extra_json_schema={"type": "string"})]]
    """Text by name of each of the provider's `customer_params`."""
    credentials: LoginCredentials
    nickname: Nickname | None = None

    def __repr__(self) -> str:
        return f"LinkAccount(provider_id={self.provider_id!r}, ***)"

    @property
    def secrets(self) -> Secrets:
        params = {name: str(value) for name, value in self.params.items()}
        return Secrets(params, self.credentials.username, self.credentials.password)


class ListAccounts(Struct, kw_only=True, forbid_unknown_fields=True):
    limit: Annotated[int, Meta(ge=1, le=200)] = 50
    cursor: str = ""


class ChangeAccount(Struct, kw_only=True, forbid_unknown_fields=True):
    """What is left out stays as it is; null takes the name away."""

    nickname: Nickname | UnsetType | None = UNSET

    def nickname_after(self, present: str | None) -> str | None:
        return present if self.nickname is UNSET else self.nickname


class SubmitMfa(Struct, kw_only=True, forbid_unknown_fields=True):
    """The code that the utility sent to the user; spaces do not count."""

    code: Annotated[str, Meta(max_length=40, pattern=r"^ *[0-9A-Za-z][0-9A-Za-z -]*$")]

    def __repr__(self) -> str:
        return "SubmitMfa(***)"

    @property
    def as_sent(self) -> str:
        return self.code.replace(" ", "")


class Mfa(Struct, kw_only=True):
    """The utility waits for a code. `methods`: how it travels (sms, email, app, voice)."""

    methods: list[str]
    expires_at: str | None

    @classmethod
    def of(cls, challenge: MfaChallenge) -> "Mfa":
        return cls(methods=list(challenge.methods), expires_at=_text(challenge.expires_at))


class LinkedAccount(Struct, kw_only=True):
    link_id: str
    provider_id: str
    kind: LinkKind
    account_identifier: str
    nickname: str | None
    state: LinkState
    status_detail: str | None
    customer_action_required: bool
    mfa: Mfa | None
    last_success_at: str | None
    last_attempt_at: str | None
    next_refresh_at: str | None
    consecutive_failures: int
    bill_count: int
    created_at: str
    updated_at: str

    @classmethod
    def of(cls, link: Link) -> Self:
        return cls(**_fields(link))


class HistoryItem(Struct, kw_only=True):
    at: str
    previous_state: LinkState
    state: LinkState
    event: LinkEvent
    status_detail: str | None

    @classmethod
    def of(cls, entry: HistoryEntry) -> "HistoryItem":
        return cls(
            at=rfc3339(entry.at),
            previous_state=entry.previous_state,
            state=entry.state,
            event=entry.event,
            status_detail=entry.status_detail or None,
        )


class LinkDetails(LinkedAccount, kw_only=True):
    """With what happened to it, newest first, at most 20 entries."""

    history: list[HistoryItem]

    @classmethod
    def of(cls, link: Link) -> Self:
        return cls(**_fields(link), history=[HistoryItem.of(entry) for entry in link.history])


def _fields(link: Link) -> dict[str, Any]:  # Any: values of LinkedAccount's own types
    return {
        "link_id": link.link_id,
        "provider_id": link.provider_id,
        "kind": link.kind,
        "account_identifier": link.account_identifier,
        "nickname": link.nickname,
        "state": link.state,
        "status_detail": link.status_detail or None,
        "customer_action_required": link.customer_action_required,
        "mfa": Mfa.of(link.mfa) if link.mfa else None,
        "last_success_at": _text(link.last_success_at),
        "last_attempt_at": _text(link.last_attempt_at),
        "next_refresh_at": _text(link.next_refresh_at),
        "consecutive_failures": link.consecutive_failures,
        "bill_count": link.bill_count,
        "created_at": rfc3339(link.created_at),
        "updated_at": rfc3339(link.updated_at),
    }


class LinkedAccounts(Struct, kw_only=True):
    items: list[LinkedAccount]
    next_cursor: str | None


def provider_id_of(raw: Mapping[str, object]) -> str:
    """The one field that is judged before the rest. Raises InvalidInput, naming the others too, when it is no text."""
    provider_id = raw.get("provider_id")
    return provider_id if isinstance(provider_id, str) else parse(LinkAccount, raw).provider_id


def read_link_account(raw: Mapping[str, object], wanted: Sequence[CustomerParam]) -> LinkAccount:
    """Raises InvalidInput with one error per field, the provider's own fields (`params.<name>`) included."""
    errors: list[FieldError] = []
    request: LinkAccount | None = None
    try:
        request = parse(LinkAccount, raw)
    except InvalidInput as error:
        errors += error.errors
    if request and request.nickname is not None:
        request.nickname = _composed(request.nickname)
        errors += _nickname_errors(request.nickname)
    params = raw.get("params")
    if isinstance(params, Mapping):
        errors += customer_params.check(wanted, params)
    if request is None or errors:
        raise InvalidInput.of(*errors)
    return request


def read_change(raw: Mapping[str, object]) -> ChangeAccount:
    """Raises InvalidInput."""
    change = parse(ChangeAccount, raw)
    if isinstance(change.nickname, str):
        change.nickname = _composed(change.nickname)
        if errors := _nickname_errors(change.nickname):
            raise InvalidInput.of(*errors)
    return change


def _composed(nickname: str) -> str:
    return unicodedata.normalize("NFC", nickname).strip()


def _nickname_errors(nickname: str) -> list[FieldError]:
    if any(unicodedata.category(character) == "Cc" for character in nickname):
        return [FieldError("nickname", "invalid", "A nickname holds no control characters.")]
    return []


def _text(instant: datetime | None) -> str | None:
    return rfc3339(instant) if instant else None
