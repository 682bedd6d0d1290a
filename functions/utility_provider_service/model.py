"""The registry's domain types: utilities, how they are reached, and what each needs to know of its customer."""

import re
import unicodedata
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NewType

ProviderId = NewType("ProviderId", str)
_PROVIDER_ID = re.compile(r"prv_[a-z0-9_]{1,60}")
SECRET_OVERLAP = timedelta(hours=24)
"""How long a webhook secret stays good when the next one is made."""


class ServiceType(StrEnum):
    ELECTRICITY = "electricity"
    GAS = "gas"
    WATER = "water"
    INTERNET = "internet"
    PHONE = "phone"
    HEATING = "heating"
    WASTE = "waste"


class Adapter(StrEnum):
    """The dialects that bill_aggregation_service speaks."""

    OAUTH_JSON = "oauth_json"
    GREEN_BUTTON = "green_button"
    BBPS = "bbps"
    CSV_STATEMENT = "csv_statement"
    MANUAL = "manual"
    """None: bills come from files that users import. Nobody links there, and nothing is called."""


class HealthState(StrEnum):
    """How a utility answers, judged from real calls by whoever makes them."""

    UP = "up"
    DEGRADED = "degraded"
    DOWN = "down"


class AuthType(StrEnum):
    OAUTH_CLIENT_CREDENTIALS = "oauth_client_credentials"
    BASIC = "basic"
    API_KEY = "api_key"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerParam:
    """One field that a user must give to link an account, or may when it is `optional`; never empty when given. `regex`
    matches the whole value; empty: any text."""

    name: str
    label: str
    regex: str = ""
    min_length: int = 1
    max_length: int = 100
    optional: bool = False
    secret: bool = False
    example: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderFacts:
    """What an administrator says of a utility. Codes: ISO 3166-1 alpha-2, ISO 4217, IANA time zones. A manual provider
    has no `base_url`."""

    provider_id: ProviderId
    name: str
    service_types: tuple[ServiceType, ...]
    country: str
    currency: str
    time_zone: str
    adapter: Adapter
    base_url: str
    auth_type: AuthType
    customer_params: tuple[CustomerParam, ...]

    @property
    def linkable(self) -> bool:
        return self.adapter is not Adapter.MANUAL


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderChanges:
    """What an administrator changes; None: this stays."""

    name: str | None = None
    service_types: tuple[ServiceType, ...] | None = None
    country: str | None = None
    currency: str | None = None
    time_zone: str | None = None
    adapter: Adapter | None = None
    base_url: str | None = None
    auth_type: AuthType | None = None
    customer_params: tuple[CustomerParam, ...] | None = None
    active: bool | None = None

    def applied_to(self, provider: "Provider") -> "Provider":
        said = {each.name: getattr(self, each.name) for each in fields(self)}
        new = {name: value for name, value in said.items() if value is not None}
        active = new.pop("active", provider.active)
        return replace(provider, facts=replace(provider.facts, **new), active=active)


@dataclass(frozen=True, slots=True)
class Health:
    """A utility counts as up until a call says otherwise. `since` is None as long as nobody has called it."""

    state: HealthState = HealthState.UP
    since: datetime | None = None

    def after(self, state: HealthState, at: datetime) -> "Health":
        """What is known once it was seen in `state` at `at`. What is not newer than the last change counts no more."""
        if self.since is not None and (state is self.state or at <= self.since):
            return self
        return Health(state, at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    facts: ProviderFacts
    created_at: datetime
    updated_at: datetime
    """When an administrator changed it last; health has a time of its own."""
    version: int = 1
    """Grows with each change, of health too: it is the entity tag of all that is shown."""
    active: bool = True
    """False: out of service. Users do not see it, nobody links there, and links that are there are not read."""
    health: Health = Health()
    unsent: tuple[str, ...] = ()
    """Events, as JSON, that have not got out yet (ADR 0004)."""

    @property
    def sort_name(self) -> str:
        """The list's order, and a place in it: by name, the id telling namesakes apart."""
        return f"{folded(self.facts.name)}#{self.facts.provider_id}"


@dataclass(frozen=True, slots=True)
class WebhookSecret:
    ciphertext: bytes
    """Of KMS."""
    valid_from: datetime
    ends_at: datetime | None = None
    """None: until the next one is made, and a while longer."""

    def is_good(self, at: datetime) -> bool:
        return self.ends_at is None or at < self.ends_at


@dataclass(frozen=True, slots=True)
class WebhookSecrets:
    """A utility's: the newest, which stands last, and the one before."""

    provider_id: ProviderId
    secrets: tuple[WebhookSecret, ...] = ()
    version: int = 0

    def rotated(self, ciphertext: bytes, at: datetime) -> "WebhookSecrets":
        """With a new one. Made twice in a row, they leave nothing of what was there before."""
        before = tuple(replace(secret, ends_at=at + SECRET_OVERLAP) for secret in self.secrets[-1:])
        return WebhookSecrets(self.provider_id, (*before, WebhookSecret(ciphertext, at)), self.version + 1)


def is_provider_id(text: str) -> bool:
    return _PROVIDER_ID.fullmatch(text) is not None


def id_from_name(name: str) -> ProviderId:
    """`Northwind Power` → `prv_northwind_power`; no valid id when the name has no letter or digit of ASCII."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return ProviderId("prv_" + re.sub(r"[^a-z0-9]+", "_", plain).strip("_")[:60])


def folded(name: str) -> str:
    """A name as it is sorted and searched: case and composition of characters do not count."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
