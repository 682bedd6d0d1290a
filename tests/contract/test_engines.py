"""What an emulator is given is what LocalStack community, the least able of them, really makes; localstack.py
lists that. What is on AWS alone stands under a condition, and the parameters of an emulator's deploy decide that
here."""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from infra import deploy, target, template
from infra.settings import Target, load
from infra.signing_key import SigningKey
from tests.contract.localstack import MADE, PRETENDED
from tests.support.cloudformation import Stack, named, stack

KEY = SigningKey("key", '{"keys":[]}', "overlap")
DYNAMIC = re.compile(r"\{\{resolve:")


@pytest.fixture(scope="module")
def plain() -> dict[str, Any]:
    return template.transformed(template.read())


@pytest.fixture(params=["embedded", "localstack", "localstack in Docker"])
def given(request: pytest.FixtureRequest, plain: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Stack:
    """What a deploy to this emulator makes."""
    name, _, place = request.param.partition(" ")
    settings = replace(load({}), target=Target(name))
    monkeypatch.setattr(target, "in_docker", lambda _: bool(place))
    parameters = {**deploy._parameters(settings, KEY, "sender@example.com"), **dict(settings.rpc_parameters)}
    return stack(plain, parameters)


def kinds(given: Stack) -> dict[str, str]:
    return {name: str(resource["Type"]) for name, resource in given.resources.items()}


def relied_on(given: Stack, pretended: dict[str, str]) -> dict[str, set[str]]:
    """Name of a resource that is only pretended → those that name it."""
    found: dict[str, set[str]] = {}
    for name, part in {**given.resources, **given.outputs}.items():
        for other in set(named(part)) & given.resources.keys():
            if given.resources[other]["Type"] in pretended:
                found.setdefault(other, set()).add(name)
    return found


def test_an_emulator_is_given_nothing_that_localstack_does_not_know(given: Stack) -> None:
    unknown = {name: kind for name, kind in kinds(given).items() if kind not in MADE | PRETENDED.keys()}

    assert unknown == {}, "under a condition that holds on AWS only, or into PRETENDED with a reason"


def test_nothing_relies_on_what_localstack_only_pretends_to_make(given: Stack) -> None:
    assert relied_on(given, PRETENDED) == {}


def test_what_is_listed_as_pretended_is_there_and_is_not_made(plain: dict[str, Any]) -> None:
    assert PRETENDED.keys() <= {resource["Type"] for resource in plain["Resources"].values()}
    assert not PRETENDED.keys() & MADE


def test_what_localstack_does_not_heed_is_not_asked_of_it(given: Stack) -> None:
    """Routes would be open, code would lack, and values would be wrong, without a word."""
    for name, resource in given.resources.items():
        properties = resource.get("Properties", {})
        assert "Layers" not in properties, f"{name}: layers are not applied"
        body = properties.get("Body") or {}
        assert not body.get("securityDefinitions"), f"{name}: authorizers are not applied"
        assert not body.get("components", {}).get("securitySchemes"), f"{name}: authorizers are not applied"
        for text in texts(properties):
            assert len(DYNAMIC.findall(text)) < 2, f"{name}: of two dynamic references in one text, one is wrong"
    for text in texts(given.outputs):
        assert "amazonaws.com" not in text, "comes out wrong: tell the API's id instead"


def texts(node: Any) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict | list):
        for each in node.values() if isinstance(node, dict) else node:
            yield from texts(each)


# the tests' own tools

DASHBOARD = "AWS::CloudWatch::Dashboard"
MADE_UP: dict[str, Any] = {
    "Parameters": {"Stage": {"Type": "String", "Default": "dev"}, "Cache": {"Type": "String"}},
    "Mappings": {"Stages": {"dev": {"Large": "no"}, "prod": {"Large": "yes"}}},
    "Conditions": {
        "Large": {"Fn::Equals": [{"Fn::FindInMap": ["Stages", {"Ref": "Stage"}, "Large"]}, "yes"]},
        "Cached": {"Fn::Not": [{"Fn::Equals": [{"Ref": "Cache"}, ""]}]},
        "Both": {"Fn::And": [{"Condition": "Large"}, {"Condition": "Cached"}]},
        "Either": {"Fn::Or": [{"Condition": "Large"}, {"Condition": "Cached"}]},
    },
    "Resources": {
        "Board": {"Type": DASHBOARD, "Condition": "Large"},
        "Both": {"Type": "AWS::SNS::Topic", "Condition": "Both"},
        "Either": {"Type": "AWS::SNS::Topic", "Condition": "Either"},
        "Queue": {
            "Type": "AWS::SQS::Queue",
            "Properties": {
                "QueueName": {"Fn::If": ["Large", {"Fn::Sub": "q-${Board}"}, "q"]},
                "Tags": [{"Fn::If": ["Cached", {"Key": "a"}, {"Ref": "AWS::NoValue"}]}],
            },
        },
    },
    "Outputs": {"Told": {"Condition": "Large", "Value": {"Fn::GetAtt": ["Board", "Arn"]}}},
}


def test_conditions_decide_what_is_made() -> None:
    small = stack(MADE_UP, {})

    assert kinds(small) == {"Queue": "AWS::SQS::Queue"}
    assert small.resources["Queue"]["Properties"] == {"QueueName": "q", "Tags": []}
    assert small.outputs == {}
    assert set(kinds(stack(MADE_UP, {"Cache": "redis://cache"}))) == {"Queue", "Either"}
    assert set(kinds(stack(MADE_UP, {"Stage": "prod"}))) == {"Board", "Either", "Queue"}
    assert set(kinds(stack(MADE_UP, {"Stage": "prod", "Cache": "redis://cache"}))) == {
        "Board",
        "Both",
        "Either",
        "Queue",
    }


def test_who_names_what_is_pretended_is_found() -> None:
    pretended = {DASHBOARD: "looked at by nobody"}

    assert relied_on(stack(MADE_UP, {}), pretended) == {}
    assert relied_on(stack(MADE_UP, {"Stage": "prod"}), pretended) == {"Board": {"Queue", "Told"}}


def test_every_way_to_name_a_resource_is_seen() -> None:
    node = {
        "DependsOn": ["A", "B"],
        "Properties": [
            {"Ref": "C"},
            {"Fn::GetAtt": "D.Arn"},
            {"Fn::GetAtt": ["E", "Arn"]},
            {"Fn::Sub": "${F}-${G.Arn}-${!Literal}"},
            {"Fn::Sub": ["${H}-${Own}", {"Own": {"Fn::Join": ["", [{"Ref": "I"}]]}}]},
        ],
    }

    assert sorted(named(node)) == list("ABCDEFGHI")
