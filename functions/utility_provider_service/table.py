"""The registry in DynamoDB: one item per utility, key `provider_id`.

Index `by_name`: all of them in one partition, `registry`, sorted by `sort_name`; right for the hundreds there are.
Index `outbox`: those with events that have not got out. `updated_at` is an administrator's last change, not when they
came to be: the sweep may send what is just being sent, which is once more and no harm.
The item `<provider_id>#webhook`, in none of them, holds a utility's sealed webhook secrets.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict

from pynamodb.attributes import (
    BinaryAttribute,
    BooleanAttribute,
    ListAttribute,
    MapAttribute,
    NumberAttribute,
    UnicodeAttribute,
)
from pynamodb.exceptions import DoesNotExist
from pynamodb.indexes import AllProjection, GlobalSecondaryIndex, KeysOnlyProjection
from pynamodb.models import Model

from functions.common.clock import Clock, parse_rfc3339, rfc3339
from functions.common.outbox import OUTBOX_SHARDS, Pending
from functions.common.table import OutboxMixin, bind, forget_events, saved, shard_of, translated, unsent, updated
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
    WebhookSecret,
    WebhookSecrets,
)
from functions.utility_provider_service.service import pending_of

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


class Unsent(GlobalSecondaryIndex["ProviderItem"]):  # type: ignore[no-untyped-call]  # PynamoDB's own
    class Meta:
        index_name = "outbox"
        projection = KeysOnlyProjection()
        billing_mode = "PAY_PER_REQUEST"

    outbox_shard = NumberAttribute(hash_key=True)
    updated_at = UnicodeAttribute(range_key=True)


class ProviderItem(OutboxMixin, Model):
    class Meta:
        table_name = ""
        billing_mode = "PAY_PER_REQUEST"

    by_name = ByName()
    unsent = Unsent()
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


class SecretMap(MapAttribute[str, object]):
    ciphertext = BinaryAttribute(legacy_encoding=False)
    valid_from = UnicodeAttribute()
    ends_at = UnicodeAttribute(null=True)


class SecretsItem(Model):
    class Meta:
        table_name = ""
        billing_mode = "PAY_PER_REQUEST"

    provider_id = UnicodeAttribute(hash_key=True)
    secrets = ListAttribute(of=SecretMap)
    version = NumberAttribute()


class DynamoProviders:
    def __init__(self, table_name: str, clock: Clock) -> None:
        self._item = bind(ProviderItem, table_name)
        self._secrets = bind(SecretsItem, table_name)
        self._clock = clock

    def create(self, provider: Provider) -> bool:
        return saved(_item(self._item, provider), ProviderItem.provider_id.does_not_exist())

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
        return saved(_item(self._item, provider), ProviderItem.version == version)

    def delete(self, provider_id: ProviderId) -> None:
        with translated():
            self._secrets(_secrets_key(provider_id)).delete()
            self._item(provider_id).delete()

    def pending_events(self, limit: int) -> Sequence[Pending]:
        keys = [item.provider_id for item in unsent(self._item.unsent, self._clock.now(), limit)]
        with translated():
            items = list(self._item.batch_get(keys, consistent_read=True)) if keys else []
        return [pending_of(_provider(item)) for item in items if item.outbox]

    def clear_outbox(self, pending: Pending) -> None:
        [provider_id] = pending.key
        # if it changed since, its events go out again with the new ones
        updated(self._item(provider_id), forget_events(), ProviderItem.version == pending.version)

    def get_secrets(self, provider_id: ProviderId) -> WebhookSecrets:
        with translated():
            try:
                item = self._secrets.get(_secrets_key(provider_id), consistent_read=True)
            except DoesNotExist:
                return WebhookSecrets(provider_id)
        return WebhookSecrets(provider_id, tuple(map(_secret, item.secrets)), int(item.version))

    def replace_secrets(self, held: WebhookSecrets, version: int) -> bool:
        item = self._secrets(
            _secrets_key(held.provider_id),
            secrets=[
                SecretMap(  # type: ignore[no-untyped-call]  # PynamoDB's own
                    ciphertext=secret.ciphertext,
                    valid_from=rfc3339(secret.valid_from),
                    ends_at=rfc3339(secret.ends_at) if secret.ends_at else None,
                )
                for secret in held.secrets
            ],
            version=held.version,
        )
        seen = SecretsItem.version == version if version else SecretsItem.provider_id.does_not_exist()
        return saved(item, seen)


def _secrets_key(provider_id: ProviderId) -> str:
    return f"{provider_id}#webhook"


def _secret(stored: SecretMap) -> WebhookSecret:
    ends_at = parse_rfc3339(stored.ends_at) if stored.ends_at else None
    return WebhookSecret(bytes(stored.ciphertext), parse_rfc3339(stored.valid_from), ends_at)


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
        outbox=list(provider.unsent) or None,
        outbox_shard=shard_of(facts.provider_id, OUTBOX_SHARDS) if provider.unsent else None,
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
        unsent=tuple(item.outbox or ()),
    )
