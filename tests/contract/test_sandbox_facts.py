"""The registry's first migration and the sandbox state the same facts of the four utilities."""

import importlib

import pytest

from functions.mock_api_service.model import Utility
from functions.mock_api_service.utilities import UTILITIES
from functions.utility_provider_service.model import ProviderFacts
from functions.utility_provider_service.rules import errors_in

ORIGIN = "http://localhost:4566"
migration = importlib.import_module("functions.utility_provider_service.migrations.0001_sandbox_providers")
REGISTERED = {facts.provider_id: facts for facts in migration.providers(f"{ORIGIN}/mock")}


def test_the_utilities_are_the_same() -> None:
    assert set(REGISTERED) == {utility.provider_id for utility in UTILITIES.values()}


@pytest.mark.parametrize("utility", UTILITIES.values(), ids=lambda utility: str(utility.name))
def test_their_facts_are_the_same(utility: Utility) -> None:
    facts = REGISTERED[utility.provider_id]
    [param] = facts.customer_params
    assert (facts.name, facts.currency, facts.time_zone) == (utility.label, utility.currency, utility.time_zone)
    assert [str(service_type) for service_type in facts.service_types] == [str(utility.name)]
    assert facts.base_url == f"{ORIGIN}/mock/{utility.name}"
    assert (param.regex, param.example) == (utility.account_format, utility.account_example)
    assert utility.accepts(param.example)


@pytest.mark.parametrize("facts", REGISTERED.values(), ids=lambda facts: str(facts.provider_id))
def test_they_pass_the_registrys_rules(facts: ProviderFacts) -> None:
    assert errors_in(facts, ORIGIN) == []
