"""Which migrations a stack has: those of the services that are deployed in it."""

import pytest

from infra import deploy, settings, stack, template


def test_a_stack_without_the_sandbox_has_no_migrations_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = dict.fromkeys(template.functions(), "physical id")
    monkeypatch.setattr(stack, "resources", lambda _: whole)
    everything = {step.service for step in deploy._steps(settings.load({}), "")}
    assert "mock_api_service" in everything

    real = {name: place for name, place in whole.items() if not name.startswith("Mock")}
    monkeypatch.setattr(stack, "resources", lambda _: real)

    assert {step.service for step in deploy._steps(settings.load({}), "")} == everything - {"mock_api_service"}
    assert deploy._steps(settings.load({}), "mock_api_service") == []
