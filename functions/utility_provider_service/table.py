"""The registry in DynamoDB: one item per utility, key `provider_id`.

Index `by_name`: all of them in one partition, `registry`, sorted by `sort_name`; right for the hundreds there are.
"""

from collections.abc import Iterator
from dataclasses import asdict

from pynamodb.attributes import (
    BooleanAttribute,
    ListAttribute,
    MapAttribute,
    NumberAttribute,
    UnicodeAttribute,
)
from pynamodb.exceptions import DoesNotExist
from pynamodb.indexes import AllProjection, GlobalSecondaryIndex
from pynamodb.models import Model

from functions.common.clock import parse_rfc3339, rfc3339
from functions.common.table import ConditionFailed, bind, translated
from functions.utility_provider_service.model import (
    Adapter,
    AuthType,
    CustomerParam,
    Health,
    HealthState,
    Provider,
    ProviderFacts,
    ProviderId,
    ServiceType,
)

REGISTRY = "registry"


class CustomerParamMap(MapAttribute[str, object]):
    name = UnicodeAttribute()
    label = UnicodeAttribute()
    regex = UnicodeAttribute()
    min_length = NumberAttribute()
    max_length = NumberAttribute()
    optional = BooleanAttribute()
    secret = BooleanAttribute()
    example = UnicodeAttribute()


class ByName(GlobalSecondaryIndex["ProviderItem"]):  # type: ignore[no-untyped-call]  # PynamoDB's own
    class Meta:
        index_name = "by_name"
        projection = AllProjection()
        billing_mode = "PAY_PER_REQUEST"

    registry = UnicodeAttribute(hash_key=True)
    sort_name = UnicodeAttribute(range_key=True)


class ProviderItem(Model):
    class Meta:
        table_name = ""
        billing_mode = "PAY_PER_REQUEST"

    by_name = ByName()
    provider_id = UnicodeAttribute(hash_key=True)
    registry = UnicodeAttribute()
    sort_name = UnicodeAttribute()
    name = UnicodeAttribute()
    service_types = ListAttribute[str]()
    country = UnicodeAttribute()
    currency = UnicodeAttribute()
    time_zone = UnicodeAttribute()
    adapter = UnicodeAttribute()
    base_url = UnicodeAttribute()
    auth_type = UnicodeAttribute()
    customer_params = ListAttribute(of=CustomerParamMap)
    active = BooleanAttribute(default=True)
    health_state = UnicodeAttribute(default=str(HealthState.UP))
    health_since = UnicodeAttribute(null=True)
    version = NumberAttribute()
    created_at = UnicodeAttribute()
    updated_at = UnicodeAttribute()


class DynamoProviders:
    def __init__(self, table_name: str) -> None:
        self._item = bind(ProviderItem, table_name)

    def create(self, provider: Provider) -> bool:
        try:
            with translated():
                _item(self._item, provider).save(condition=ProviderItem.provider_id.does_not_exist())
        except ConditionFailed:
            return False
        return True

    def get(self, provider_id: ProviderId) -> Provider | None:
        with translated():
            try:
                return _provider(self._item.get(provider_id, consistent_read=True))
            except DoesNotExist:
                return None

    def by_name(self, after: str) -> Iterator[Provider]:
        later = ByName.sort_name > after if after else None
        with translated():
            for item in self._item.by_name.query(REGISTRY, later):
                yield _provider(item)

    def replace(self, provider: Provider, version: int) -> bool:
        try:
            with translated():
                _item(self._item, provider).save(condition=ProviderItem.version == version)
        except ConditionFailed:
            return False
        return True

    def delete(self, provider_id: ProviderId) -> None:
        with translated():
            self._item(provider_id).delete()


def _item(cls: type[ProviderItem], provider: Provider) -> ProviderItem:
    facts, health = provider.facts, provider.health
    return cls(
        facts.provider_id,
        registry=REGISTRY,
        sort_name=provider.sort_name,
        name=facts.name,
        service_types=[str(service_type) for service_type in facts.service_types],
        country=facts.country,
        currency=facts.currency,
        time_zone=facts.time_zone,
        adapter=facts.adapter,
        base_url=facts.base_url,
        auth_type=facts.auth_type,
        customer_params=[
            CustomerParamMap(**asdict(param))  # type: ignore[no-untyped-call]  # PynamoDB's own
            for param in facts.customer_params
        ],
        active=provider.active,
        health_state=str(health.state),
        health_since=rfc3339(health.since) if health.since else None,
        version=provider.version,
        created_at=rfc3339(provider.created_at),
        updated_at=rfc3339(provider.updated_at),
    )


def _provider(item: ProviderItem) -> Provider:
    facts = ProviderFacts(
        provider_id=ProviderId(item.provider_id),
        name=item.name,
        service_types=tuple(ServiceType(service_type) for service_type in item.service_types),
        country=item.country,
        currency=item.currency,
        time_zone=item.time_zone,
        adapter=Adapter(item.adapter),
        base_url=item.base_url,
        auth_type=AuthType(item.auth_type),
        customer_params=tuple(
            CustomerParam(
                name=param.name,
                label=param.label,
                regex=param.regex,
                min_length=int(param.min_length),
                max_length=int(param.max_length),
                optional=param.optional,
                secret=param.secret,
                example=param.example,
            )
            for param in item.customer_params
        ),
    )
    return Provider(
        facts=facts,
        created_at=parse_rfc3339(item.created_at),
        updated_at=parse_rfc3339(item.updated_at),
        version=int(item.version),
        active=item.active,
        health=Health(HealthState(item.health_state), parse_rfc3339(item.health_since) if item.health_since else None),
    )
