"""The registry in DynamoDB, through moto."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import boto3
import pytest
from moto import mock_aws

from functions.common.errors import Unavailable
from functions.utility_provider_service.model import Health, HealthState, Provider, ProviderId, WebhookSecrets
from functions.utility_provider_service.service import pending_of
from functions.utility_provider_service.table import DynamoProviders, ProviderItem
from tests.support.fakes import FakeClock
from tests.unit.utility_provider_service.fakes import FACTS, named

NOW = datetime(2026, 3, 15, 12, 0, tzinfo=UTC)
PROVIDER = Provider(facts=FACTS, created_at=NOW, updated_at=NOW)


@pytest.fixture
def providers() -> Iterator[DynamoProviders]:
    with mock_aws():
        repository = DynamoProviders("providers", FakeClock(NOW))
        ProviderItem.create_table(wait=True)
        yield repository


def test_a_provider_is_kept_whole_and_once(providers: DynamoProviders) -> None:
    assert providers.create(PROVIDER)
    assert not providers.create(replace(PROVIDER, facts=replace(FACTS, name="Impostor")))
    assert providers.get(FACTS.provider_id) == PROVIDER
    assert providers.get(ProviderId("prv_unknown")) is None


def test_they_come_by_name(providers: DynamoProviders) -> None:
    for facts in (named("prv_z", "alder"), named("prv_y", "Birch"), named("prv_x", "Alder")):
        providers.create(Provider(facts=facts, created_at=NOW, updated_at=NOW))
    found = list(providers.by_name(""))
    assert [provider.facts.provider_id for provider in found] == ["prv_x", "prv_z", "prv_y"]
    assert list(providers.by_name(found[0].sort_name)) == found[1:]
    assert list(providers.by_name(found[-1].sort_name)) == []


def test_a_provider_is_replaced_by_version(providers: DynamoProviders) -> None:
    providers.create(PROVIDER)
    later = NOW + timedelta(hours=1)
    facts = replace(FACTS, name="Stream Water", base_url="https://new.example.com")
    health = Health(HealthState.DOWN, later)
    changed = replace(PROVIDER, facts=facts, updated_at=later, version=2, active=False, health=health)

    assert providers.replace(changed, 1)
    assert providers.get(FACTS.provider_id) == changed
    assert not providers.replace(replace(changed, facts=FACTS), 1)
    assert providers.get(FACTS.provider_id) == changed
    assert list(providers.by_name("")) == [changed]
    assert providers.replace(replace(PROVIDER, version=3), 2)
    assert providers.get(FACTS.provider_id) == replace(PROVIDER, version=3)


def test_replacing_what_is_not_there_enters_nothing(providers: DynamoProviders) -> None:
    assert not providers.replace(PROVIDER, 1)
    assert providers.get(FACTS.provider_id) is None


def test_an_item_from_before_is_active_and_up(providers: DynamoProviders) -> None:
    """Written when there was neither."""
    providers.create(PROVIDER)
    boto3.client("dynamodb").update_item(
        TableName="providers",
        Key={"provider_id": {"S": FACTS.provider_id}},
        UpdateExpression="REMOVE active, health_state",
    )
    assert providers.get(FACTS.provider_id) == PROVIDER
    assert providers.replace(replace(PROVIDER, version=2), 1)


def test_a_deleted_provider_leaves_the_list(providers: DynamoProviders) -> None:
    providers.create(PROVIDER)
    for _ in range(2):
        providers.delete(FACTS.provider_id)
    assert list(providers.by_name("")) == []


def test_the_keys_are_those_of_the_template(providers: DynamoProviders) -> None:
    providers.create(PROVIDER)
    [item] = boto3.client("dynamodb").scan(TableName="providers")["Items"]
    assert item["registry"] == {"S": "registry"}
    assert item["sort_name"] == {"S": "river water#prv_river_water"}


def test_a_missing_table_is_a_dependency_that_is_down(providers: DynamoProviders) -> None:
    boto3.client("dynamodb").delete_table(TableName="providers")
    with pytest.raises(Unavailable):
        list(providers.by_name(""))


def test_events_stay_until_they_are_out(providers: DynamoProviders) -> None:
    old = NOW - timedelta(hours=1)
    for name in ("prv_a", "prv_b"):
        providers.create(Provider(facts=named(name, name), created_at=old, updated_at=old))
    health = Health(HealthState.DOWN, NOW)
    waiting = Provider(
        facts=named("prv_a", "prv_a"), created_at=old, updated_at=old, health=health, unsent=("{}", "[]"), version=2
    )
    assert providers.replace(waiting, 1)

    assert providers.get(ProviderId("prv_a")) == waiting
    assert providers.pending_events(100) == [pending_of(waiting)]
    providers.clear_outbox(replace(pending_of(waiting), version=1))  # changed since
    assert providers.pending_events(100) == [pending_of(waiting)]
    providers.clear_outbox(pending_of(waiting))
    assert providers.pending_events(100) == []
    assert providers.get(ProviderId("prv_a")) == replace(waiting, unsent=())


def test_secrets_are_replaced_by_version_and_go_with_their_provider(providers: DynamoProviders) -> None:
    providers.create(PROVIDER)
    none = providers.get_secrets(FACTS.provider_id)
    first = none.rotated(b"one", NOW)
    second = first.rotated(b"two", NOW + timedelta(hours=1))

    assert none == WebhookSecrets(FACTS.provider_id)
    assert providers.replace_secrets(first, 0)
    assert not providers.replace_secrets(first, 0)
    assert providers.replace_secrets(second, 1)
    assert not providers.replace_secrets(second, 1)
    assert providers.get_secrets(FACTS.provider_id) == second
    assert providers.get_secrets(ProviderId("prv_other")).secrets == ()
    assert list(providers.by_name("")) == [PROVIDER]

    providers.delete(FACTS.provider_id)
    assert providers.get_secrets(FACTS.provider_id) == none
