"""The registry's first migration, the sandbox, its document and the integration tests state the same facts."""

import importlib

import pytest

from functions.mock_api_service.model import Scenario, Utility
from functions.mock_api_service.utilities import UTILITIES
from functions.utility_provider_service.model import ProviderFacts
from functions.utility_provider_service.rules import errors_in
from infra.settings import ROOT
from tests.integration.test_scenarios import ENDS, End

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


@pytest.mark.parametrize(("scenario", "end"), ENDS.items())
def test_the_document_says_what_the_integration_tests_want_of_each_scenario(scenario: str, end: End) -> None:
    rows = [line.strip("| ").split(" | ") for line in (ROOT / "docs" / "sandbox.md").read_text().splitlines()]
    [wanted] = [row[2] for row in rows if len(row) == 3 and row[0] == scenario]

    assert wanted.startswith(end.state)
    assert f"`{end.status_detail}`" in wanted or end.status_detail is None
    assert f"{end.bills} bills" in wanted or end.state != "ACTIVE"


def test_every_scenario_has_its_end() -> None:
    assert set(ENDS) == set(Scenario)
