"""Bodies of HTTP requests and answers."""

import unicodedata
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from functions.account_linking_service import customer_params
from functions.account_linking_service.customer_params import CustomerParam
from functions.account_linking_service.model import Link, Secrets
from functions.common.clock import rfc3339
from functions.common.errors import FieldError, InvalidInput
from functions.common.validation import parse

Secret = Annotated[str, Meta(min_length=1, max_length=256)]


class LoginCredentials(Struct, kw_only=True, forbid_unknown_fields=True):
    """What the user logs in with at the utility."""

    username: Secret
    password: Secret

    def __repr__(self) -> str:
        return "LoginCredentials(***)"


class LinkAccount(Struct, kw_only=True, forbid_unknown_fields=True):
    provider_id: str
    params: dict[str, Annotated[object, Meta(extra_json_schema={"type": "string"})]]
    """Text by name of each of the provider's `customer_params`."""
    credentials: LoginCredentials
    nickname: Annotated[str, Meta(max_length=60, pattern=r"\S")] | None = None

    def __repr__(self) -> str:
        return f"LinkAccount(provider_id={self.provider_id!r}, ***)"

    @property
    def secrets(self) -> Secrets:
        params = {name: str(value) for name, value in self.params.items()}
        return Secrets(params, self.credentials.username, self.credentials.password)


class ListAccounts(Struct, kw_only=True, forbid_unknown_fields=True):
    limit: Annotated[int, Meta(ge=1, le=200)] = 50
    cursor: str = ""


class LinkedAccount(Struct, kw_only=True):
    link_id: str
    provider_id: str
    account_identifier: str
    nickname: str | None
    state: str
    status_detail: str | None
    customer_action_required: bool
    last_success_at: str | None
    last_attempt_at: str | None
    next_refresh_at: str
    consecutive_failures: int
    bill_count: int
    created_at: str
    updated_at: str

    @classmethod
    def of(cls, link: Link) -> "LinkedAccount":
        return cls(
            link_id=link.link_id,
            provider_id=link.provider_id,
            account_identifier=link.account_identifier,
            nickname=link.nickname,
            state=link.state,
            status_detail=link.status_detail or None,
            customer_action_required=link.customer_action_required,
            last_success_at=_text(link.last_success_at),
            last_attempt_at=_text(link.last_attempt_at),
            next_refresh_at=rfc3339(link.next_refresh_at),
            consecutive_failures=link.consecutive_failures,
            bill_count=link.bill_count,
            created_at=rfc3339(link.created_at),
            updated_at=rfc3339(link.updated_at),
        )


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
        request.nickname = unicodedata.normalize("NFC", request.nickname).strip()
        if any(unicodedata.category(character) == "Cc" for character in request.nickname):
            errors.append(FieldError("nickname", "invalid", "A nickname holds no control characters."))
    params = raw.get("params")
    if isinstance(params, Mapping):
        errors += customer_params.check(wanted, params)
    if request is None or errors:
        raise InvalidInput.of(*errors)
    return request


def _text(instant: datetime | None) -> str | None:
    return rfc3339(instant) if instant else None
