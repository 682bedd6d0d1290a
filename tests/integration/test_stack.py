"""The stack is the one that tests/contract/test_engines.py judges, and what it tells its functions was really made."""

from collections import Counter

from infra import stack, template
from tests.integration.platform import Platform
from tests.support import cloudformation


def test_it_holds_what_the_template_makes_of_its_parameters(platform: Platform) -> None:
    described = stack.describe(platform.settings)
    assert described
    parameters = {each["ParameterKey"]: each["ParameterValue"] for each in described["Parameters"]}

    expected = cloudformation.stack(template.transformed(template.read()), parameters)

    made = Counter(each["ResourceType"] for each in stack.summaries(platform.settings))
    assert made == Counter(resource["Type"] for resource in expected.resources.values())


def test_no_function_is_told_of_what_was_only_pretended(platform: Platform) -> None:
    """LocalStack gives `unknown` for the attributes of such a resource; an engine may leave a reference unresolved."""
    for function in template.functions():
        told = platform.environment(function)
        assert told
        for name, value in told.items():
            assert "unknown" not in value, (function, name)
            assert "{{resolve:" not in value, (function, name)
            assert "${" not in value, (function, name)
