"""HTTP bodies and queries. What is beyond types and sizes stands in `rules.py`."""

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from functions.common.clock import rfc3339
from functions.utility_provider_service.model import (
    Adapter,
    AuthType,
    CustomerParam,
    Provider,
    ProviderFacts,
    ProviderId,
    ServiceType,
    id_from_name,
)
from functions.utility_provider_service.service import Page

ShortText = Annotated[str, Meta(min_length=1, max_length=100)]
Length = Annotated[int, Meta(ge=0, le=200)]


class CustomerParamBody(Struct, kw_only=True, forbid_unknown_fields=True):
    name: ShortText
    label: ShortText
    regex: Annotated[str, Meta(max_length=200)] = ""
    min_length: Length = 1
    max_length: Annotated[int, Meta(ge=1, le=200)] = 100
    optional: bool = False
    secret: bool = False
    example: Annotated[str, Meta(max_length=200)]

    def facts(self) -> CustomerParam:
        return CustomerParam(
            name=self.name,
            label=self.label,
            regex=self.regex,
            min_length=self.min_length,
            max_length=self.max_length,
            optional=self.optional,
            secret=self.secret,
            example=self.example,
        )

    @classmethod
    def of(cls, param: CustomerParam) -> "CustomerParamBody":
        return cls(
            name=param.name,
            label=param.label,
            regex=param.regex,
            min_length=param.min_length,
            max_length=param.max_length,
            optional=param.optional,
            secret=param.secret,
            example=param.example,
        )


class CreateProvider(Struct, kw_only=True, forbid_unknown_fields=True):
    """Without a `provider_id` it is made of the name."""

    provider_id: Annotated[str, Meta(max_length=64)] | None = None
    name: ShortText
    service_types: Annotated[list[ServiceType], Meta(min_length=1, max_length=7)]
    country: str
    currency: str
    time_zone: Annotated[str, Meta(max_length=64)]
    adapter: Adapter
    base_url: Annotated[str, Meta(max_length=300)]
    auth_type: AuthType
    customer_params: Annotated[list[CustomerParamBody], Meta(max_length=20)]

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


class ListQuery(Struct, kw_only=True):
    service_type: ServiceType | None = None
    q: Annotated[str, Meta(max_length=100)] = ""
    limit: Annotated[int, Meta(ge=1, le=200)] = 50
    cursor: Annotated[str, Meta(max_length=2000)] = ""


class ProviderReply(Struct, kw_only=True):
    """`base_url` is how the platform reaches the utility: for administrators only."""

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
    version: int
    created_at: str
    updated_at: str

    @classmethod
    def of(cls, provider: Provider, *, full: bool) -> "ProviderReply":
        facts = provider.facts
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
            customer_params=[CustomerParamBody.of(param) for param in facts.customer_params],
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
