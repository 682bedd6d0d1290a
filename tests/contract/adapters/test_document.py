"""What docs/adding-a-provider.md says of names, files and the example is so."""

import json
import re

import msgspec

from functions.bill_aggregation_service.adapters import base
from functions.bill_aggregation_service.adapters.registry import ADAPTERS
from functions.common.validation import parse
from functions.utility_provider_service.model import Adapter
from functions.utility_provider_service.rules import errors_in
from functions.utility_provider_service.schemas import CreateProvider
from infra.settings import ROOT
from tests.contract.adapters.description import EDGES, Changed, Description

TEXT = (ROOT / "docs" / "adding-a-provider.md").read_text()
QUOTED = set(re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", TEXT, flags=re.DOTALL)))


def test_the_example_is_a_provider_that_the_registry_takes() -> None:
    block = re.search(r"curl -s \$API/providers [^\n]* -d '(\{.*?\})'\n```", TEXT, re.DOTALL)
    assert block

    provider = parse(CreateProvider, json.loads(block[1]))

    assert provider.adapter in ADAPTERS
    assert errors_in(provider.facts(), "", lambda _host: ["93.184.216.34"]) == []


def test_all_adapters_are_named_and_can_be_chosen() -> None:
    assert set(ADAPTERS) <= QUOTED
    assert set(ADAPTERS) <= {adapter.value for adapter in Adapter}


def test_the_errors_that_it_names_are_there() -> None:
    named = {name for name in QUOTED if re.fullmatch(r"(Provider|Bad|Mfa|Locked)\w*", name)}

    assert len(named) >= 4
    assert [name for name in named if not hasattr(base, name)] == []


def test_every_part_of_a_description_is_explained() -> None:
    facts = {"adapter", "provider_id", "service_type", "currency", "time_zone", "account"}
    parts = {field.name for field in msgspec.structs.fields(Description)} - facts

    assert parts <= QUOTED
    assert EDGES <= QUOTED
    assert {field.name for field in msgspec.structs.fields(Changed)} == {"replace", "expected", "new"}


def test_files_that_it_names_are_there() -> None:
    paths = {name for name in QUOTED if re.fullmatch(r"(functions|tests|docs)/[\w./-]+", name)}

    assert len(paths) >= 6
    assert [path for path in paths if not (ROOT / path).exists()] == []
