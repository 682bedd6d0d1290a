"""Events: the catalogue is whole, its schemas are published, and queues ask for types that exist."""

import importlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import msgspec
import pytest

from functions.contracts.events.catalogue import CATALOGUE
from functions.contracts.events.envelope import EventData, wrap
from infra import asyncapi, docs, event_schemas
from infra.settings import ROOT
from tests.contract.platform import FUNCTIONS, RESOURCES, SERVICES

Json = dict[str, Any]
OF_NOBODY = {"provider.health_changed.v1"}
"""Events that concern no user in particular: the audit keeps them as the platform's, and no webhook is told of them."""
NOT_PUBLISHED = {"bills.import_requested.v1"}
"""Goes from its sender straight into one queue."""


def all_events() -> set[type[EventData]]:
    """Every class in contracts/events that says its type itself."""
    found: set[type[EventData]] = set()
    for path in sorted((FUNCTIONS / "contracts" / "events").glob("*.py")):
        module = importlib.import_module(f"functions.contracts.events.{path.stem}")
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, EventData) and "TYPE" in vars(value):
                found.add(value)
    return found


def test_every_event_is_in_the_catalogue_under_its_type() -> None:
    assert set(CATALOGUE.values()) == all_events()
    assert {name: cls.TYPE for name, cls in CATALOGUE.items()} == {name: name for name in CATALOGUE}


@pytest.mark.parametrize("name", CATALOGUE)
def test_a_name_carries_domain_and_version(name: str) -> None:
    domain, what, version = name.split(".")

    assert domain.isidentifier()
    assert what.isidentifier()
    assert version.removeprefix("v").isdigit()
    assert CATALOGUE[name].__name__.endswith(version.upper())


@pytest.mark.parametrize("name", CATALOGUE)
def test_an_event_carries_no_secret(name: str) -> None:
    fields = set(CATALOGUE[name].__struct_fields__)

    assert not fields & {
        "params",
        "credentials",
        "username",
        "password",
        "account_number",
        "account_identifier",
        "token",
        "email",
    }
    assert "user_id" in fields or name in OF_NOBODY


def test_the_published_schemas_are_those_of_the_code(tmp_path: Path) -> None:
    event_schemas.generate(tmp_path)

    published, fresh = ROOT / "docs" / "events", tmp_path / "docs" / "events"
    assert {path.name for path in published.glob("*.json")} == {f"{name}.json" for name in CATALOGUE}
    for path in fresh.iterdir():
        assert (published / path.name).read_text() == path.read_text(), f"{path.name} is out of date: make docs"


def test_make_docs_writes_them() -> None:
    assert event_schemas.generate in docs.GENERATORS


def sample(cls: type[EventData]) -> EventData:
    values: dict[str, Any] = {f.name: 7 if f.type in (int, int | None) else "text" for f in msgspec.structs.fields(cls)}
    return cls(**values)


@pytest.mark.parametrize("name", CATALOGUE)
def test_an_event_fits_its_schema_and_a_broken_one_does_not(name: str) -> None:
    schema = json.loads((ROOT / "docs" / "events" / f"{name}.json").read_text())
    validator = jsonschema.Draft202012Validator(schema)
    validator.check_schema(schema)
    event = json.loads(wrap(sample(CATALOGUE[name]), datetime(2026, 3, 1, tzinfo=UTC)).to_json())

    validator.validate(event)
    for broken in (event | {"type": "other.v1"}, event | {"specversion": "0.3"}, event | {"data": {}}, event["data"]):
        assert not validator.is_valid(broken)


def subscriptions() -> dict[str, set[str]]:
    """Logical id of a subscription → the types that its filter lets through; without a filter, all."""
    return {
        name: set(resource["Properties"].get("FilterPolicy", {"type": CATALOGUE})["type"])
        for name, resource in RESOURCES.items()
        if resource["Type"] == "AWS::SNS::Subscription" and resource["Properties"]["TopicArn"] == {"Ref": "EventsTopic"}
    }


def test_queues_ask_for_types_that_exist() -> None:
    assert subscriptions()
    for name, types in subscriptions().items():
        assert types <= set(CATALOGUE), name


def test_queues_get_events_as_they_were_published() -> None:
    for name in subscriptions():
        assert RESOURCES[name]["Properties"]["RawMessageDelivery"] is True


def test_the_source_of_an_event_is_a_service() -> None:
    owners = {service.removesuffix("_service").replace("_", "-") for service in SERVICES}

    assert {cls.SOURCE for cls in CATALOGUE.values()} <= owners


ASYNCAPI = json.loads((ROOT / asyncapi.OUTPUT).read_text())


def referred(document: Json, pointer: str) -> object:
    """What `#/…` leads to; KeyError when it leads nowhere."""
    found: Any = document
    for part in pointer.removeprefix("#/").split("/"):
        found = found[part]
    return found


def references(document: object) -> set[str]:
    if isinstance(document, dict):
        own = {document["$ref"]} if isinstance(document.get("$ref"), str) else set()
        return own.union(*(references(value) for value in document.values()))
    return set().union(*(references(value) for value in document)) if isinstance(document, list) else set()


def test_every_reference_of_the_asyncapi_document_leads_somewhere() -> None:
    for reference in references(ASYNCAPI):
        if reference.startswith("#/"):
            referred(ASYNCAPI, reference)
        else:
            assert (ROOT / asyncapi.OUTPUT).parent.joinpath(reference).resolve().is_file()


def test_the_asyncapi_document_tells_of_every_event_and_every_worker_of_the_topic() -> None:
    assert set(ASYNCAPI["components"]["messages"]) == set(CATALOGUE)
    assert set(ASYNCAPI["channels"]["EventsTopic"]["messages"]) == set(CATALOGUE) - NOT_PUBLISHED
    assert {"publish", "RefreshWorker", "ProjectionWorker", "PurgeWorker"} <= set(ASYNCAPI["operations"])
    assert set(ASYNCAPI["channels"]["PurgeQueue"]["messages"]) == {"user.deleted.v1"}
    assert set(ASYNCAPI["channels"]["AuditQueue"]["messages"]) == set(CATALOGUE) - NOT_PUBLISHED


def test_the_asyncapi_document_tells_who_writes_to_a_queue_itself() -> None:
    told = {name: (each["action"], each["channel"]["$ref"]) for name, each in ASYNCAPI["operations"].items()}

    assert set(ASYNCAPI["channels"]["ImportQueue"]["messages"]) == NOT_PUBLISHED
    assert told["BillFilesApi"] == ("send", "#/channels/ImportQueue")
    assert told["ImportWorker"] == ("receive", "#/channels/ImportQueue")


def test_every_queue_with_a_worker_is_behind_the_topic_or_known_to_be_none() -> None:
    fed = {queue for queue, _ in asyncapi.workers().values()}

    assert fed == asyncapi.subscriptions().keys() | asyncapi.DIRECT.keys()
    assert not asyncapi.subscriptions().keys() & asyncapi.DIRECT.keys()


def test_the_audit_alone_gets_every_event_of_the_topic() -> None:
    """What is published is audited without a further word."""
    whole = {name for name, resource in RESOURCES.items() if "FilterPolicy" not in resource["Properties"]} & set(
        subscriptions()
    )

    assert whole == {"AuditQueueSubscription"}
