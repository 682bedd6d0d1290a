"""HTTP bodies and queries. What is beyond types and sizes stands in `rules.py`."""

from dataclasses import asdict
from datetime import datetime
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType, structs

from functions.common.clock import parse_rfc3339, rfc3339
from functions.common.errors import FieldError, InvalidInput
from functions.utility_provider_service.model import (
    Adapter,
    AuthType,
    CustomerParam,
    HealthState,
    Provider,
    ProviderChanges,
    ProviderFacts,
    ProviderId,
    ServiceType,
    WebhookSecrets,
    id_from_name,
)
from functions.utility_provider_service.service import Page, Search

ShortText = Annotated[str, Meta(min_length=1, max_length=100)]
Length = Annotated[int, Meta(ge=1, le=200)]
ServiceTypes = Annotated[list[ServiceType], Meta(min_length=1, max_length=len(ServiceType))]
TimeZone = Annotated[str, Meta(max_length=64)]
BaseUrl = Annotated[str, Meta(max_length=300)]


class CustomerParamBody(Struct, kw_only=True, forbid_unknown_fields=True):
    name: ShortText
    label: ShortText
    regex: Annotated[str, Meta(max_length=200)] = ""
    min_length: Length = 1
    max_length: Length = 100
    optional: bool = False
    secret: bool = False
    example: Annotated[str, Meta(max_length=200)]

    def facts(self) -> CustomerParam:
        return CustomerParam(**structs.asdict(self))


Params = Annotated[list[CustomerParamBody], Meta(max_length=20)]


class CreateProvider(Struct, kw_only=True, forbid_unknown_fields=True):
    """Without a `provider_id` it is made of the name. All adapters but `manual` need a `base_url`."""

    provider_id: Annotated[str, Meta(max_length=64)] | None = None
    name: ShortText
    service_types: ServiceTypes
    country: str
    currency: str
    time_zone: TimeZone
    adapter: Adapter
    base_url: BaseUrl = ""
    auth_type: AuthType
    customer_params: Params

    def facts(self) -> ProviderFacts:
        return ProviderFacts(
            provider_id=id_from_name(self.name) if self.provider_id is None else ProviderId(self.provider_id),
            name=self.name.strip(),
            service_types=tuple(self.service_types),
            country=self.country,
            currency=self.currency,
            time_zone=self.time_zone,
            adapter=self.adapter,
            base_url=self.base_url,
            auth_type=self.auth_type,
            customer_params=tuple(param.facts() for param in self.customer_params),
        )


class UpdateProvider(Struct, kw_only=True, forbid_unknown_fields=True):
    """What is left out stays as it is. `active` false takes the utility out of service, true puts it back."""

    name: ShortText | UnsetType = UNSET
    service_types: ServiceTypes | UnsetType = UNSET
    country: str | UnsetType = UNSET
    currency: str | UnsetType = UNSET
    time_zone: TimeZone | UnsetType = UNSET
    adapter: Adapter | UnsetType = UNSET
    base_url: BaseUrl | UnsetType = UNSET
    auth_type: AuthType | UnsetType = UNSET
    customer_params: Params | UnsetType = UNSET
    active: bool | UnsetType = UNSET

    def changes(self) -> ProviderChanges:
        given = {name: value for name, value in structs.asdict(self).items() if value is not UNSET}
        if self.name is not UNSET:
            given["name"] = self.name.strip()
        if self.service_types is not UNSET:
            given["service_types"] = tuple(self.service_types)
        if self.customer_params is not UNSET:
            given["customer_params"] = tuple(param.facts() for param in self.customer_params)
        return ProviderChanges(**given)


class ListQuery(Struct, kw_only=True):
    service_type: ServiceType | None = None
    country: Annotated[str, Meta(pattern="^[A-Z]{2}$")] | None = None
    """ISO 3166-1 alpha-2."""
    q: Annotated[str, Meta(max_length=100)] = ""
    limit: Annotated[int, Meta(ge=1, le=200)] = 50
    cursor: Annotated[str, Meta(max_length=2000)] = ""

    def search(self, *, deactivated: bool) -> Search:
        return Search(service_type=self.service_type, country=self.country, q=self.q, deactivated=deactivated)


class WebhookSecretReply(Struct, kw_only=True):
    """`secret` is shown this once. The one before, if there is one, is good until `previous_ends_at`."""

    secret: str
    valid_from: str
    previous_ends_at: str | None

    @classmethod
    def of(cls, secret: str, held: WebhookSecrets) -> "WebhookSecretReply":
        *before, newest = held.secrets
        ends_at = before[-1].ends_at if before else None
        return cls(
            secret=secret,
            valid_from=rfc3339(newest.valid_from),
            previous_ends_at=rfc3339(ends_at) if ends_at else None,
        )


class ReportedHealth(Struct, kw_only=True):
    """What the RPC ReportHealth is told. `at`: RFC 3339."""

    state: HealthState
    at: str

    @property
    def seen_at(self) -> datetime:
        try:
            return parse_rfc3339(self.at)
        except ValueError as error:
            raise InvalidInput.of(FieldError("at", "invalid", "It must be an instant as RFC 3339 has it.")) from error


class HealthReply(Struct, kw_only=True):
    """How the utility answers the platform, and since when; null when it was never called."""

    state: HealthState
    since: str | None


class ProviderReply(Struct, kw_only=True):
    """`base_url` is how the platform reaches the utility: for administrators only, and they alone see the ones that are
    not `active`. Where `linkable` is false, bills come from files."""

    provider_id: str
    name: str
    service_types: list[ServiceType]
    country: str
    currency: str
    time_zone: str
    adapter: Adapter
    base_url: str | UnsetType = UNSET
    auth_type: AuthType
    customer_params: list[CustomerParamBody]
    linkable: bool
    active: bool
    health: HealthReply
    version: int
    created_at: str
    updated_at: str

    @classmethod
    def of(cls, provider: Provider, *, full: bool) -> "ProviderReply":
        facts, health = provider.facts, provider.health
        return cls(
            provider_id=facts.provider_id,
            name=facts.name,
            service_types=list(facts.service_types),
            country=facts.country,
            currency=facts.currency,
            time_zone=facts.time_zone,
            adapter=facts.adapter,
            base_url=facts.base_url if full else UNSET,
            auth_type=facts.auth_type,
            customer_params=[CustomerParamBody(**asdict(param)) for param in facts.customer_params],
            linkable=facts.linkable,
            active=provider.active,
            health=HealthReply(state=health.state, since=rfc3339(health.since) if health.since else None),
            version=provider.version,
            created_at=rfc3339(provider.created_at),
            updated_at=rfc3339(provider.updated_at),
        )


class ProvidersReply(Struct, kw_only=True):
    items: list[ProviderReply]
    next_cursor: str | None

    @classmethod
    def of(cls, page: Page, *, full: bool) -> "ProvidersReply":
        return cls(items=[ProviderReply.of(item, full=full) for item in page.items], next_cursor=page.next_cursor)
